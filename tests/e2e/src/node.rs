//! A node of a Kubernetes cluster: a server that knows its pods, and containers that run in them.

use crate::{Container, PodPlace, Program, Scratch};
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::PathBuf;
use telegen_test_kubernetes::{
    ApiServer, Container as Listed, Credentials, Grant, Options, Pod, Runtime, Workload, write_kubeconfig,
};

/// The node's name.
pub const NODE: &str = "node-1";
/// Who telegen is for the server.
pub const USER: &str = "system:serviceaccount:telegen:telegen";

/// The node, and the server of its cluster.
pub struct Node {
    /// The server.
    pub server: ApiServer,
    kubeconfig: PathBuf,
}

impl Node {
    /// Starts a server of which telegen may ask what its documentation says that it asks for.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn start(scratch: &Scratch) -> Result<Self> {
        Self::start_with(scratch, Options::default())
    }

    /// The same with options.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn start_with(scratch: &Scratch, options: Options) -> Result<Self> {
        let server = ApiServer::start(options)?;
        let access = server.access();
        for (verb, group, resource) in [
            ("list", "", "pods"),
            ("watch", "", "pods"),
            ("get", "apps", "replicasets"),
            ("get", "batch", "jobs"),
        ] {
            access.grant(USER, Grant::cluster(verb, group, resource));
        }
        let node = Self { kubeconfig: scratch.join("kubeconfig"), server };
        let token = node.server.access().issue_token(USER);
        node.write_kubeconfig(&Credentials::Token(token))?;
        Ok(node)
    }

    /// Writes another kubeconfig in place of the one that there is.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write_kubeconfig(&self, credentials: &Credentials) -> Result<()> {
        Ok(write_kubeconfig(&self.kubeconfig, &self.server, "telegen", credentials)?)
    }

    /// The lines of a configuration below `profiler:` by which telegen knows the server.
    pub fn settings(&self) -> String {
        let kubeconfig = self.kubeconfig.display();
        format!("  kubernetes: {{enabled: true, node_name: {NODE}, kubeconfig: {kubeconfig}}}\n")
    }

    /// Writes a configuration with these rules, lines below `profiler:`; its path.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn config(&self, scratch: &Scratch, rules: &str) -> Result<String> {
        scratch.write("node.yaml", &format!("profiler:\n{}{rules}", self.settings()))?;
        Ok(scratch.text("node.yaml"))
    }

    /// Lets the server have an object.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub fn put(&self, object: Value) -> Result<Value> {
        Ok(self.server.cluster().put(object)?)
    }

    /// A replica set of a deployment, with these labels; both are in the server then.
    ///
    /// # Errors
    ///
    /// If the server does not take them.
    pub fn replica_set(&self, namespace: &str, deployment: &str, labels: &[(&str, &str)]) -> Result<Value> {
        let deployment = labels
            .iter()
            .fold(Workload::deployment(namespace, deployment), |owner, (key, value)| owner.label(key, value));
        let deployment = self.put(deployment.build())?;
        self.put(Workload::replica_set_of(&deployment).build())
    }

    /// Starts a container of the pod, in its control group by the cgroupfs driver, and then lets the server know both.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn run(&self, scratch: &Scratch, pod: Pod, program: Program, name: &str) -> Result<Container> {
        self.run_at(scratch, pod, program, name, PodPlace::cgroupfs)
    }

    /// The same in the control group that is chosen by the pod's uid.
    ///
    /// # Errors
    ///
    /// If it does not start.
    pub fn run_at(
        &self,
        scratch: &Scratch,
        pod: Pod,
        program: Program,
        name: &str,
        place: fn(&str) -> PodPlace,
    ) -> Result<Container> {
        let pod = pod.node(NODE);
        let container = Container::start_in(scratch, program, name, &[], &place(&uid(&pod)?))?;
        let id = Runtime::Containerd.named(container.id());
        self.put(pod.container(Listed::running("main", id)).build())?;
        Ok(container)
    }

    /// Edits a label of a pod: sets it, or takes it away.
    ///
    /// # Errors
    ///
    /// If there is no such pod.
    pub fn label(&self, namespace: &str, pod: &str, key: &str, value: Option<&str>) -> Result<()> {
        self.server.cluster().modify("Pod", namespace, pod, |pod| {
            pod["metadata"]["labels"][key] = value.into();
            if let (None, Some(labels)) = (value, pod["metadata"]["labels"].as_object_mut()) {
                labels.remove(key);
            }
        })?;
        Ok(())
    }
}

/// The uid of a pod that the server does not have yet.
fn uid(pod: &Pod) -> Result<String> {
    let object = pod.clone().build();
    Ok(object["metadata"]["uid"].as_str().context("a pod has a uid")?.to_owned())
}
