//! Commands whose rules need Kubernetes, and what they say when it does not answer.

use anyhow::{Context, Result};
use serde_json::Value;
use std::time::Duration;
use telegen_e2e::{
    Agent, AgentSettings, Container, NODE, Node, Outcome, PodPlace, Program, Scratch, USER, run, skip,
    telegen, until,
};
use telegen_test_kubernetes::{Grant, Pod};

const LIMIT: Duration = Duration::from_secs(60);

/// Runs a command with the node's configuration, and with flags.
fn command(scratch: &Scratch, node: &Node, command: &[&str]) -> Result<Outcome> {
    let config = node.config(scratch, "")?;
    run(telegen(command)?.args(["--config", &config]).current_dir(scratch.path()), LIMIT)
}

#[test]
fn rules_on_pods_wait_five_seconds_for_a_dead_server_and_name_it() -> Result<()> {
    let scratch = Scratch::new()?;
    let node = Node::start(&scratch)?;
    node.server.down()?;
    for arguments in [
        &["record", "-d", "1s", "--namespace", "shop", "-o", "x.pb.gz"][..],
        &["targets", "--label", "app=web"],
    ] {
        let outcome = command(&scratch, &node, arguments)?.expect_code(1)?;
        let error = outcome.stderr.to_lowercase();
        for piece in ["api server", NODE, "refused"] {
            assert!(error.contains(piece), "{piece}\n{outcome}");
        }
        let seconds = outcome.elapsed.as_secs_f64();
        // Five to wait, and what a busy machine takes to start and to end.
        assert!((5.0..9.0).contains(&seconds), "{outcome}");
        assert!(!scratch.join("x.pb.gz").exists());
    }
    Ok(())
}

#[test]
fn a_permission_that_is_missing_is_named() -> Result<()> {
    let scratch = Scratch::new()?;
    let node = Node::start(&scratch)?;
    let access = node.server.access();
    access.revoke_grants(USER);
    let arguments = ["targets", "--namespace", "shop"];
    let outcome = command(&scratch, &node, &arguments)?.expect_code(1)?;
    for piece in ["403", "cannot list resource \"pods\""] {
        assert!(outcome.stderr.contains(piece), "{piece}\n{outcome}");
    }
    access.grant(USER, Grant::cluster("list", "", "pods"));
    let outcome = command(&scratch, &node, &arguments)?.expect_code(1)?;
    assert!(outcome.stderr.contains("cannot watch resource \"pods\""), "{outcome}");
    Ok(())
}

#[test]
fn without_permission_for_replica_sets_namespaces_still_select_and_it_is_said() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let node = Node::start(&scratch)?;
    let set = node.replica_set("shop", "web", &[])?;
    let web = node.run(&scratch, Pod::of(&set), Program::SleeperStatic, "tg-k8c-web")?;
    let access = node.server.access();
    access.revoke_grants(USER);
    for verb in ["list", "watch"] {
        access.grant(USER, Grant::cluster(verb, "", "pods"));
    }
    let outcome = command(&scratch, &node, &["targets", "-o", "json", "--namespace", "shop"])?;
    let outcome = outcome.expect_code(0)?;
    let list: Value = serde_json::from_str(&outcome.stdout)?;
    assert_eq!(list["processes"][0]["pid"], web.pid(), "{outcome}");
    for piece in ["403", "replicasets.apps", "cannot get resource"] {
        assert!(outcome.stderr.contains(piece), "{piece}\n{outcome}");
    }
    Ok(())
}

#[test]
fn a_dead_server_delays_nobody_whose_rules_do_not_need_it() -> Result<()> {
    let scratch = Scratch::new()?;
    let node = Node::start(&scratch)?;
    node.server.down()?;
    let sleeper = scratch.start(Program::Sleeper, "tg-k8c-host", &[])?;
    let outcome = command(&scratch, &node, &["targets", "-o", "json", "--name", "tg-k8c-host"])?;
    let outcome = outcome.expect_code(0)?;
    let list: Value = serde_json::from_str(&outcome.stdout)?;
    assert_eq!(list["processes"][0]["pid"], sleeper.pid(), "{outcome}");
    assert!(outcome.elapsed < Duration::from_secs(5), "{outcome}");
    let record = ["record", "--force", "-o", "host.pb.gz", "-d", "1s", "--name", "tg-k8c-host"];
    let outcome = command(&scratch, &node, &record)?.expect_code(0)?;
    assert!(outcome.elapsed < Duration::from_secs(6), "{outcome}");
    let said = outcome.stderr.to_lowercase();
    assert!(said.contains("source of pods") && said.contains("refused"), "{outcome}");
    Ok(())
}

#[test]
fn a_kubeconfig_that_is_missing_is_a_usage_error() -> Result<()> {
    let scratch = Scratch::new()?;
    let rules = "profiler:\n  target_namespaces: [shop]\n  server: {listen: \"127.0.0.1:0\", health_listen: \"127.0.0.1:0\"}\n  \
                 kubernetes: {enabled: true, node_name: n, kubeconfig: /nonexistent/kubeconfig}\n";
    let config = scratch.write("c.yaml", rules)?;
    for arguments in [&["targets"][..], &["agent"], &["record", "-d", "1s", "--namespace", "x"]] {
        let outcome =
            run(telegen(arguments)?.arg("--config").arg(&config).current_dir(scratch.path()), LIMIT)?;
        let outcome = outcome.expect_code(2)?;
        assert!(outcome.stderr.contains("/nonexistent/kubeconfig"), "{outcome}");
    }
    Ok(())
}

#[test]
fn a_pod_that_kubernetes_does_not_have_on_this_node_does_not_match_and_the_reason_says_so() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let node = Node::start(&scratch)?;
    let place = PodPlace::containerd("eeee0005-0000-4000-8000-00000000000e");
    let stranger = Container::start_in(&scratch, Program::SleeperStatic, "tg-k8c-far", &[], &place)?;
    let arguments = ["targets", "--all", "--explain", "-o", "json", "--namespace", "shop"];
    let outcome = command(&scratch, &node, &arguments)?.expect_code(0)?;
    let list: Value = serde_json::from_str(&outcome.stdout)?;
    let mut processes = list["processes"].as_array().context("a list")?.iter();
    let process = processes.find(|process| process["pid"] == stranger.pid()).context("it runs")?;
    assert_eq!(process["decision"], "skip", "{process}");
    let reason = process["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("not on this node"), "{reason}");
    Ok(())
}

#[test]
fn a_node_of_another_name_is_suspected_when_processes_run_in_pods_that_it_does_not_have() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let node = Node::start(&scratch)?;
    let web = node.run(&scratch, Pod::new("shop", "web"), Program::SleeperStatic, "tg-k8c-node")?;
    let rules = node.settings().replace(NODE, "node-2") + "  target_namespaces: [shop]\n";
    let agent = Agent::start(&scratch, &AgentSettings { rules: &rules, ..AgentSettings::default() })?;
    let decided = agent.wait_for_decision(web.pid(), "skip")?;
    let reason = decided["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("not on this node"), "{reason}");
    until(LIMIT, "a warning", || {
        let log = agent.log()?;
        Ok((log.contains("kubernetes.node_name") && log.contains("node-2")).then_some(()))
    })
}
