//! Containers that are not what most containers are.

use anyhow::{Context, Result};
use serde_json::Value;
use std::time::Duration;
use telegen_e2e::{Container, NODE, Node, PodPlace, Program, Scratch, run, skip, telegen};
use telegen_test_kubernetes::{Container as Listed, Pod, Runtime};

const POD_UID: &str = "f0f00006-0000-4000-8000-00000000000f";

/// All processes, as they are decided on when the namespace is a target.
fn decide(scratch: &Scratch, node: &Node, flags: &[&str]) -> Result<Value> {
    let config = node.config(scratch, "")?;
    let mut command = telegen(["targets", "--all", "--explain", "-o", "json", "--config", &config])?;
    let outcome = run(command.args(flags), Duration::from_secs(60))?.expect_code(0)?;
    serde_json::from_str(&outcome.stdout).with_context(|| outcome.to_string())
}

fn entry(list: &Value, pid: u32) -> Result<&Value> {
    let mut processes = list["processes"].as_array().context("a list")?.iter();
    processes.find(|process| process["pid"] == pid).context("it runs")
}

fn start(scratch: &Scratch, name: &str, place: &PodPlace) -> Result<Container> {
    Container::start_in(scratch, Program::SleeperStatic, name, &[], place)
}

#[test]
fn a_sandbox_is_no_target_and_all_kinds_of_containers_have_names() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let node = Node::start(&scratch)?;
    let place = PodPlace::containerd(POD_UID);
    let [sandbox, init, sidecar, main, debug] =
        ["pause", "tg-k8b-init", "tg-k8b-side", "tg-k8b-main", "tg-k8b-debug"]
            .map(|name| start(&scratch, name, &place));
    let (sandbox, init, sidecar, main, debug) = (sandbox?, init?, sidecar?, main?, debug?);
    let listed = |name: &str, of: &Container| Listed::running(name, Runtime::Containerd.named(of.id()));
    let pod = Pod::new("shop", "web")
        .uid(POD_UID)
        .node(NODE)
        .init_container(listed("migrate", &init))
        .init_container(listed("proxy", &sidecar).sidecar())
        .container(listed("web", &main))
        .ephemeral_container(listed("debugger", &debug));
    node.put(pod.build())?;
    let list = decide(&scratch, &node, &["--namespace", "shop"])?;
    for (container, name) in [(&init, "migrate"), (&sidecar, "proxy"), (&main, "web"), (&debug, "debugger")] {
        let process = entry(&list, container.pid())?;
        assert_eq!(
            (&process["decision"], &process["container"]),
            (&"profile".into(), &name.into()),
            "{process}"
        );
    }
    assert_eq!(list["matched"], 4, "{list}");
    let process = entry(&list, sandbox.pid())?;
    assert_eq!(process["decision"], "skip", "{process}");
    assert!(process["namespace"].is_null(), "{process}");
    // An exclusion of its pod's namespace does not apply to it either.
    let list = decide(&scratch, &node, &["--exclude-namespace", "shop", "--name", "pause,tg-k8b-*"])?;
    assert_eq!(list["matched"], 1, "{list}");
    Ok(())
}

#[test]
fn a_static_pod_is_known_by_its_hash() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    const HASH: &str = "0123456789abcdef0123456789abcdee";
    let scratch = Scratch::new()?;
    let node = Node::start(&scratch)?;
    let container = start(&scratch, "tg-k8b-static", &PodPlace::cgroupfs(HASH))?;
    let main = Listed::running("kube-proxy", Runtime::Containerd.named(container.id()));
    let owner = serde_json::json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "uid": "c0ffee00-0000-4000-8000-000000000000"}});
    let pod = Pod::new("kube-system", "kube-proxy-node-1").mirror_of(HASH).owner(&owner).node(NODE);
    node.put(pod.container(main).build())?;
    let list = decide(&scratch, &node, &["--pod", "kube-proxy-*"])?;
    let process = entry(&list, container.pid())?;
    assert_eq!(process["decision"], "profile", "{process}");
    assert_eq!(process["container"], "kube-proxy", "{process}");
    assert_eq!(process["workload"], serde_json::json!({"kind": "Pod", "name": "kube-proxy-node-1"}));
    Ok(())
}

#[test]
fn a_pod_in_the_nodes_pid_namespace_is_a_pod() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let node = Node::start(&scratch)?;
    let place = PodPlace::crio(POD_UID).with_the_nodes_pids();
    let container = start(&scratch, "tg-k8b-hostpid", &place)?;
    let main = Listed::running("tracer", Runtime::CriO.named(container.id()));
    let pod = Pod::new("shop", "tracer").uid(POD_UID).node(NODE).spec("hostPID", true);
    node.put(pod.container(main).build())?;
    let namespace = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/pid"));
    assert_eq!(namespace(&container.pid().to_string())?, namespace("self")?);
    let list = decide(&scratch, &node, &["--namespace", "shop"])?;
    let process = entry(&list, container.pid())?;
    assert_eq!(
        (&process["decision"], &process["container"]),
        (&"profile".into(), &"tracer".into()),
        "{process}"
    );
    assert_eq!(list["matched"], 1);
    Ok(())
}
