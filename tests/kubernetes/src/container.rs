//! Containers of a pod: what the spec says and what the kubelet reports.

use crate::random;
use serde_json::{Value, json};

/// Who runs containers, as ids of containers say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Runtime {
    /// `containerd://`
    Containerd,
    /// `cri-o://`
    CriO,
    /// `docker://`
    Docker,
}

impl Runtime {
    /// A new id of a container: 64 hexadecimal digits behind the name of the runtime.
    pub fn container_id(self) -> String {
        self.named(&random::hex::<32>())
    }

    /// The id of a container that there is.
    pub fn named(self, id: &str) -> String {
        let scheme = match self {
            Self::Containerd => "containerd",
            Self::CriO => "cri-o",
            Self::Docker => "docker",
        };
        format!("{scheme}://{id}")
    }
}

/// One container of a pod.
#[derive(Clone, Debug)]
pub struct Container {
    name: String,
    image: String,
    id: Option<String>,
    state: State,
    last: Option<String>,
    restarts: u32,
    always: bool,
}

#[derive(Clone, Debug)]
enum State {
    Running,
    Waiting(String),
    Terminated(i32),
}

impl Container {
    /// One that runs under an id such as [`Runtime::container_id`] gives.
    pub fn running(name: &str, id: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            image: format!("registry.example/shop/{name}:1.7.3"),
            id: Some(id.into()),
            state: State::Running,
            last: None,
            restarts: 0,
            always: false,
        }
    }

    /// One that has not been made yet, for a reason such as `ContainerCreating`.
    pub fn waiting(name: &str, reason: &str) -> Self {
        Self { id: None, state: State::Waiting(reason.to_owned()), ..Self::running(name, "") }
    }

    /// One that has ended.
    pub fn terminated(name: &str, id: impl Into<String>, exit_code: i32) -> Self {
        Self { state: State::Terminated(exit_code), ..Self::running(name, id) }
    }

    /// What it was made of.
    #[must_use]
    pub fn image(mut self, image: &str) -> Self {
        image.clone_into(&mut self.image);
        self
    }

    /// It has ended before, under another id.
    #[must_use]
    pub fn after(mut self, earlier_id: impl Into<String>) -> Self {
        self.last = Some(earlier_id.into());
        self.restarts += 1;
        self
    }

    /// As an init container it is a sidecar: it goes on beside the others.
    #[must_use]
    pub fn sidecar(mut self) -> Self {
        self.always = true;
        self
    }

    pub(crate) fn spec(&self, role: Role) -> Value {
        let mut spec = json!({
            "name": self.name,
            "image": self.image,
            "args": ["serve", "--config=/etc/shop/config.yaml", format!("--log-prefix={}", self.name)],
            "env": [
                {"name": "GOMEMLIMIT", "value": "402653184"},
                {"name": "OTEL_SERVICE_NAME", "value": self.name},
                {"name": "POD_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
                {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "spec.nodeName"}}},
                {"name": "DATABASE_PASSWORD",
                 "valueFrom": {"secretKeyRef": {"name": "database", "key": "password"}}},
            ],
            "resources": {
                "limits": {"cpu": "1", "memory": "512Mi"},
                "requests": {"cpu": "250m", "memory": "256Mi"},
            },
            "volumeMounts": [
                {"name": "config", "readOnly": true, "mountPath": "/etc/shop"},
                {"name": "scratch", "mountPath": "/tmp"},
                {"name": "kube-api-access-7xk2p", "readOnly": true,
                 "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"},
            ],
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "imagePullPolicy": "IfNotPresent",
            "securityContext": {
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": true,
                "allowPrivilegeEscalation": false,
            },
        });
        if role == Role::Main {
            spec["ports"] = json!([{"name": "http", "containerPort": 8080, "protocol": "TCP"}]);
            for (probe, path) in [("livenessProbe", "/live"), ("readinessProbe", "/ready")] {
                spec[probe] = json!({
                    "httpGet": {"path": path, "port": "http", "scheme": "HTTP"},
                    "initialDelaySeconds": 5,
                    "timeoutSeconds": 2,
                    "periodSeconds": 10,
                    "successThreshold": 1,
                    "failureThreshold": 3,
                });
            }
        }
        if self.always {
            spec["restartPolicy"] = "Always".into();
        }
        spec
    }

    pub(crate) fn status(&self, role: Role, time: &str) -> Value {
        let state = match &self.state {
            State::Running => json!({"running": {"startedAt": time}}),
            State::Waiting(reason) => json!({"waiting": {"reason": reason}}),
            State::Terminated(code) => ended(*code, self.id.as_deref(), time),
        };
        let last = self.last.as_ref().map_or_else(|| json!({}), |id| ended(137, Some(id), time));
        let running = matches!(self.state, State::Running);
        let done = role == Role::Init && matches!(self.state, State::Terminated(0));
        let mut status = json!({
            "name": self.name,
            "state": state,
            "lastState": last,
            "ready": running && role != Role::Ephemeral || done,
            "restartCount": self.restarts,
            "image": self.image,
            "imageID": "",
            "started": running,
        });
        if let Some(id) = &self.id {
            status["containerID"] = id.as_str().into();
            status["imageID"] =
                format!("registry.example/shop/{}@sha256:{}", self.name, random::hex::<32>()).into();
        }
        status
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// What a container is in its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Init,
    Main,
    Ephemeral,
}

fn ended(code: i32, id: Option<&str>, time: &str) -> Value {
    let reason = match code {
        0 => "Completed",
        137 => "OOMKilled",
        _ => "Error",
    };
    let mut ended = json!({"exitCode": code, "reason": reason, "startedAt": time, "finishedAt": time});
    if let Some(id) = id {
        ended["containerID"] = id.into();
    }
    json!({"terminated": ended})
}
