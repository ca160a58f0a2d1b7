//! Processes selected by what Kubernetes knows of their pods.

use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;
use telegen_e2e::{Container, Node, PodPlace, Program, Running, Scratch, run, skip, telegen};
use telegen_test_kubernetes::{Pod, Workload};

const LIMIT: Duration = Duration::from_secs(60);
const ALL: [&str; 6] = ["web", "db", "report", "checkout", "logs", "bare"];

/// Pods of all kinds of workloads, by both drivers of control groups; a process outside any pod.
struct World {
    scratch: Scratch,
    node: Node,
    containers: Vec<(&'static str, Container)>,
    host: Running,
}

impl World {
    fn start() -> Result<Self> {
        let scratch = Scratch::new()?;
        let node = Node::start(&scratch)?;
        let mut containers = Vec::new();
        for (name, pod) in pods(&node)? {
            let place: fn(&str) -> PodPlace = match name {
                "db" | "bare" => PodPlace::containerd,
                "report" | "logs" => PodPlace::crio,
                _ => PodPlace::cgroupfs,
            };
            let program = format!("tg-k8s-{name}");
            containers.push((name, node.run_at(&scratch, pod, Program::SleeperStatic, &program, place)?));
        }
        let host = scratch.start(Program::Sleeper, "tg-k8s-host", &[])?;
        Ok(Self { scratch, node, containers, host })
    }

    /// All processes, as they are decided on by these flags.
    fn decide(&self, flags: &[&str]) -> Result<Value> {
        let config = self.node.config(&self.scratch, "")?;
        let mut command = telegen(["targets", "--all", "--explain", "-o", "json", "--config", &config])?;
        let outcome = run(command.args(flags), LIMIT)?.expect_code(0)?;
        serde_json::from_str(&outcome.stdout).with_context(|| outcome.to_string())
    }

    /// Which of ours are profiled by these flags.
    fn selected(&self, flags: &[&str]) -> Result<BTreeSet<&'static str>> {
        let list = self.decide(flags)?;
        let profiled = |pid: u32| entry(&list, pid)["decision"] == "profile";
        let mut names: BTreeSet<_> = self
            .containers
            .iter()
            .filter(|(_, container)| profiled(container.pid()))
            .map(|(name, _)| *name)
            .collect();
        if profiled(self.host.pid()) {
            names.insert("host");
        }
        Ok(names)
    }
}

fn pods(node: &Node) -> Result<Vec<(&'static str, Pod)>> {
    let web = node.replica_set("shop", "web", &[("app", "web"), ("tier", "front")])?;
    let db = Workload::stateful_set("shop", "db").label("app", "db").label("tier", "back");
    let db = node.put(db.build())?;
    let cron = node.put(Workload::cron_job("batch", "report").build())?;
    let job = node.put(Workload::job("batch", "report-29000000").owner(&cron).build())?;
    // Nobody has told the server what a rollout is; its replica sets refer to it all the same.
    let rollout = Workload::new("argoproj.io/v1alpha1", "Rollout", "shop-eu", "checkout");
    let rollout = rollout.label("app", "checkout").label("tier", "front").build();
    let checkout = node.put(Workload::replica_set_of(&rollout).build())?;
    let logs = node.put(Workload::daemon_set("kube-system", "logs").label("app", "logs").build())?;
    Ok(vec![
        ("web", Pod::of(&web)),
        ("db", Pod::of(&db)),
        ("report", Pod::of(&job)),
        ("checkout", Pod::of(&checkout)),
        ("logs", Pod::of(&logs)),
        ("bare", Pod::new("tools", "debug")),
    ])
}

fn entry(list: &Value, pid: u32) -> &Value {
    let mut processes = list["processes"].as_array().into_iter().flatten();
    processes.find(|process| process["pid"] == pid).unwrap_or(&Value::Null)
}

#[test]
fn each_kind_of_rule_selects_its_pods_and_no_others() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let world = World::start()?;
    for (flags, expected) in [
        (&["--namespace", "shop"][..], &["web", "db"][..]),
        (&["--namespace", "shop*,batch"], &["web", "db", "report", "checkout"]),
        (&["--deployment", "web"], &["web"]),
        // A rollout is no deployment, and its replica set's name is no workload's.
        (&["--deployment", "*"], &["web"]),
        (&["--statefulset", "d?"], &["db"]),
        (&["--daemonset", "logs"], &["logs"]),
        (&["--cronjob", "report"], &["report"]),
        // The job is the cron job's.
        (&["--job", "*"], &[]),
        (&["--pod", "db-0,debug"], &["db", "bare"]),
        (&["--label", "app=checkout"], &["checkout"]),
        (&["--label", "tier in (front,back),app!=web"], &["db", "checkout"]),
        (&["--label", "tier=front", "--label", "app=web"], &["web"]),
        (&["--label", "!app"], &["bare", "report"]),
        (&["--match", "all", "--namespace", "shop", "--label", "tier=back"], &["db"]),
        (&["--match", "all", "--deployment", "web", "--statefulset", "db"], &["web", "db"]),
        (&["--namespace", "tools", "--statefulset", "db"], &["bare", "db"]),
    ] {
        assert_eq!(world.selected(flags)?, expected.iter().copied().collect(), "{flags:?}");
    }
    Ok(())
}

#[test]
fn each_kind_of_exclusion_leaves_out_its_pods_and_no_others() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let world = World::start()?;
    let ours: BTreeSet<&str> = ALL.into_iter().chain(["host"]).collect();
    for (flags, excluded) in [
        (&["--exclude-namespace", "shop"][..], &["web", "db"][..]),
        (&["--exclude-deployment", "web"], &["web"]),
        (&["--exclude-statefulset", "db"], &["db"]),
        (&["--exclude-daemonset", "logs"], &["logs"]),
        (&["--exclude-cronjob", "report"], &["report"]),
        (&["--exclude-pod", "debug"], &["bare"]),
        (&["--exclude-label", "tier=front,app=web"], &["web"]),
        (&["--exclude-label", "!tier", "--exclude-namespace", "tools"], &["report", "logs", "bare"]),
    ] {
        let flags = [flags, &["--name", "tg-k8s-*"]].concat();
        let left = ours.iter().filter(|name| !excluded.contains(name)).copied().collect();
        assert_eq!(world.selected(&flags)?, left, "{flags:?}");
    }
    Ok(())
}

#[test]
fn what_is_known_of_a_pod_is_shown() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let world = World::start()?;
    let list = world.decide(&["--namespace", "shop"])?;
    for (name, kind, workload, namespace) in [
        ("web", "Deployment", "web", "shop"),
        ("db", "StatefulSet", "db", "shop"),
        ("report", "CronJob", "report", "batch"),
        ("checkout", "Rollout", "checkout", "shop-eu"),
        ("logs", "DaemonSet", "logs", "kube-system"),
        ("bare", "Pod", "debug", "tools"),
    ] {
        let (_, container) = world.containers.iter().find(|(of, _)| *of == name).context("it runs")?;
        let process = entry(&list, container.pid());
        assert_eq!(process["workload"], serde_json::json!({"kind": kind, "name": workload}), "{process}");
        assert_eq!(process["namespace"], namespace, "{process}");
        assert_eq!(process["container"], "main", "{process}");
        assert_eq!(process["container_id"], container.id(), "{process}");
    }
    let (_, web) = &world.containers[0];
    assert_eq!(entry(&list, web.pid())["labels"]["tier"], "front");
    assert_eq!(entry(&list, web.pid())["reason"], "target_namespaces[0] = \"shop\"");
    let host = entry(&list, world.host.pid());
    assert!(host["namespace"].is_null() && host["workload"].is_null(), "{host}");
    assert!(host["reason"].as_str().is_some_and(|reason| reason.contains("it is in no pod")), "{host}");
    let config = world.node.config(&world.scratch, "")?;
    let mut wide = telegen(["targets", "-o", "wide", "--namespace", "shop", "--config", &config])?;
    assert!(run(&mut wide, LIMIT)?.expect_code(0)?.stdout.contains("shop/db-0"));
    Ok(())
}
