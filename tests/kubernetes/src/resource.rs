//! The resources that a server has, built in or installed.

use serde_json::{Value, json};

/// A kind of object and where it is served.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Resource {
    /// Empty for the core group.
    pub group: String,
    /// For example `v1`.
    pub version: String,
    /// The plural, as paths have it.
    pub plural: String,
    /// As objects have it.
    pub kind: String,
    /// Whether its objects are in namespaces.
    pub namespaced: bool,
    /// Whether a custom resource definition made it: such objects are kept as they were sent.
    pub custom: bool,
}

impl Resource {
    fn built_in(group: &str, plural: &str, kind: &str, namespaced: bool) -> Self {
        Self {
            group: group.to_owned(),
            version: "v1".to_owned(),
            plural: plural.to_owned(),
            kind: kind.to_owned(),
            namespaced,
            custom: false,
        }
    }

    /// What a custom resource definition would make, in namespaces.
    pub fn custom(group: &str, version: &str, plural: &str, kind: &str) -> Self {
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            kind: kind.to_owned(),
            namespaced: true,
            custom: true,
        }
    }

    /// `v1`, or `apps/v1`.
    pub fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// `pods`, or `replicasets.apps`: how messages call it.
    pub fn qualified(&self) -> String {
        qualified(&self.group, &self.plural)
    }

    /// What a server of any test has.
    pub(crate) fn all_built_in() -> Vec<Self> {
        let built_in = |(group, plural, kind, namespaced): &(&str, &str, &str, bool)| {
            Self::built_in(group, plural, kind, *namespaced)
        };
        [
            ("", "namespaces", "Namespace", false),
            ("", "nodes", "Node", false),
            ("", "pods", "Pod", true),
            ("", "replicationcontrollers", "ReplicationController", true),
            ("", "services", "Service", true),
            ("apps", "daemonsets", "DaemonSet", true),
            ("apps", "deployments", "Deployment", true),
            ("apps", "replicasets", "ReplicaSet", true),
            ("apps", "statefulsets", "StatefulSet", true),
            ("batch", "cronjobs", "CronJob", true),
            ("batch", "jobs", "Job", true),
        ]
        .iter()
        .map(built_in)
        .collect()
    }

    /// The fields that its objects can be selected by, beyond name and namespace.
    pub(crate) fn selectable_fields(&self) -> &'static [&'static str] {
        match (self.group.as_str(), self.plural.as_str()) {
            ("", "pods") => &[
                "spec.nodeName",
                "spec.restartPolicy",
                "spec.schedulerName",
                "spec.serviceAccountName",
                "spec.hostNetwork",
                "status.phase",
                "status.podIP",
                "status.podIPs",
                "status.nominatedNodeName",
            ],
            ("", "nodes") => &["spec.unschedulable"],
            ("", "namespaces") => &["status.phase"],
            ("", "services") => &["spec.clusterIP", "spec.type"],
            ("", "replicationcontrollers") => &["status.replicas"],
            ("batch", "jobs") => &["status.successful"],
            _ => &[],
        }
    }

    /// An object of which nothing is known but its version: what a bookmark carries.
    pub(crate) fn bookmark(&self, metadata: Value) -> Value {
        let mut object = json!({"kind": self.kind, "apiVersion": self.api_version(), "metadata": metadata});
        let template = || json!({"metadata": {}, "spec": {"containers": null}});
        let empty = match (self.group.as_str(), self.plural.as_str()) {
            ("", "pods") => json!({"spec": {"containers": null}, "status": {}}),
            ("apps", "replicasets") => {
                json!({"spec": {"selector": null, "template": template()}, "status": {"replicas": 0}})
            }
            ("batch", "jobs") => json!({"spec": {"template": template()}, "status": {}}),
            _ if self.custom => json!({}),
            _ => json!({"spec": {}, "status": {}}),
        };
        if let (Value::Object(object), Value::Object(empty)) = (&mut object, empty) {
            object.extend(empty);
        }
        object
    }
}

pub(crate) fn qualified(group: &str, plural: &str) -> String {
    match group {
        "" => plural.to_owned(),
        group => format!("{plural}.{group}"),
    }
}
