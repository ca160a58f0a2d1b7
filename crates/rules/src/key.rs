//! The keys that rules stand under.

use telegen_model::WorkloadKind;

macro_rules! keys {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $word:literal, $fact:ident;)+) => {
        /// A key of the configuration that holds rules.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        #[non_exhaustive]
        pub enum Key {
            $($(#[$doc])* #[doc = concat!("`", $name, "`")] $variant,)+
        }

        impl Key {
            /// All keys, in the order in which they are shown.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The key as it is written in the configuration.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The key's fixed word in the summary.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }

            /// What the key looks at.
            pub fn fact(self) -> Fact {
                match self { $(Self::$variant => Fact::$fact,)+ }
            }
        }
    };
}

keys! {
    Pid = "target_pid", "PID", Pid;
    Pids = "target_pids", "PIDs", Pid;
    ProcessNames = "target_process_names", "ProcessNames", Name;
    Executables = "target_executables", "Executables", Executable;
    ContainerIds = "target_container_ids", "ContainerIDs", Container;
    Namespaces = "target_namespaces", "Namespaces", Namespace;
    Deployments = "target_deployments", "Deployments", Workload;
    DaemonSets = "target_daemonsets", "DaemonSets", Workload;
    StatefulSets = "target_statefulsets", "StatefulSets", Workload;
    Jobs = "target_jobs", "Jobs", Workload;
    CronJobs = "target_cronjobs", "CronJobs", Workload;
    Pods = "target_pods", "Pods", Pod;
    Labels = "target_labels", "Labels", Labels;
    ExcludeProcessNames = "exclude_process_names", "ExcludeProcessNames", Name;
    ExcludeExecutables = "exclude_executables", "ExcludeExecutables", Executable;
    ExcludeContainerIds = "exclude_container_ids", "ExcludeContainerIDs", Container;
    ExcludeNamespaces = "exclude_namespaces", "ExcludeNamespaces", Namespace;
    ExcludeDeployments = "exclude_deployments", "ExcludeDeployments", Workload;
    ExcludeDaemonSets = "exclude_daemonsets", "ExcludeDaemonSets", Workload;
    ExcludeStatefulSets = "exclude_statefulsets", "ExcludeStatefulSets", Workload;
    ExcludeJobs = "exclude_jobs", "ExcludeJobs", Workload;
    ExcludeCronJobs = "exclude_cronjobs", "ExcludeCronJobs", Workload;
    ExcludePods = "exclude_pods", "ExcludePods", Pod;
    ExcludeLabels = "exclude_labels", "ExcludeLabels", Labels;
    PodAnnotations = "pod_annotations", "PodAnnotations", Annotation;
}

/// What a rule looks at. The keys that include by the same fact are one type of `match: all`: so all kinds of
/// workload are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[non_exhaustive]
pub enum Fact {
    /// The pid.
    Pid,
    /// Any of the process's names.
    Name,
    /// The executable's path.
    Executable,
    /// The container's id.
    Container,
    /// The pod's namespace.
    Namespace,
    /// What the pod is there for.
    Workload,
    /// The pod's name.
    Pod,
    /// The pod's labels.
    Labels,
    /// The pod's own wish.
    Annotation,
}

impl Fact {
    /// What it is, in words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pid => "pid",
            Self::Name => "name",
            Self::Executable => "executable",
            Self::Container => "container",
            Self::Namespace => "namespace",
            Self::Workload => "workload",
            Self::Pod => "pod",
            Self::Labels => "labels",
            Self::Annotation => "annotation",
        }
    }

    /// Whether it is one that only Kubernetes can tell of a pod.
    pub fn is_of_pod_details(self) -> bool {
        matches!(self, Self::Workload | Self::Labels | Self::Annotation)
    }

    /// Whether it is a fact about the process's pod.
    pub fn is_of_pod(self) -> bool {
        matches!(self, Self::Namespace | Self::Workload | Self::Pod | Self::Labels | Self::Annotation)
    }
}

impl Key {
    /// The key as it is written within a named target.
    pub fn name_in_target(self) -> &'static str {
        self.name().strip_prefix("target_").unwrap_or(self.name())
    }

    /// Whether it excludes.
    pub fn is_exclusion(self) -> bool {
        self.name().starts_with("exclude_")
    }

    /// The kind of workload that the key's patterns name.
    pub(crate) fn workload_kind(self) -> Option<WorkloadKind> {
        match self {
            Self::Deployments | Self::ExcludeDeployments => Some(WorkloadKind::Deployment),
            Self::DaemonSets | Self::ExcludeDaemonSets => Some(WorkloadKind::DaemonSet),
            Self::StatefulSets | Self::ExcludeStatefulSets => Some(WorkloadKind::StatefulSet),
            Self::Jobs | Self::ExcludeJobs => Some(WorkloadKind::Job),
            Self::CronJobs | Self::ExcludeCronJobs => Some(WorkloadKind::CronJob),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn within_a_target_keys_have_no_prefix_but_that_of_exclusions() {
        assert_eq!(Key::ProcessNames.name_in_target(), "process_names");
        assert_eq!(Key::ExcludeLabels.name_in_target(), "exclude_labels");
    }

    #[test]
    fn every_kind_of_workload_that_has_a_key_is_one() {
        for &key in Key::ALL {
            assert_eq!(key.workload_kind().is_some(), key.fact() == Fact::Workload, "{key:?}");
        }
    }
}
