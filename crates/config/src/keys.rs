//! The tables of all keys: what may be written, what it means, and where it goes.
//!
//! Checks, suggestions, `config show` and the reference all read these tables. A new key is a field, its default, and
//! a row here.

mod rule_keys;

use crate::label_rules::LabelRules;
use crate::setting::{Checked, Labels, ListOf, Optional, Place, Setting, Single};
use crate::target_list::TargetList;
use crate::value::{
    Address, CpuShare, Flag, Integer, Moment, PathOf, PidNumber, Size, Switch, Text, Time, Unbuilt, Word,
};
use crate::{Config, CoreShare, Cpu, Target};
use rule_keys::{CONTAINER_ID, PATTERN, rule_keys};
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::time::Duration;

/// One key that has a value of its own.
pub(crate) struct Key<R: 'static> {
    /// Its path in the mapping, with dots between.
    pub(crate) path: &'static str,
    /// Its type and its field.
    pub(crate) setting: &'static dyn Setting<R>,
    /// What it means.
    pub(crate) meaning: &'static str,
    /// What its absence means, if it has no default value.
    pub(crate) absent: &'static str,
}

/// All keys that a mapping may have.
pub(crate) struct Table<R: 'static> {
    /// Those of one section stand together.
    groups: &'static [&'static [Key<R>]],
    /// Keys and sections that are documented, but whose part this version does not have.
    later: &'static [&'static str],
}

macro_rules! place {
    ($root:ty; $($field:ident).+) => {
        Place { get: |root: &$root| &root.$($field).+, get_mut: |root: &mut $root| &mut root.$($field).+ }
    };
}

const fn key<R>(path: &'static str, setting: &'static dyn Setting<R>, meaning: &'static str) -> Key<R> {
    Key { path, setting, meaning, absent: "" }
}

const ONE_SECOND: Duration = Duration::from_secs(1);
const ONE_HOUR: Duration = Duration::from_secs(3_600);
const ONE_YEAR: Duration = Duration::from_secs(365 * 86_400);
const WAITS: RangeInclusive<Duration> = Duration::ZERO..=ONE_HOUR;

/// Keys in front of the flat ones of rules.
static BEFORE_RULES: &[Key<Config>] = &[
    key(
        "enabled",
        &Single(Flag, place!(Config; enabled)),
        "whether anything is profiled at all: the kill switch",
    ),
    key(
        "collection_interval",
        &Single(Time(ONE_SECOND..=ONE_HOUR), place!(Config; collection_interval)),
        "how much time one profile covers",
    ),
    key("cpu.enabled", &Single(Flag, place!(Config; cpu.enabled)), "whether CPU profiles are made"),
    key(
        "cpu.sample_rate",
        &Single(Integer { range: Cpu::SAMPLE_HZ, unit: "Hz" }, place!(Config; cpu.sample_hz)),
        "how often each busy CPU is looked at",
    ),
    key(
        "cpu.event",
        &Single(Word(PhantomData), place!(Config; cpu.event)),
        "what ticks: a timer of the kernel, or the CPU's own counter of cycles",
    ),
    key("off_cpu.enabled", &Checked(Unbuilt), "whether profiles of waiting threads are made"),
    key("off_cpu.min_block_time", &Checked(Time(WAITS)), "the shortest wait that is seen"),
    key("wall.enabled", &Checked(Unbuilt), "whether profiles by wall-clock time are made"),
    key(
        "wall.sample_rate",
        &Checked(Integer { range: Cpu::SAMPLE_HZ, unit: "Hz" }),
        "how often each thread is looked at",
    ),
    key("memory.enabled", &Checked(Unbuilt), "whether profiles of allocations are made"),
    key(
        "memory.sample_interval",
        &Checked(Size(1..=1 << 40)),
        "how much is allocated between two samples, on average",
    ),
    key("mutex.enabled", &Checked(Unbuilt), "whether profiles of lock contention are made"),
    key("mutex.contention_threshold", &Checked(Time(WAITS)), "the shortest wait that is seen"),
    key(
        "kernel_stacks",
        &Single(Flag, place!(Config; kernel_stacks)),
        "whether stacks have their kernel frames",
    ),
    key(
        "profile_self",
        &Single(Flag, place!(Config; profile_self)),
        "whether the agent itself may be profiled",
    ),
];

/// Keys behind the flat ones of rules.
static AFTER_RULES: &[Key<Config>] = &[
    key(
        "targets",
        &TargetList(place!(Config; targets)),
        "targets with names, tried in this order, the first that says yes owns a process; flat includes come last",
    ),
    key(
        "pod_annotations",
        &Single(Word(PhantomData), place!(Config; pod_annotations)),
        "whether pods may take themselves out (`telegen.io/profile: \"false\"`), or also put themselves in (`\"true\"`)",
    ),
    key("external_labels", &Labels(place!(Config; external_labels)), "labels for every sample"),
    key(
        "pod_labels",
        &ListOf(Text("the name of a pod label"), place!(Config; pod_labels)),
        "labels of pods that the samples of their processes carry along, as `k8s.pod.label.<name>`",
    ),
    key(
        "kubernetes.enabled",
        &Single(Switch, place!(Config; kubernetes.enabled)),
        "whether Kubernetes is asked for the pods of this node; `auto`: if telegen runs in a pod that has a service account",
    ),
    Key {
        path: "kubernetes.node_name",
        setting: &Optional(Text("the name of a node"), place!(Config; kubernetes.node_name)),
        meaning: "the name of this node, as Kubernetes has it",
        absent: "$NODE_NAME, else this machine's host name unless telegen runs in a pod",
    },
    key(
        "kubernetes.source",
        &Single(Word(PhantomData), place!(Config; kubernetes.source)),
        "who is asked: the API server, by one watch, or the kubelet of this node, now and then; the kubelet does not know which \
         Deployment a ReplicaSet is of, nor which CronJob a Job is of",
    ),
    Key {
        path: "kubernetes.kubeconfig",
        setting: &Optional(PathOf::File, place!(Config; kubernetes.kubeconfig)),
        meaning: "a kubeconfig whose current context leads to the API server",
        absent: "$KUBECONFIG, else the service account of the pod",
    },
    Key {
        path: "kubernetes.kubelet.url",
        setting: &Optional(Text("a URL"), place!(Config; kubernetes.kubelet.url)),
        meaning: "where the kubelet listens",
        absent: "https://$HOST_IP:10250, or https://127.0.0.1:10250",
    },
    Key {
        path: "kubernetes.kubelet.ca_file",
        setting: &Optional(PathOf::File, place!(Config; kubernetes.kubelet.ca_file)),
        meaning: "the authority that the kubelet's certificate is checked against",
        absent: "the cluster's",
    },
    Key {
        path: "kubernetes.kubelet.token_file",
        setting: &Optional(PathOf::File, place!(Config; kubernetes.kubelet.token_file)),
        meaning: "the token that is shown to the kubelet",
        absent: "the service account's",
    },
    key(
        "kubernetes.kubelet.insecure",
        &Single(Flag, place!(Config; kubernetes.kubelet.insecure)),
        "whether the kubelet's certificate is not checked: many sign their own; whoever stands between could name pods at will",
    ),
    Key {
        path: "symbols.debuginfod.urls",
        setting: &ListOf(Text("a URL"), place!(Config; symbols.debuginfod.urls)),
        meaning: "debuginfod servers that are asked, by build id, for the debug files of targets' binaries which are not on this \
                  machine; a profile does not wait for them, a later one has the names",
        absent: "$DEBUGINFOD_URLS",
    },
    key(
        "symbols.debuginfod.max_size",
        &Single(Size(1 << 20..=1 << 40), place!(Config; symbols.debuginfod.max_size_bytes)),
        "the most that one of their files may take",
    ),
    key(
        "symbols.debuginfod.timeout",
        &Single(Time(ONE_SECOND..=ONE_HOUR), place!(Config; symbols.debuginfod.timeout)),
        "the longest time that a server may take for one file",
    ),
    key(
        "symbols.debuginfod.cache.directory",
        &Single(PathOf::Directory, place!(Config; symbols.debuginfod.cache.directory)),
        "the directory in which their files are kept; nobody else may write to it",
    ),
    key(
        "symbols.debuginfod.cache.max_size",
        &Single(Size(1 << 20..=16 << 40), place!(Config; symbols.debuginfod.cache.max_size_bytes)),
        "the most that the files may take together; what was used longest ago goes first",
    ),
    key(
        "server.listen",
        &Single(Address, place!(Config; server.listen)),
        "where people and their tools find `/api/v1/targets`; a loopback address unless tokens, client certificates or `server.insecure` are set",
    ),
    key(
        "server.health_listen",
        &Single(Address, place!(Config; server.health_listen)),
        "where probes and scrapers find `/healthz`, `/readyz` and `/metrics`",
    ),
    key(
        "server.token_file",
        &Optional(PathOf::File, place!(Config; server.token_file)),
        "bearer tokens, one a line, of which whoever asks at `server.listen` must have one; read again when it changes",
    ),
    key(
        "server.tls.cert_file",
        &Optional(PathOf::File, place!(Config; server.tls.cert_file)),
        "the certificate, as PEM and with those it needs, that makes `server.listen` HTTPS; read again when it changes",
    ),
    key(
        "server.tls.key_file",
        &Optional(PathOf::File, place!(Config; server.tls.key_file)),
        "the private key of that certificate, as PEM",
    ),
    key(
        "server.tls.client_ca_file",
        &Optional(PathOf::File, place!(Config; server.tls.client_ca_file)),
        "certificates, as PEM, of which one must have signed that of whoever asks at `server.listen`",
    ),
    key(
        "server.insecure",
        &Single(Flag, place!(Config; server.insecure)),
        "whether `server.listen` may be an address that others can reach though nobody is asked for a token or certificate",
    ),
    key(
        "export.files.directory",
        &Optional(PathOf::Directory, place!(Config; export.files.directory)),
        "the directory that profiles are written to; without it, none are",
    ),
    key(
        "export.files.max_size",
        &Single(Size(1 << 10..=16 << 40), place!(Config; export.files.max_size_bytes)),
        "the most that the files may take together; the oldest go first",
    ),
    key(
        "export.files.max_age",
        &Single(Time(ONE_SECOND..=ONE_YEAR), place!(Config; export.files.max_age)),
        "how long a file stays",
    ),
    Key {
        path: "limits.memory",
        setting: &Optional(Size(32 << 20..=1 << 40), place!(Config; limits.memory_bytes)),
        meaning: "the most memory that the agent, and the kernel for it, may take; caches shrink first, then targets are let go",
        absent: "80% of the memory limit of its control group, 256MiB if there is none",
    },
    key(
        "limits.cpu",
        &Single(
            CpuShare(CoreShare::from_percent(1)..=CoreShare::from_percent(10_000)),
            place!(Config; limits.cpu),
        ),
        "the most CPU time that the agent may take; before it takes more, it samples less often",
    ),
    key(
        "limits.max_targets",
        &Single(Integer { range: 1..=1_000_000, unit: "processes" }, place!(Config; limits.max_targets)),
        "the most processes that are profiled at once",
    ),
    key(
        "limits.max_stack_depth",
        &Single(Integer { range: 1..=512, unit: "frames" }, place!(Config; limits.max_stack_depth)),
        "the most frames of a stack; a longer one ends in `[truncated]`",
    ),
    key(
        "log.level",
        &Single(Word(PhantomData), place!(Config; log.level)),
        "the least important lines that are logged",
    ),
    key("log.format", &Single(Word(PhantomData), place!(Config; log.format)), "how log lines look"),
];

static FLAT_RULES: &[Key<Config>] = rule_keys!(Config, "target_", rules);

/// All keys below `profiler:`.
pub(crate) static CONFIG: Table<Config> =
    Table { groups: &[BEFORE_RULES, FLAT_RULES, AFTER_RULES], later: LATER };

static TARGET_NAME: &[Key<Target>] = &[key(
    "name",
    &Single(Text("a name of letters, digits, `-`, `_` and `.`"), place!(Target; name)),
    "what the target is called: the label `target` of its samples",
)];

static TARGET_SETTINGS: &[Key<Target>] = &[
    key(
        "until",
        &Optional(Moment, place!(Target; until)),
        "from when on the target selects nothing any more",
    ),
    Key {
        path: "cpu.sample_rate",
        setting: &Optional(Integer { range: Cpu::SAMPLE_HZ, unit: "Hz" }, place!(Target; sample_hz)),
        meaning: "how often a busy CPU is looked at while it runs this target",
        absent: "cpu.sample_rate",
    },
];

/// All keys of a named target.
pub(crate) static TARGET: Table<Target> =
    Table { groups: &[TARGET_NAME, rule_keys!(Target, "", rules), TARGET_SETTINGS], later: &[] };

/// Keys and sections that are documented, but whose part this version does not have.
static LATER: &[&str] = &["java", "store", "export.pyroscope", "export.otlp"];

/// A key that the Go agent had.
pub(crate) struct Renamed {
    pub(crate) old: &'static str,
    /// The whole path of the key that replaces it.
    pub(crate) new: &'static str,
    pub(crate) help: &'static str,
}

/// Keys of the Go agent, wherever they stood in its file.
pub(crate) static RENAMED: &[Renamed] = &[
    Renamed {
        old: "min_block_time_ns",
        new: "off_cpu.min_block_time",
        help: "it has a unit: what was `1000000` is `1ms`",
    },
    Renamed {
        old: "exclude_kernel",
        new: "kernel_stacks",
        help: "it means the opposite: what was `exclude_kernel: true` is `kernel_stacks: false`",
    },
    Renamed {
        old: "upload_interval",
        new: "collection_interval",
        help: "a profile is handed on when the interval that it covers ends",
    },
];

/// What a path stands for.
pub(crate) enum Meaning<R: 'static> {
    Key(&'static Key<R>),
    Section,
    Later,
    Unknown,
}

impl<R> Table<R> {
    /// All keys, in the order in which they are shown.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'static Key<R>> + use<R> {
        self.groups.iter().copied().flatten()
    }

    /// What stands under a path; the empty path is the mapping itself.
    pub(crate) fn meaning_of(&self, path: &str) -> Meaning<R> {
        if let Some(key) = self.keys().find(|key| key.path == path) {
            Meaning::Key(key)
        } else if self.children(path).next().is_some() {
            Meaning::Section
        } else if self.later.contains(&path) {
            Meaning::Later
        } else {
            Meaning::Unknown
        }
    }

    /// The names that may stand directly in a section, each once.
    pub(crate) fn children(&self, section: &str) -> impl Iterator<Item = &'static str> {
        direct_children(self.keys().map(|key| key.path), section)
    }

    /// The names that may stand directly in a section in a later version.
    pub(crate) fn later_children(&self, section: &str) -> impl Iterator<Item = &'static str> {
        direct_children(self.later.iter().copied(), section)
    }
}

fn direct_children(
    paths: impl Iterator<Item = &'static str>,
    section: &str,
) -> impl Iterator<Item = &'static str> {
    let mut last = "";
    paths.filter_map(move |path| {
        let below = match section {
            "" => path,
            _ => path.strip_prefix(section)?.strip_prefix('.')?,
        };
        let name = below.split('.').next()?;
        (std::mem::replace(&mut last, name) != name).then_some(name)
    })
}

/// The path of a key in a section.
pub(crate) fn join(section: &str, name: &str) -> String {
    if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rules;
    use std::collections::BTreeSet;

    #[test]
    fn no_key_is_there_twice_nor_also_a_section() {
        let paths: BTreeSet<_> = CONFIG.keys().map(|key| key.path).chain(LATER.iter().copied()).collect();
        assert_eq!(paths.len(), CONFIG.keys().count() + LATER.len());
        for path in &paths {
            let below = format!("{path}.");
            assert!(!paths.iter().any(|other| other.starts_with(&below)), "{path}");
        }
    }

    #[test]
    fn keys_of_a_section_stand_together() {
        for section in ["", "cpu", "server", "server.tls", "export", "export.files", "limits", "log"] {
            let names: Vec<_> = CONFIG.children(section).collect();
            assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len(), "{section}: {names:?}");
        }
    }

    #[test]
    fn what_replaces_an_old_key_is_a_key() {
        for renamed in RENAMED {
            assert!(matches!(CONFIG.meaning_of(renamed.new), Meaning::Key(_)), "{}", renamed.new);
        }
    }

    #[test]
    fn every_list_of_rules_is_a_key_of_the_file_and_of_a_target() {
        for list in Rules::INCLUDES.iter().chain(Rules::EXCLUSIONS) {
            assert!(matches!(CONFIG.meaning_of(list.key), Meaning::Key(_)), "{}", list.key);
            let in_target = list.key.strip_prefix("target_").unwrap_or(list.key);
            assert!(matches!(TARGET.meaning_of(in_target), Meaning::Key(_)), "{in_target}");
        }
        assert_eq!(TARGET.keys().count(), FLAT_RULES.len() + 3);
    }
}
