//! The table of all keys: what may be written, what it means, and where in [`Config`] it goes.
//!
//! Checks, suggestions, `config show` and the reference all read this one table. A new key is a field of
//! [`Config`], its default, and a row here.

use crate::setting::{Checked, Labels, ListOf, Optional, Place, Setting, Single};
use crate::value::{Address, CpuShare, Directory, Flag, Integer, PidNumber, Size, Text, Time, Unbuilt, Word};
use crate::{CoreShare, Cpu};
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::time::Duration;

/// One key that has a value of its own.
pub(crate) struct Key {
    /// Its path below `profiler:`, with dots between.
    pub(crate) path: &'static str,
    /// Its type and its field.
    pub(crate) setting: &'static dyn Setting,
    /// What it means.
    pub(crate) meaning: &'static str,
    /// What its absence means, if it has no default value.
    pub(crate) absent: &'static str,
}

macro_rules! place {
    ($($field:ident).+) => {
        Place { get: |config| &config.$($field).+, get_mut: |config| &mut config.$($field).+ }
    };
}

const fn key(path: &'static str, setting: &'static dyn Setting, meaning: &'static str) -> Key {
    Key { path, setting, meaning, absent: "" }
}

const ONE_SECOND: Duration = Duration::from_secs(1);
const ONE_HOUR: Duration = Duration::from_secs(3_600);
const ONE_YEAR: Duration = Duration::from_secs(365 * 86_400);
const WAITS: RangeInclusive<Duration> = Duration::ZERO..=ONE_HOUR;
const PATTERN: Text = Text("a glob");
const CONTAINER_ID: Text = Text("a container id, or its first 12 digits or more");

/// All keys, those of one section together.
pub(crate) static KEYS: &[Key] = &[
    key("enabled", &Single(Flag, place!(enabled)), "whether anything is profiled at all: the kill switch"),
    key(
        "collection_interval",
        &Single(Time(ONE_SECOND..=ONE_HOUR), place!(collection_interval)),
        "how much time one profile covers",
    ),
    key("cpu.enabled", &Single(Flag, place!(cpu.enabled)), "whether CPU profiles are made"),
    key(
        "cpu.sample_rate",
        &Single(Integer { range: Cpu::SAMPLE_HZ, unit: "Hz" }, place!(cpu.sample_hz)),
        "how often each busy CPU is looked at",
    ),
    key(
        "cpu.event",
        &Single(Word(PhantomData), place!(cpu.event)),
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
    key("kernel_stacks", &Single(Flag, place!(kernel_stacks)), "whether stacks have their kernel frames"),
    key("profile_self", &Single(Flag, place!(profile_self)), "whether the agent itself may be profiled"),
    key(
        "target_pid",
        &Optional(PidNumber, place!(rules.target_pid)),
        "a process to profile, even if it is excluded, until it ends",
    ),
    key(
        "target_pids",
        &ListOf(PidNumber, place!(rules.target_pids)),
        "processes to profile, even if they are excluded, until they end",
    ),
    key(
        "target_process_names",
        &ListOf(PATTERN, place!(rules.target_process_names)),
        "profile processes with one of these names: comm, base name of the executable or of `argv[0]`",
    ),
    key(
        "target_executables",
        &ListOf(PATTERN, place!(rules.target_executables)),
        "profile processes that run one of these files; `*` crosses `/`",
    ),
    key(
        "target_container_ids",
        &ListOf(CONTAINER_ID, place!(rules.target_container_ids)),
        "profile processes in these containers",
    ),
    key(
        "exclude_process_names",
        &ListOf(PATTERN, place!(rules.exclude_process_names)),
        "never profile processes with one of these names",
    ),
    key(
        "exclude_executables",
        &ListOf(PATTERN, place!(rules.exclude_executables)),
        "never profile processes that run one of these files",
    ),
    key(
        "exclude_container_ids",
        &ListOf(CONTAINER_ID, place!(rules.exclude_container_ids)),
        "never profile processes in these containers",
    ),
    Key {
        path: "match",
        setting: &Optional(Word(PhantomData), place!(rules.match_types)),
        meaning: "whether a process needs to match one type of `target_` key or all types",
        absent: "any",
    },
    key("external_labels", &Labels(place!(external_labels)), "labels for every sample"),
    key(
        "server.health_listen",
        &Single(Address, place!(server.health_listen)),
        "where probes and scrapers find `/healthz`, `/readyz` and `/metrics`",
    ),
    key(
        "export.files.directory",
        &Optional(Directory, place!(export.files.directory)),
        "the directory that profiles are written to; without it, none are",
    ),
    key(
        "export.files.max_size",
        &Single(Size(1 << 10..=16 << 40), place!(export.files.max_size_bytes)),
        "the most that the files may take together; the oldest go first",
    ),
    key(
        "export.files.max_age",
        &Single(Time(ONE_SECOND..=ONE_YEAR), place!(export.files.max_age)),
        "how long a file stays",
    ),
    Key {
        path: "limits.memory",
        setting: &Optional(Size(32 << 20..=1 << 40), place!(limits.memory_bytes)),
        meaning: "the most memory that the agent, and the kernel for it, may take; caches shrink first, then targets are let go",
        absent: "80% of the memory limit of its control group, 256MiB if there is none",
    },
    key(
        "limits.cpu",
        &Single(CpuShare(CoreShare::from_percent(1)..=CoreShare::from_percent(10_000)), place!(limits.cpu)),
        "the most CPU time that the agent may take; before it takes more, it samples less often",
    ),
    key(
        "limits.max_targets",
        &Single(Integer { range: 1..=1_000_000, unit: "processes" }, place!(limits.max_targets)),
        "the most processes that are profiled at once",
    ),
    key(
        "limits.max_stack_depth",
        &Single(Integer { range: 1..=512, unit: "frames" }, place!(limits.max_stack_depth)),
        "the most frames of a stack; a longer one ends in `[truncated]`",
    ),
    key(
        "log.level",
        &Single(Word(PhantomData), place!(log.level)),
        "the least important lines that are logged",
    ),
    key("log.format", &Single(Word(PhantomData), place!(log.format)), "how log lines look"),
];

/// Keys and sections that are documented, but whose part this version does not have.
pub(crate) static LATER: &[&str] = &[
    "targets",
    "target_namespaces",
    "target_deployments",
    "target_daemonsets",
    "target_statefulsets",
    "target_jobs",
    "target_cronjobs",
    "target_pods",
    "target_labels",
    "exclude_namespaces",
    "exclude_deployments",
    "exclude_daemonsets",
    "exclude_statefulsets",
    "exclude_jobs",
    "exclude_cronjobs",
    "exclude_pods",
    "exclude_labels",
    "pod_annotations",
    "pod_labels",
    "kubernetes",
    "symbols",
    "java",
    "server.listen",
    "server.tls",
    "server.token_file",
    "server.insecure",
    "store",
    "export.pyroscope",
    "export.otlp",
];

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
pub(crate) enum Meaning {
    Key(&'static Key),
    Section,
    Later,
    Unknown,
}

/// What stands under a path below `profiler:`; the empty path is that section itself.
pub(crate) fn meaning_of(path: &str) -> Meaning {
    if let Some(key) = KEYS.iter().find(|key| key.path == path) {
        Meaning::Key(key)
    } else if children(path).next().is_some() {
        Meaning::Section
    } else if LATER.contains(&path) {
        Meaning::Later
    } else {
        Meaning::Unknown
    }
}

/// The names that may stand directly in a section, each once.
pub(crate) fn children(section: &str) -> impl Iterator<Item = &'static str> {
    let paths = KEYS.iter().map(|key| key.path);
    direct_children(paths, section)
}

/// The names that may stand directly in a section in a later version.
pub(crate) fn later_children(section: &str) -> impl Iterator<Item = &'static str> {
    direct_children(LATER.iter().copied(), section)
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
        let paths: BTreeSet<_> = KEYS.iter().map(|key| key.path).chain(LATER.iter().copied()).collect();
        assert_eq!(paths.len(), KEYS.len() + LATER.len());
        for path in &paths {
            let below = format!("{path}.");
            assert!(!paths.iter().any(|other| other.starts_with(&below)), "{path}");
        }
    }

    #[test]
    fn keys_of_a_section_stand_together() {
        for section in ["", "cpu", "server", "export", "export.files", "limits", "log"] {
            let names: Vec<_> = children(section).collect();
            assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len(), "{section}: {names:?}");
        }
    }

    #[test]
    fn what_replaces_an_old_key_is_a_key() {
        for renamed in RENAMED {
            assert!(matches!(meaning_of(renamed.new), Meaning::Key(_)), "{}", renamed.new);
        }
    }

    #[test]
    fn includes_are_keys() {
        for path in Rules::INCLUDES {
            assert!(matches!(meaning_of(path), Meaning::Key(_)), "{path}");
        }
    }
}
