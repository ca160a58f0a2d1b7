//! Pods of the size that pods have.

use crate::container::{Container, Role};
use crate::random;
use crate::workload::owner_reference;
use serde_json::{Map, Value, json};

/// Makes a pod: a full spec, status and managed fields around what matters to a test.
#[derive(Clone, Debug)]
pub struct Pod {
    namespace: String,
    name: String,
    uid: String,
    node: Option<String>,
    labels: Map<String, Value>,
    annotations: Map<String, Value>,
    owners: Vec<Value>,
    init: Vec<Container>,
    main: Vec<Container>,
    ephemeral: Vec<Container>,
    phase: String,
    spec: Map<String, Value>,
    time: String,
}

impl Pod {
    /// A pod by itself, as somebody makes who needs one for a moment.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            uid: random::uid(),
            node: None,
            labels: Map::new(),
            annotations: Map::new(),
            owners: Vec::new(),
            init: Vec::new(),
            main: Vec::new(),
            ephemeral: Vec::new(),
            phase: "Running".to_owned(),
            spec: Map::new(),
            time: crate::clock::Clock::default().object_time(),
        }
    }

    /// A pod that a controller made: named and labelled as its kind does it. The owner is an object as
    /// [`Cluster::put`](crate::Cluster::put) gives it.
    pub fn of(owner: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let name = text(&owner["metadata"]["name"]);
        let kind = text(&owner["kind"]);
        let suffix = if kind == "StatefulSet" { "0".to_owned() } else { random::suffix(5) };
        let mut pod =
            Self::new(&text(&owner["metadata"]["namespace"]), &format!("{name}-{suffix}")).owner(owner);
        if let Some(labels) = owner["spec"]["template"]["metadata"]["labels"].as_object() {
            pod.labels.extend(labels.clone());
        }
        let uid = text(&owner["metadata"]["uid"]);
        match kind.as_str() {
            "StatefulSet" => pod
                .label("apps.kubernetes.io/pod-index", &suffix)
                .label("controller-revision-hash", &format!("{name}-{}", random::suffix(10)))
                .label("statefulset.kubernetes.io/pod-name", &format!("{name}-{suffix}")),
            "DaemonSet" => pod
                .label("controller-revision-hash", &random::suffix(10))
                .label("pod-template-generation", "1"),
            "Job" => pod
                .label("batch.kubernetes.io/controller-uid", &uid)
                .label("batch.kubernetes.io/job-name", &name)
                .label("controller-uid", &uid)
                .label("job-name", &name),
            _ => pod,
        }
    }

    /// Where it runs.
    #[must_use]
    pub fn node(mut self, node: &str) -> Self {
        self.node = Some(node.to_owned());
        self
    }

    /// Its uid, which is random otherwise.
    #[must_use]
    pub fn uid(mut self, uid: &str) -> Self {
        uid.clone_into(&mut self.uid);
        self
    }

    /// Another label.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.insert(key.to_owned(), value.into());
        self
    }

    /// Another annotation.
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

    /// Another container.
    #[must_use]
    pub fn container(mut self, container: Container) -> Self {
        self.main.push(container);
        self
    }

    /// Another init container.
    #[must_use]
    pub fn init_container(mut self, container: Container) -> Self {
        self.init.push(container);
        self
    }

    /// Another ephemeral container, as `kubectl debug` adds.
    #[must_use]
    pub fn ephemeral_container(mut self, container: Container) -> Self {
        self.ephemeral.push(container);
        self
    }

    /// `Pending`, `Running`, `Succeeded` or `Failed`; `Running` otherwise.
    #[must_use]
    pub fn phase(mut self, phase: &str) -> Self {
        phase.clone_into(&mut self.phase);
        self
    }

    /// A field of the spec: `hostPID`, `hostNetwork`, `shareProcessNamespace`.
    #[must_use]
    pub fn spec(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.spec.insert(field.to_owned(), value.into());
        self
    }

    /// The mirror of a static pod: its uid in the server is its own, and the kubelet knows the pod by the
    /// hash, which is the uid in paths and control groups of its containers.
    #[must_use]
    pub fn mirror_of(self, hash: &str) -> Self {
        let time = self.time.clone();
        self.annotation("kubernetes.io/config.hash", hash)
            .annotation("kubernetes.io/config.mirror", hash)
            .annotation("kubernetes.io/config.seen", &time)
            .annotation("kubernetes.io/config.source", "file")
            .spec("priorityClassName", "system-node-critical")
            .spec("priority", 2_000_001_000)
    }

    /// The object.
    pub fn build(self) -> Value {
        let mut metadata = json!({
            "name": self.name,
            "namespace": self.namespace,
            "uid": self.uid,
            "generation": 1,
            "creationTimestamp": self.time,
            "managedFields": self.managed_fields(),
        });
        if !self.owners.is_empty() {
            metadata["ownerReferences"] = Value::Array(self.owners.clone());
            if let Some((start, _)) = self.name.rsplit_once('-') {
                metadata["generateName"] = format!("{start}-").into();
            }
        }
        for (field, map) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            if !map.is_empty() {
                metadata[field] = Value::Object(map.clone());
            }
        }
        json!({
            "kind": "Pod",
            "apiVersion": "v1",
            "metadata": metadata,
            "spec": self.full_spec(),
            "status": self.status(),
        })
    }

    fn full_spec(&self) -> Value {
        let specs = |containers: &[Container], role| {
            containers.iter().map(|container| container.spec(role)).collect::<Vec<_>>()
        };
        let tolerate = |key: &str| {
            let key = format!("node.kubernetes.io/{key}");
            json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300})
        };
        let mut spec = json!({
            "volumes": [
                {"name": "config", "configMap": {"name": "shop", "defaultMode": 420}},
                {"name": "scratch", "emptyDir": {"sizeLimit": "64Mi"}},
                {"name": "kube-api-access-7xk2p", "projected": {"sources": [
                    {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                    {"downwardAPI": {"items": [{"path": "namespace", "fieldRef":
                        {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
                ], "defaultMode": 420}},
            ],
            "containers": specs(&self.main, Role::Main),
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "default",
            "serviceAccount": "default",
            "securityContext": {"runAsUser": 10001, "runAsNonRoot": true, "fsGroup": 10001},
            "schedulerName": "default-scheduler",
            "tolerations": [tolerate("not-ready"), tolerate("unreachable")],
            "priority": 0,
            "enableServiceLinks": true,
            "preemptionPolicy": "PreemptLowerPriority",
        });
        if !self.init.is_empty() {
            spec["initContainers"] = specs(&self.init, Role::Init).into();
        }
        if !self.ephemeral.is_empty() {
            spec["ephemeralContainers"] = specs(&self.ephemeral, Role::Ephemeral).into();
        }
        if let Some(node) = &self.node {
            spec["nodeName"] = node.as_str().into();
        }
        for (field, value) in &self.spec {
            spec[field] = value.clone();
        }
        spec
    }

    fn status(&self) -> Value {
        let scheduled = self.node.is_some();
        let running = self.phase == "Running";
        let condition = |kind: &str, holds: bool| {
            json!({
                "type": kind,
                "observedGeneration": 1,
                "status": if holds { "True" } else { "False" },
                "lastProbeTime": null,
                "lastTransitionTime": self.time,
            })
        };
        let mut status = json!({"observedGeneration": 1, "phase": self.phase, "qosClass": "Burstable"});
        if !scheduled {
            status["conditions"] = json!([condition("PodScheduled", false)]);
            return status;
        }
        status["conditions"] = json!([
            condition("PodReadyToStartContainers", running),
            condition("Initialized", running),
            condition("Ready", running),
            condition("ContainersReady", running),
            condition("PodScheduled", true),
        ]);
        status["hostIP"] = "192.0.2.7".into();
        status["hostIPs"] = json!([{"ip": "192.0.2.7"}]);
        status["startTime"] = self.time.as_str().into();
        if running {
            status["podIP"] = "198.51.100.23".into();
            status["podIPs"] = json!([{"ip": "198.51.100.23"}]);
        }
        for (field, containers, role) in [
            ("initContainerStatuses", &self.init, Role::Init),
            ("containerStatuses", &self.main, Role::Main),
            ("ephemeralContainerStatuses", &self.ephemeral, Role::Ephemeral),
        ] {
            if !containers.is_empty() {
                let statuses = containers.iter().map(|container| container.status(role, &self.time));
                status[field] = statuses.collect();
            }
        }
        status
    }

    fn managed_fields(&self) -> Value {
        let owned = |fields: &[&str]| {
            let fields = fields.iter().map(|field| (format!("f:{field}"), json!({})));
            Value::Object(fields.collect())
        };
        let mut containers = Map::new();
        for container in &self.main {
            let fields = [
                ".",
                "args",
                "env",
                "image",
                "imagePullPolicy",
                "livenessProbe",
                "name",
                "ports",
                "readinessProbe",
                "resources",
                "securityContext",
                "terminationMessagePath",
                "terminationMessagePolicy",
                "volumeMounts",
            ];
            containers.insert(format!("k:{{\"name\":{:?}}}", container.name()), owned(&fields));
        }
        let mut spec = owned(&[
            "dnsPolicy",
            "enableServiceLinks",
            "restartPolicy",
            "schedulerName",
            "securityContext",
            "terminationGracePeriodSeconds",
            "volumes",
        ]);
        spec["f:containers"] = Value::Object(containers);
        let mut metadata = owned(&["generateName", "ownerReferences"]);
        let labels: Vec<&str> = self.labels.keys().map(String::as_str).collect();
        metadata["f:labels"] = owned(&labels);
        let mut conditions = Map::new();
        for kind in ["ContainersReady", "Initialized", "PodReadyToStartContainers", "Ready"] {
            let fields = owned(&["lastProbeTime", "lastTransitionTime", "status", "type"]);
            conditions.insert(format!("k:{{\"type\":{kind:?}}}"), fields);
        }
        let mut status =
            owned(&["containerStatuses", "hostIP", "hostIPs", "phase", "podIP", "podIPs", "startTime"]);
        status["f:conditions"] = Value::Object(conditions);
        let entry = |manager: &str, fields: Value| {
            json!({
                "manager": manager,
                "operation": "Update",
                "apiVersion": "v1",
                "time": self.time,
                "fieldsType": "FieldsV1",
                "fieldsV1": fields,
            })
        };
        let mut by_kubelet = entry("kubelet", json!({"f:status": status}));
        by_kubelet["subresource"] = "status".into();
        let by_controller = entry("kube-controller-manager", json!({"f:metadata": metadata, "f:spec": spec}));
        json!([by_controller, by_kubelet])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Runtime, Workload};

    #[test]
    fn a_pod_has_the_size_of_one() {
        let owner = Workload::replica_set("shop", "web-6c9f7b5d4").label("app", "web").build();
        let id = Runtime::Containerd.container_id();
        let pod = Pod::of(&owner).node("n").container(Container::running("web", id)).build();
        let bytes = pod.to_string().len();
        assert!((4_000..10_000).contains(&bytes), "{bytes}");
        let two = Pod::of(&owner)
            .node("n")
            .init_container(Container::terminated("migrate", Runtime::CriO.container_id(), 0))
            .container(Container::running("web", Runtime::CriO.container_id()))
            .container(Container::running("proxy", Runtime::CriO.container_id()))
            .build();
        let bytes = two.to_string().len();
        assert!((6_000..12_000).contains(&bytes), "{bytes}");
    }
}
