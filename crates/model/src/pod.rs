//! Pods, and what is known of the pod that a process runs in.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The kind of the controller that a pod is there for.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum WorkloadKind {
    /// A Deployment, which has the pod through a ReplicaSet.
    Deployment,
    /// A StatefulSet.
    StatefulSet,
    /// A DaemonSet.
    DaemonSet,
    /// A CronJob, which has the pod through a Job.
    CronJob,
    /// A Job that no CronJob has made.
    Job,
    /// A ReplicaSet that no Deployment has made.
    ReplicaSet,
    /// None: the pod stands for itself.
    Pod,
    /// Another controller, by its own kind.
    Other(Box<str>),
}

impl WorkloadKind {
    /// The kind of this name, as it stands in an owner reference.
    pub fn new(name: &str) -> Self {
        match name {
            "Deployment" => Self::Deployment,
            "StatefulSet" => Self::StatefulSet,
            "DaemonSet" => Self::DaemonSet,
            "CronJob" => Self::CronJob,
            "Job" => Self::Job,
            "ReplicaSet" => Self::ReplicaSet,
            "Pod" => Self::Pod,
            other => Self::Other(other.into()),
        }
    }

    /// The kind as Kubernetes writes it.
    pub fn name(&self) -> &str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::CronJob => "CronJob",
            Self::Job => "Job",
            Self::ReplicaSet => "ReplicaSet",
            Self::Pod => "Pod",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a pod is there for: its topmost owner, or itself.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Workload {
    /// The kind of controller.
    pub kind: WorkloadKind,
    /// Its name, in the pod's namespace.
    pub name: Box<str>,
}

/// A pod, as far as the source of the facts knows it.
///
/// A process may have told namespace and name itself, where there is no other source: then they are the process's own
/// word, either may be missing, and there are no [`PodDetails`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pod {
    /// The uid by which control groups name it: for a static pod the hash of its configuration.
    pub uid: Box<str>,
    /// Its namespace.
    pub namespace: Option<Box<str>>,
    /// Its name.
    pub name: Option<Box<str>>,
    /// What only Kubernetes can tell of it; `None` if Kubernetes has not been asked.
    pub details: Option<PodDetails>,
}

/// What only Kubernetes can tell of a pod.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PodDetails {
    /// The node that it runs on.
    pub node: Box<str>,
    /// Its labels.
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// Those of its annotations that rules ask for.
    pub annotations: BTreeMap<Box<str>, Box<str>>,
    /// What it is there for.
    pub workload: Workload,
}

/// What is known of the pod that a process runs in.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum PodFacts {
    /// It runs in none, or nobody has asked.
    #[default]
    InNone,
    /// It runs in one that the source of the facts does not know yet.
    Pending,
    /// It runs in one that the source, which knows all pods of this node, says is not on this node.
    NotHere,
    /// It runs in this one.
    Known {
        /// The pod.
        pod: Arc<Pod>,
        /// The name of the process's container in the pod, if it is known.
        container: Option<Arc<str>>,
    },
}

impl PodFacts {
    /// The pod, if it is known.
    pub fn pod(&self) -> Option<&Arc<Pod>> {
        match self {
            Self::Known { pod, .. } => Some(pod),
            Self::InNone | Self::Pending | Self::NotHere => None,
        }
    }

    /// The name of the process's container in the pod, if it is known.
    pub fn container(&self) -> Option<&Arc<str>> {
        match self {
            Self::Known { container, .. } => container.as_ref(),
            Self::InNone | Self::Pending | Self::NotHere => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_by_their_names() {
        for name in ["Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "ReplicaSet", "Pod"] {
            let kind = WorkloadKind::new(name);
            assert_eq!(kind.name(), name);
            assert!(!matches!(kind, WorkloadKind::Other(_)), "{name}");
        }
        assert_eq!(WorkloadKind::new("Rollout"), WorkloadKind::Other("Rollout".into()));
        assert_eq!(WorkloadKind::new("Rollout").to_string(), "Rollout");
    }
}
