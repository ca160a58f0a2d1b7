//! A server of a cluster, and a source that asks it.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::sleep;
use std::time::{Duration, Instant};
use telegen_k8s::{Access, Bell, Change, Figures, KnownPod, Options, Pods, Source};
use telegen_test_kubernetes::{
    ApiServer, Container, Credentials, Grant, Pod, Runtime, Workload, write_kubeconfig,
};

pub(crate) const NODE: &str = "node-1";
pub(crate) const USER: &str = "system:serviceaccount:telegen:telegen";
const LIMIT: Duration = Duration::from_secs(60);

/// What is known, by uid.
#[derive(Default)]
struct Heard {
    pods: Mutex<BTreeMap<Box<str>, Arc<KnownPod>>>,
}

/// The server, what it was asked by, and what came of it.
pub(crate) struct World {
    pub(crate) server: ApiServer,
    pub(crate) figures: Arc<Figures>,
    heard: Arc<Heard>,
    _pods: Pods,
    _files: tempfile::TempDir,
}

/// A server of which pods may be listed and watched, and no more.
pub(crate) fn server(options: telegen_test_kubernetes::Options) -> ApiServer {
    let server = ApiServer::start(options).expect("a server");
    for verb in ["list", "watch"] {
        server.access().grant(USER, Grant::cluster(verb, "", "pods"));
    }
    server
}

pub(crate) fn grant_owners(server: &ApiServer) {
    server.access().grant(USER, Grant::cluster("get", "apps", "replicasets"));
}

/// A replica set of a deployment.
pub(crate) fn replica_set(server: &ApiServer, namespace: &str, deployment: &str) -> serde_json::Value {
    let cluster = server.cluster();
    let deployment = cluster.put(Workload::deployment(namespace, deployment).build()).expect("a deployment");
    cluster.put(Workload::replica_set_of(&deployment).build()).expect("a replica set")
}

/// A pod of two containers.
pub(crate) fn pod(owner: &serde_json::Value, node: &str) -> serde_json::Value {
    let containers =
        ["web", "proxy"].map(|name| Container::running(name, Runtime::Containerd.container_id()));
    containers.into_iter().fold(Pod::of(owner).node(node), Pod::container).build()
}

impl World {
    pub(crate) fn start(server: ApiServer) -> Self {
        let files = tempfile::tempdir().expect("a directory");
        let kubeconfig = files.path().join("kubeconfig");
        let token = server.access().issue_token(USER);
        write_kubeconfig(&kubeconfig, &server, "shop", &Credentials::Token(token)).expect("a kubeconfig");
        assert!(fs::metadata(&kubeconfig).is_ok());
        let heard = Arc::<Heard>::default();
        let tell = {
            let heard = heard.clone();
            move |changes: Vec<Change>| {
                let mut pods = heard.pods.lock().expect("no thread has panicked");
                for change in changes {
                    match change {
                        Change::Here(pod) => drop(pods.insert(pod.pod.uid.clone(), pod)),
                        Change::Gone(uid) => drop(pods.remove(&uid)),
                        Change::Standing(_) => {}
                    }
                }
            }
        };
        let options = Options {
            source: Source::Api,
            access: Access::Kubeconfig(kubeconfig),
            node: NODE.to_owned(),
            annotations: Vec::new(),
        };
        let pods = Pods::start(options, Bell::default(), tell, || {}).expect("a thread");
        Self { server, figures: pods.figures(), heard, _pods: pods, _files: files }
    }

    pub(crate) fn pods(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Arc<KnownPod>>> {
        self.heard.pods.lock().expect("no thread has panicked")
    }

    /// Workloads of the pods, each as kind and name, with how many pods each has.
    pub(crate) fn workloads(&self) -> BTreeMap<String, usize> {
        let mut workloads = BTreeMap::new();
        for pod in self.pods().values() {
            let workload = &pod.pod.details.as_ref().expect("details").workload;
            *workloads.entry(format!("{} {}", workload.kind, workload.name)).or_default() += 1;
        }
        workloads
    }
}

/// How high it counts.
pub(crate) fn count(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Waits until it holds.
pub(crate) fn until(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        sleep(Duration::from_millis(20));
    }
}
