//! Pods of which nothing is known yet.

use anyhow::Result;
use std::time::Duration;
use telegen_e2e::{Agent, AgentSettings, Container, Node, Program, Scratch, skip, until};
use telegen_test_kubernetes::{Fault, Pod, Which};

const LIMIT: Duration = Duration::from_secs(60);

fn launch(scratch: &Scratch, node: &Node, rules: &str) -> Result<Agent> {
    let rules = node.settings() + rules;
    Agent::launch(scratch, &AgentSettings { interval: "1s", rules: &rules, ..AgentSettings::default() })
}

#[test]
fn what_an_exclusion_could_apply_to_is_pending_and_what_it_could_not_is_profiled() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let node = Node::start(&scratch)?;
    let out = node.run(&scratch, Pod::new("kube-system", "dns"), Program::BurnStatic, "tg-k8u-out")?;
    let inside = node.run(&scratch, Pod::new("shop", "web"), Program::BurnStatic, "tg-k8u-in")?;
    let host = scratch.start(Program::Burn, "tg-k8u-host", &[])?;
    node.server.down()?;
    let mut agent = launch(&scratch, &node, "  exclude_namespaces: [kube-system]\n")?;
    agent.wait_for_decision(host.pid(), "profile")?;
    for container in [&out, &inside] {
        let pending = agent.wait_for_decision(container.pid(), "pending")?;
        let reason = pending["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("exclude_namespaces"), "{pending}");
    }
    agent.wait_for_profiles("samples of the host", |profiles| {
        profiles.iter().filter(|profile| profile.count_of("tg-k8u-host") > 0).count() > 1
    })?;
    for profile in agent.profiles()? {
        assert_eq!(profile.count_of("tg-k8u-out") + profile.count_of("tg-k8u-in"), 0);
    }
    let ready = agent.get("/readyz")?;
    assert_eq!(ready.status, 503, "{ready:?}");
    assert!(ready.body.contains("pods"), "{ready:?}");
    assert_eq!(agent.get("/healthz")?.status, 200, "nothing is wrong with the agent");
    node.server.up()?;
    agent.wait_for_decision(inside.pid(), "profile")?;
    agent.wait_for_decision(out.pid(), "skip")?;
    agent.wait_until_ready()?;
    agent.wait_for_profiles("samples of the pod", |profiles| {
        profiles.iter().any(|profile| profile.count_of("tg-k8u-in") > 0)
    })?;
    assert!(agent.profiles()?.iter().all(|profile| profile.count_of("tg-k8u-out") == 0));
    Ok(())
}

#[test]
fn rules_that_need_no_pods_do_not_wait_for_them() -> Result<()> {
    let scratch = Scratch::new()?;
    let node = Node::start(&scratch)?;
    node.server.down()?;
    let mut agent = launch(&scratch, &node, "  target_process_names: [tg-k8u-none]\n")?;
    agent.wait_until_ready()?;
    until(LIMIT, "a line about the server", || {
        Ok(agent.log()?.to_lowercase().contains("refused").then_some(()))
    })
}

#[test]
fn figures_tell_how_the_source_stands() -> Result<()> {
    let scratch = Scratch::new()?;
    let node = Node::start(&scratch)?;
    let set = node.replica_set("shop", "web", &[])?;
    for _ in 0..3 {
        node.put(Pod::of(&set).node(telegen_e2e::NODE).build())?;
    }
    node.server.faults().next(1, Which::only("list", "pods"), Fault::InternalError);
    let mut agent = launch(&scratch, &node, "  target_namespaces: [shop]\n")?;
    agent.wait_until_ready()?;
    let value = |name: &str, labels: &[(&str, &str)]| -> Result<f64> {
        agent.metrics()?.sum(&format!("telegen_profiler_kubernetes_{name}"), labels)
    };
    until(LIMIT, "all pods", || Ok((value("pods", &[])? == 3.0).then_some(())))?;
    assert_eq!(value("in_sync", &[])?, 1.0);
    assert_eq!(value("requests_total", &[("request", "list")])?, 2.0, "one has failed");
    assert_eq!(value("requests_total", &[("request", "watch")])?, 1.0);
    assert_eq!(value("requests_total", &[("request", "owner")])?, 1.0);
    assert_eq!(value("failures_total", &[])?, 1.0);
    assert_eq!(value("pods_refused_total", &[])?, 0.0);
    assert!(value("received_bytes_total", &[])? > 1000.0);
    node.put(Pod::of(&set).node(telegen_e2e::NODE).build())?;
    until(LIMIT, "another pod", || Ok((value("pods", &[])? == 4.0).then_some(())))?;
    assert!(value("events_total", &[])? >= 1.0);
    node.server.down()?;
    until(LIMIT, "the outage to be seen", || Ok((value("in_sync", &[])? == 0.0).then_some(())))?;
    assert_eq!(value("pods", &[])?, 4.0, "what was known stays");
    Ok(())
}
