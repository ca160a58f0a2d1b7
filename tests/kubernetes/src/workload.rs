//! What owns pods: replica sets, deployments, jobs and the like.

use crate::random;
use serde_json::{Map, Value, json};

/// Makes an object that owns pods, or owns what owns them.
#[derive(Clone, Debug)]
pub struct Workload {
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
    labels: Map<String, Value>,
    template_labels: Map<String, Value>,
    annotations: Map<String, Value>,
    owners: Vec<Value>,
}

impl Workload {
    /// An object of any kind.
    pub fn new(api_version: &str, kind: &str, namespace: &str, name: &str) -> Self {
        Self {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            labels: Map::new(),
            template_labels: Map::new(),
            annotations: Map::new(),
            owners: Vec::new(),
        }
    }

    /// A deployment.
    pub fn deployment(namespace: &str, name: &str) -> Self {
        Self::new("apps/v1", "Deployment", namespace, name)
            .annotation("deployment.kubernetes.io/revision", "1")
    }

    /// A replica set. What stands behind the last dash of its name is the hash of its template.
    pub fn replica_set(namespace: &str, name: &str) -> Self {
        let hash = name.rsplit('-').next().unwrap_or(name).to_owned();
        Self::new("apps/v1", "ReplicaSet", namespace, name)
            .annotation("deployment.kubernetes.io/desired-replicas", "2")
            .annotation("deployment.kubernetes.io/max-replicas", "3")
            .annotation("deployment.kubernetes.io/revision", "1")
            .label("pod-template-hash", &hash)
    }

    /// The replica set that a deployment, or a rollout, would make.
    pub fn replica_set_of(owner: &Value) -> Self {
        let text = |field: &str| owner["metadata"][field].as_str().unwrap_or_default().to_owned();
        let name = format!("{}-{}", text("name"), random::suffix(9));
        let mut set = Self::replica_set(&text("namespace"), &name).owner(owner);
        if let Some(labels) = owner["spec"]["template"]["metadata"]["labels"].as_object() {
            set.labels.extend(labels.clone());
            set.template_labels.extend(labels.clone());
        }
        set
    }

    /// A stateful set.
    pub fn stateful_set(namespace: &str, name: &str) -> Self {
        Self::new("apps/v1", "StatefulSet", namespace, name)
    }

    /// A daemon set.
    pub fn daemon_set(namespace: &str, name: &str) -> Self {
        Self::new("apps/v1", "DaemonSet", namespace, name)
    }

    /// A job.
    pub fn job(namespace: &str, name: &str) -> Self {
        Self::new("batch/v1", "Job", namespace, name)
    }

    /// A cron job.
    pub fn cron_job(namespace: &str, name: &str) -> Self {
        Self::new("batch/v1", "CronJob", namespace, name)
    }

    /// A label, of the object and of the pods that it makes.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.into());
        self.template_labels.insert(key.to_owned(), value.into());
        self
    }

    /// A label of the object alone.
    #[must_use]
    pub fn own_label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.into());
        self
    }

    /// An annotation.
    #[must_use]
    pub fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(key.to_owned(), value.into());
        self
    }

    /// Another owner; the first is the controller.
    #[must_use]
    pub fn owner(mut self, owner: &Value) -> Self {
        self.owners.push(owner_reference(owner, self.owners.is_empty()));
        self
    }

    /// The object.
    pub fn build(self) -> Value {
        let mut metadata = json!({
            "name": self.name,
            "namespace": self.namespace,
            "uid": random::uid(),
            "generation": 1,
            "managedFields": [self.managed_fields()],
        });
        if !self.owners.is_empty() {
            metadata["ownerReferences"] = self.owners.clone().into();
        }
        for (field, map) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            if !map.is_empty() {
                metadata[field] = Value::Object(map.clone());
            }
        }
        let template = json!({
            "metadata": {"labels": self.template_labels},
            "spec": {
                "containers": [{
                    "name": "main",
                    "image": "registry.example/shop/main:1.7.3",
                    "resources": {"requests": {"cpu": "250m", "memory": "256Mi"}},
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File",
                    "imagePullPolicy": "IfNotPresent",
                }],
                "restartPolicy": if self.api_version == "batch/v1" { "Never" } else { "Always" },
                "terminationGracePeriodSeconds": 30,
                "dnsPolicy": "ClusterFirst",
                "securityContext": {},
                "schedulerName": "default-scheduler",
            },
        });
        let spec = match self.kind.as_str() {
            "Job" => json!({"parallelism": 1, "completions": 1, "backoffLimit": 6, "template": template}),
            "CronJob" => json!({
                "schedule": "*/5 * * * *",
                "suspend": false,
                "jobTemplate": {"metadata": {}, "spec": {"template": template}},
            }),
            _ => json!({
                "replicas": 2,
                "selector": {"matchLabels": self.template_labels},
                "template": template,
            }),
        };
        json!({
            "kind": self.kind,
            "apiVersion": self.api_version,
            "metadata": metadata,
            "spec": spec,
            "status": {"observedGeneration": 1},
        })
    }

    fn managed_fields(&self) -> Value {
        let labels = self.labels.keys().map(|key| (format!("f:{key}"), json!({})));
        let labels: Map<String, Value> = labels.collect();
        json!({
            "manager": "kubectl-client-side-apply",
            "operation": "Update",
            "apiVersion": self.api_version,
            "time": crate::clock::Clock::default().object_time(),
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:metadata": {"f:labels": labels},
                "f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": {"f:spec": {"f:containers": {
                    "k:{\"name\":\"main\"}": {".": {}, "f:image": {}, "f:name": {}, "f:resources": {}},
                }}}},
            },
        })
    }
}

/// How an object refers to one that owns it.
pub(crate) fn owner_reference(owner: &Value, controller: bool) -> Value {
    let mut reference = json!({
        "apiVersion": owner["apiVersion"],
        "kind": owner["kind"],
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    });
    if controller {
        reference["controller"] = true.into();
        reference["blockOwnerDeletion"] = true.into();
    }
    reference
}
