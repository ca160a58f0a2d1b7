//! The configuration as the rest of the program sees it: values, not text.

use crate::{
    CoreShare, CpuEvent, KubernetesUse, LogFormat, LogLevel, PodAnnotations, PodSource, Rules, Target,
};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// Everything that can be configured. The default is what an empty file means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// Whether anything is profiled at all: the kill switch.
    pub enabled: bool,
    /// How much time one profile covers.
    pub collection_interval: Duration,
    /// CPU profiles.
    pub cpu: Cpu,
    /// Whether stacks have their kernel frames.
    pub kernel_stacks: bool,
    /// Whether the agent itself may be profiled.
    pub profile_self: bool,
    /// Which processes are profiled: by the flat keys, whose exclusions hold for all targets.
    pub rules: Rules,
    /// Targets with names, tried one after the other and before the flat keys.
    pub targets: Vec<Target>,
    /// Whether pods may say that they want, or do not want, to be profiled.
    pub pod_annotations: PodAnnotations,
    /// Labels for every sample.
    pub external_labels: BTreeMap<String, String>,
    /// Labels of pods, by their names, that the samples of their processes carry along.
    pub pod_labels: Vec<String>,
    /// Who is asked for pods.
    pub kubernetes: Kubernetes,
    /// Where names come from.
    pub symbols: Symbols,
    /// What is listened at.
    pub server: Server,
    /// Where profiles go.
    pub export: Export,
    /// What the agent may use.
    pub limits: Limits,
    /// What the agent says.
    pub log: Log,
}

/// CPU profiles.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cpu {
    /// Whether they are made.
    pub enabled: bool,
    /// Ticks a second on each CPU, within [`Cpu::SAMPLE_HZ`].
    pub sample_hz: u32,
    /// What ticks.
    pub event: CpuEvent,
}

/// Who is asked for pods, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kubernetes {
    /// Whether anybody is.
    pub enabled: KubernetesUse,
    /// The name of this node; `$NODE_NAME` without it.
    pub node_name: Option<String>,
    /// Who is asked.
    pub source: PodSource,
    /// A kubeconfig by which the API server is reached; `$KUBECONFIG`, else the pod's service account, without it.
    pub kubeconfig: Option<PathBuf>,
    /// How the kubelet is reached.
    pub kubelet: Kubelet,
}

/// How the kubelet is reached.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Kubelet {
    /// Where it listens; `https://$HOST_IP:10250` without it.
    pub url: Option<String>,
    /// What its certificate is checked against; the cluster's authority without it.
    pub ca_file: Option<PathBuf>,
    /// The token that is shown to it; the pod's service account's without it.
    pub token_file: Option<PathBuf>,
    /// Whether its certificate is not checked.
    pub insecure: bool,
}

/// Where names come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Symbols {
    /// Servers that have debug files.
    pub debuginfod: Debuginfod,
}

/// Debuginfod servers, and what is kept of what they send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Debuginfod {
    /// Where they are, in the order in which they are asked; `$DEBUGINFOD_URLS` without any.
    pub urls: Vec<String>,
    /// The most bytes of a debug file.
    pub max_size_bytes: u64,
    /// The longest time that a server may take for one.
    pub timeout: Duration,
    /// What is kept.
    pub cache: DebuginfodCache,
}

/// Debug files that are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DebuginfodCache {
    /// Where.
    pub directory: PathBuf,
    /// The most bytes that they may have together; what was used longest ago goes first.
    pub max_size_bytes: u64,
}

/// What is listened at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Server {
    /// For people, their tools and the page; a loopback address unless somebody is asked who he is, or `insecure`.
    pub listen: SocketAddr,
    /// For probes and scrapers.
    pub health_listen: SocketAddr,
    /// The file with the tokens of which whoever asks at `listen` must have one.
    pub token_file: Option<PathBuf>,
    /// Whether and how `listen` is spoken to in TLS.
    pub tls: Tls,
    /// Whether `listen` may be an address that others than this machine can reach, and anybody may ask there.
    pub insecure: bool,
}

/// TLS, if there is a certificate; the certificate and its key are there together.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Tls {
    /// The file with the certificate, and those between it and one that clients know.
    pub cert_file: Option<PathBuf>,
    /// The file with its key.
    pub key_file: Option<PathBuf>,
    /// The file with the certificates of which one has to have signed a client's.
    pub client_ca_file: Option<PathBuf>,
}

/// Where profiles go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Export {
    /// Into files.
    pub files: Files,
}

/// Profiles in files of one directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Files {
    /// The directory; without one, no files are written.
    pub directory: Option<PathBuf>,
    /// The most bytes they may have together; the oldest go first.
    pub max_size_bytes: u64,
    /// The longest time they stay.
    pub max_age: Duration,
}

/// What the agent may use.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The most memory in bytes, the kernel's for it included; without it, what its control group allows decides.
    pub memory_bytes: Option<u64>,
    /// The most CPU time, as a share of one core.
    pub cpu: CoreShare,
    /// The most processes that are profiled at once.
    pub max_targets: u32,
    /// The most frames of a stack, beyond which it is cut.
    pub max_stack_depth: u32,
}

/// What the agent says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    /// The least important lines that are logged.
    pub level: LogLevel,
    /// How they look.
    pub format: LogFormat,
}

impl Cpu {
    /// Sample rates that are accepted, in Hz.
    pub const SAMPLE_HZ: RangeInclusive<u32> = 1..=10_000;
}

impl Config {
    /// Leaves of the rules nothing but what excludes.
    pub fn drop_includes(&mut self) {
        self.rules = self.rules.exclusions();
        self.targets.clear();
        if self.pod_annotations == PodAnnotations::Both {
            self.pod_annotations = PodAnnotations::OptOut;
        }
    }
}

impl Server {
    /// Whether whoever reaches this machine's network reaches [`Server::listen`].
    pub fn is_exposed(&self) -> bool {
        !self.listen.ip().to_canonical().is_loopback()
    }

    /// Whether whoever asks has to show that he may.
    pub fn is_guarded(&self) -> bool {
        self.token_file.is_some() || self.tls.client_ca_file.is_some()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            collection_interval: Duration::from_secs(10),
            cpu: Cpu { enabled: true, sample_hz: 99, event: CpuEvent::CpuClock },
            kernel_stacks: true,
            profile_self: false,
            rules: Rules::default(),
            targets: Vec::new(),
            pod_annotations: PodAnnotations::Off,
            external_labels: BTreeMap::new(),
            pod_labels: Vec::new(),
            kubernetes: Kubernetes {
                enabled: KubernetesUse::Auto,
                node_name: None,
                source: PodSource::Api,
                kubeconfig: None,
                kubelet: Kubelet::default(),
            },
            symbols: Symbols {
                debuginfod: Debuginfod {
                    urls: Vec::new(),
                    max_size_bytes: 512 << 20,
                    timeout: Duration::from_secs(60),
                    cache: DebuginfodCache {
                        directory: "/var/lib/telegen/debuginfod".into(),
                        max_size_bytes: 2 << 30,
                    },
                },
            },
            server: Server {
                listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9690)),
                health_listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 9691)),
                token_file: None,
                tls: Tls::default(),
                insecure: false,
            },
            export: Export {
                files: Files {
                    directory: None,
                    max_size_bytes: 512 << 20,
                    max_age: Duration::from_secs(24 * 60 * 60),
                },
            },
            limits: Limits {
                memory_bytes: None,
                cpu: CoreShare::from_percent(5),
                max_targets: 10_000,
                max_stack_depth: 512,
            },
            log: Log { level: LogLevel::Info, format: LogFormat::Text },
        }
    }
}
