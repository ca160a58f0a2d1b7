//! What the user wrote.

use crate::Key;
use std::fmt;
use std::time::SystemTime;

/// How several types of include rules are combined.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MatchMode {
    /// One type that matches is enough.
    Any,
    /// Every type that is configured must match.
    All,
}

/// What a pod may say of itself by its annotation `telegen.io/profile`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum PodAnnotations {
    /// Nothing.
    #[default]
    Off,
    /// `"false"` takes it out.
    OptOut,
    /// `"false"` takes it out, `"true"` puts it in unless it is excluded.
    Both,
}

impl PodAnnotations {
    /// The word that stands for it in a configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::OptOut => "opt_out",
            Self::Both => "both",
        }
    }
}

/// A rule on a pod's labels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LabelRule {
    /// Labels and their values, all of which must be there.
    Map(Vec<(String, String)>),
    /// A selector as Kubernetes writes them: see [`Selector`](crate::Selector).
    Selector(String),
}

impl LabelRule {
    /// Whether it asks for nothing: then it counts as absent, rather than as matching every pod.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Map(labels) => labels.is_empty(),
            Self::Selector(selector) => selector.trim().is_empty(),
        }
    }
}

impl fmt::Display for LabelRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map(labels) => {
                let labels: Vec<String> =
                    labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
                f.write_str(&labels.join(","))
            }
            Self::Selector(selector) => f.write_str(selector),
        }
    }
}

/// Rules of one target as the user wrote them. An empty list counts as absent, and so does an empty rule on labels.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RuleSpec {
    /// `target_pid`
    pub pid: Option<u32>,
    /// `target_pids`
    pub pids: Vec<u32>,
    /// `target_process_names`
    pub process_names: Vec<String>,
    /// `target_executables`
    pub executables: Vec<String>,
    /// `target_container_ids`
    pub container_ids: Vec<String>,
    /// `target_namespaces`
    pub namespaces: Vec<String>,
    /// `target_deployments`
    pub deployments: Vec<String>,
    /// `target_daemonsets`
    pub daemonsets: Vec<String>,
    /// `target_statefulsets`
    pub statefulsets: Vec<String>,
    /// `target_jobs`
    pub jobs: Vec<String>,
    /// `target_cronjobs`
    pub cronjobs: Vec<String>,
    /// `target_pods`
    pub pods: Vec<String>,
    /// `target_labels`: all must match.
    pub labels: Vec<LabelRule>,
    /// `exclude_process_names`
    pub exclude_process_names: Vec<String>,
    /// `exclude_executables`
    pub exclude_executables: Vec<String>,
    /// `exclude_container_ids`
    pub exclude_container_ids: Vec<String>,
    /// `exclude_namespaces`
    pub exclude_namespaces: Vec<String>,
    /// `exclude_deployments`
    pub exclude_deployments: Vec<String>,
    /// `exclude_daemonsets`
    pub exclude_daemonsets: Vec<String>,
    /// `exclude_statefulsets`
    pub exclude_statefulsets: Vec<String>,
    /// `exclude_jobs`
    pub exclude_jobs: Vec<String>,
    /// `exclude_cronjobs`
    pub exclude_cronjobs: Vec<String>,
    /// `exclude_pods`
    pub exclude_pods: Vec<String>,
    /// `exclude_labels`: one is enough.
    pub exclude_labels: Vec<LabelRule>,
    /// `match`, if written.
    pub match_mode: Option<MatchMode>,
}

/// A named target as the user wrote it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TargetSpec {
    /// `name`
    pub name: String,
    /// Its rules.
    pub rules: RuleSpec,
    /// `until`: from then on it selects nothing.
    pub until: Option<SystemTime>,
    /// `cpu.sample_rate`
    pub sample_hz: Option<u32>,
}

/// All that the user wrote about which processes are profiled.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TargetingSpec {
    /// The flat keys. Their exclusions hold for all targets; their includes are the last target, `default`.
    pub rules: RuleSpec,
    /// `targets`, tried in this order.
    pub targets: Vec<TargetSpec>,
    /// `pod_annotations`
    pub pod_annotations: PodAnnotations,
    /// `profile_self`
    pub profile_self: bool,
}

impl From<&RuleSpec> for TargetingSpec {
    fn from(rules: &RuleSpec) -> Self {
        Self { rules: rules.clone(), ..Self::default() }
    }
}

impl From<&TargetingSpec> for TargetingSpec {
    fn from(spec: &TargetingSpec) -> Self {
        spec.clone()
    }
}

impl RuleSpec {
    /// The patterns under a key; none for the pids and the labels.
    pub fn patterns(&self, key: Key) -> &[String] {
        match key {
            Key::Pid | Key::Pids | Key::Labels | Key::ExcludeLabels | Key::PodAnnotations => &[],
            Key::ProcessNames => &self.process_names,
            Key::Executables => &self.executables,
            Key::ContainerIds => &self.container_ids,
            Key::Namespaces => &self.namespaces,
            Key::Deployments => &self.deployments,
            Key::DaemonSets => &self.daemonsets,
            Key::StatefulSets => &self.statefulsets,
            Key::Jobs => &self.jobs,
            Key::CronJobs => &self.cronjobs,
            Key::Pods => &self.pods,
            Key::ExcludeProcessNames => &self.exclude_process_names,
            Key::ExcludeExecutables => &self.exclude_executables,
            Key::ExcludeContainerIds => &self.exclude_container_ids,
            Key::ExcludeNamespaces => &self.exclude_namespaces,
            Key::ExcludeDeployments => &self.exclude_deployments,
            Key::ExcludeDaemonSets => &self.exclude_daemonsets,
            Key::ExcludeStatefulSets => &self.exclude_statefulsets,
            Key::ExcludeJobs => &self.exclude_jobs,
            Key::ExcludeCronJobs => &self.exclude_cronjobs,
            Key::ExcludePods => &self.exclude_pods,
        }
    }

    /// The rules on labels under a key; none for all others.
    pub fn label_rules(&self, key: Key) -> &[LabelRule] {
        match key {
            Key::Labels => &self.labels,
            Key::ExcludeLabels => &self.exclude_labels,
            _ => &[],
        }
    }

    /// Whether anything is written under a key.
    pub fn has(&self, key: Key) -> bool {
        match key {
            Key::Pid => self.pid.is_some(),
            Key::Pids => !self.pids.is_empty(),
            key => !self.patterns(key).is_empty() || !self.label_rules(key).is_empty(),
        }
    }

    /// Whether there is any include rule, pids among them.
    pub fn has_includes(&self) -> bool {
        Key::ALL.iter().any(|&key| !key.is_exclusion() && self.has(key))
    }

    /// These rules without what counts as absent within a list.
    fn without_empty(mut self) -> Self {
        self.labels.retain(|rule| !rule.is_empty());
        self.exclude_labels.retain(|rule| !rule.is_empty());
        self
    }

    /// These rules without their exclusions.
    pub fn includes(&self) -> Self {
        Self {
            exclude_process_names: Vec::new(),
            exclude_executables: Vec::new(),
            exclude_container_ids: Vec::new(),
            exclude_namespaces: Vec::new(),
            exclude_deployments: Vec::new(),
            exclude_daemonsets: Vec::new(),
            exclude_statefulsets: Vec::new(),
            exclude_jobs: Vec::new(),
            exclude_cronjobs: Vec::new(),
            exclude_pods: Vec::new(),
            exclude_labels: Vec::new(),
            ..self.clone()
        }
    }
}

impl TargetingSpec {
    /// The same without what counts as absent within a list.
    pub(crate) fn without_empty(mut self) -> Self {
        self.rules = self.rules.without_empty();
        for target in &mut self.targets {
            target.rules = std::mem::take(&mut target.rules).without_empty();
        }
        self
    }

    /// The same with everything in that is excluded: to tell what only an exclusion keeps out.
    pub fn without_exclusions(&self) -> Self {
        let includes = |target: &TargetSpec| TargetSpec { rules: target.rules.includes(), ..target.clone() };
        Self {
            rules: self.rules.includes(),
            targets: self.targets.iter().map(includes).collect(),
            pod_annotations: PodAnnotations::Off,
            profile_self: self.profile_self,
        }
    }
}
