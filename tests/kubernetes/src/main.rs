//! Runs the server by hand, for a look with `kubectl` or another client.

// It talks to whoever started it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use clap::Parser;
use std::io::BufRead;
use std::path::PathBuf;
use telegen_test_kubernetes::{
    ApiServer, Container, Credentials, Error, Fault, Grant, Interruption, Kubelet, Options, Pod, Resource,
    Runtime, ServerCertificate, ServiceAccount, WatchList, Which, Workload, write_kubeconfig,
};

const USER: &str = "system:serviceaccount:telegen:telegen";
const HELP: &str = "commands: add NAME, label NAME KEY VALUE, delete NAME (pods in shop), compact, advance N, down, up, \
                    cut, midline, 429, 500, slow, malformed, clear, rotate, count, quit";

/// A Kubernetes API server for tests, with a few pods in it.
#[derive(Parser)]
#[command(name = "telegen-test-kubernetes")]
struct Arguments {
    /// Where `kubeconfig`, `admin.kubeconfig` and `serviceaccount/` are written.
    directory: PathBuf,
    /// How many pods there are.
    #[arg(long, default_value_t = 5)]
    pods: u32,
    /// The node that they run on.
    #[arg(long, default_value = "node-1")]
    node: String,
    /// Streams lists to watches that ask for them.
    #[arg(long)]
    watch_list: bool,
    /// Seconds between bookmarks.
    #[arg(long, default_value_t = 60)]
    bookmark_interval_s: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let server = ApiServer::start(Options {
        watch_list: if arguments.watch_list { WatchList::Supported } else { WatchList::Unsupported },
        bookmark_interval: std::time::Duration::from_secs(arguments.bookmark_interval_s),
        ..Options::default()
    })?;
    fill(&server, &arguments)?;
    let token = server.access().issue_token(USER);
    let allowed = [("", "pods"), ("apps", "replicasets"), ("batch", "jobs"), ("argoproj.io", "rollouts")];
    for (group, resource) in allowed {
        for verb in ["get", "list", "watch"] {
            server.access().grant(USER, Grant::cluster(verb, group, resource));
        }
    }
    server.access().grant(USER, Grant::cluster("get", "", "nodes/proxy"));
    server.access().grant_all("admin");
    let kubelet = Kubelet::start(&server, &arguments.node, ServerCertificate::Good)?;

    let directory = &arguments.directory;
    std::fs::create_dir_all(directory)?;
    write_kubeconfig(&directory.join("kubeconfig"), &server, "shop", &Credentials::Token(token.clone()))?;
    let admin = Credentials::Certificate(server.access().issue_certificate("admin")?);
    write_kubeconfig(&directory.join("admin.kubeconfig"), &server, "shop", &admin)?;
    let account = ServiceAccount::write(&directory.join("serviceaccount"), &server, "telegen", &token)?;
    println!("API server {}, kubelet {}, files in {}", server.url(), kubelet.url(), directory.display());
    println!("{HELP}");
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        if words == ["quit"] {
            break;
        }
        match obey(&server, &account, &arguments.node, &words) {
            Ok(said) => println!("{said} (version {})", server.cluster().revision()),
            Err(error) => println!("{error}"),
        }
    }
    Ok(())
}

fn obey(server: &ApiServer, account: &ServiceAccount, node: &str, words: &[&str]) -> Result<String, Error> {
    let cluster = server.cluster();
    match words {
        ["add", name] => {
            let id = Runtime::Containerd.container_id();
            cluster
                .put(Pod::new("shop", name).node(node).container(Container::running("main", id)).build())?;
        }
        ["label", name, key, value] => {
            cluster.modify("Pod", "shop", name, |pod| pod["metadata"]["labels"][*key] = (*value).into())?;
        }
        ["delete", name] => {
            cluster.delete("Pod", "shop", name)?;
        }
        ["compact"] => cluster.compact(),
        ["advance", by] => cluster.advance(by.parse().unwrap_or(1)),
        ["down"] => server.down()?,
        ["up"] => server.up()?,
        ["cut"] => server.cut_connections()?,
        ["midline"] => {
            server.faults().interrupt_watches(Interruption::MidLine);
        }
        ["429"] => server.faults().start(Which::any(), Fault::TooManyRequests { retry_after_s: 1 }),
        ["500"] => server.faults().start(Which::any(), Fault::InternalError),
        ["slow"] => {
            let every = std::time::Duration::from_millis(10);
            server.faults().start(Which::any(), Fault::Slow { bytes: 64, every });
        }
        ["malformed"] => server.faults().start(Which::any(), Fault::MalformedJson),
        ["clear"] => server.faults().clear(),
        ["rotate"] => account.rotate(&server.access().rotate_token(USER))?,
        ["count"] => {
            for entry in server.ledger().entries() {
                let query: Vec<String> =
                    entry.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
                let (status, bytes) = (entry.status, entry.sent_bytes());
                println!("{status} {bytes:>8} {:<5} {} {}", entry.verb, entry.path, query.join(" "));
            }
        }
        _ => return Ok(HELP.to_owned()),
    }
    Ok("done".to_owned())
}

fn fill(server: &ApiServer, arguments: &Arguments) -> Result<(), Error> {
    let cluster = server.cluster();
    cluster.install(Resource::custom("argoproj.io", "v1alpha1", "rollouts", "Rollout"));
    for namespace in ["shop", "kube-system"] {
        let object = serde_json::json!({
            "kind": "Namespace",
            "apiVersion": "v1",
            "metadata": {"name": namespace},
            "spec": {"finalizers": ["kubernetes"]},
            "status": {"phase": "Active"},
        });
        cluster.put(object)?;
    }
    let deployment = cluster.put(Workload::deployment("shop", "web").label("app", "web").build())?;
    let set = cluster.put(Workload::replica_set_of(&deployment).build())?;
    let runtimes = [Runtime::Containerd, Runtime::CriO, Runtime::Docker];
    for (_, runtime) in (0..arguments.pods).zip(runtimes.into_iter().cycle()) {
        let container = Container::running("main", runtime.container_id());
        cluster.put(Pod::of(&set).node(&arguments.node).container(container).build())?;
    }
    let container = Container::running("kube-proxy", Runtime::Containerd.container_id());
    let hash = "5f0d7f2b1c9e4a6d8b3c2a1f0e9d8c7b";
    let name = format!("kube-proxy-{}", arguments.node);
    let pod = Pod::new("kube-system", &name).node(&arguments.node).mirror_of(hash).container(container);
    cluster.put(pod.spec("hostNetwork", true).build())?;
    Ok(())
}
