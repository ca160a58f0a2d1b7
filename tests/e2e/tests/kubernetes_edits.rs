//! Pods that change while the agent runs.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::time::{Duration, Instant};
use telegen_e2e::{
    Agent, AgentSettings, Container, HttpLines, NODE, Node, Program, Sample, Scratch, figure, skip, until,
};
use telegen_test_kubernetes::{Pod, Runtime};

const EDITS: usize = 9;

fn start(scratch: &Scratch, node: &Node, rules: &str) -> Result<Agent> {
    let rules = format!("{}{rules}", node.settings());
    Agent::start(scratch, &AgentSettings { interval: "1s", rules: &rules, ..AgentSettings::default() })
}

/// The next change of a process.
fn next_change(lines: &mut HttpLines, pid: u32) -> Result<Value> {
    loop {
        let line = lines.line()?;
        let change: Value = serde_json::from_str(&line).with_context(|| line)?;
        if change["pid"] == pid {
            return Ok(change);
        }
    }
}

fn count_of(agent: &Agent, pid: u32) -> Result<u64> {
    let of_it = |sample: &Sample| sample.label("process.pid") == pid.to_string();
    Ok(agent.profiles()?.iter().map(|profile| profile.count(of_it)).sum())
}

#[test]
fn a_label_that_is_edited_begins_and_ends_profiling_within_a_tenth_of_a_second() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let node = Node::start(&scratch)?;
    let pod = node.run(&scratch, Pod::new("shop", "web"), Program::SleeperStatic, "tg-k8e-web")?;
    let agent = start(&scratch, &node, "  target_labels: {profile: wanted}\n")?;
    let mut lines = agent.follow("/api/v1/targets?watch=true")?;
    let mut delays = Vec::new();
    for nth in 0..EDITS {
        let (value, expected) = if nth % 2 == 0 { (Some("wanted"), "start") } else { (None, "end") };
        let begin = Instant::now();
        node.label("shop", "web", "profile", value)?;
        let change = next_change(&mut lines, pod.pid())?;
        delays.push(begin.elapsed());
        assert_eq!(change["change"], expected, "{change}");
    }
    delays.sort();
    let median = delays[EDITS / 2];
    figure(&format!("from an edit to the change: median {median:?}, all {delays:?}"));
    assert!(median <= Duration::from_millis(100), "{delays:?}");
    Ok(())
}

#[test]
fn samples_begin_and_end_with_a_label() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let node = Node::start(&scratch)?;
    let pod = node.run(&scratch, Pod::new("shop", "web"), Program::BurnStatic, "tg-k8e-burn")?;
    // Somebody else, so that there is always something to write.
    let _other = scratch.start(Program::Burn, "tg-k8e-other", &[])?;
    let rules = "  target_labels: \"profile in (wanted)\"\n  target_process_names: [tg-k8e-other]\n";
    let agent = start(&scratch, &node, &format!("{rules}  match: any\n"))?;
    agent.wait_for_decision(pod.pid(), "skip")?;
    assert_eq!(count_of(&agent, pod.pid())?, 0);
    node.label("shop", "web", "profile", Some("wanted"))?;
    agent.wait_for_decision(pod.pid(), "profile")?;
    agent.wait_for_profiles("samples of the pod", |_| {
        count_of(&agent, pod.pid()).is_ok_and(|count| count > 0)
    })?;
    node.label("shop", "web", "profile", Some("unwanted"))?;
    agent.wait_for_decision(pod.pid(), "skip")?;
    // The profile of the time of the edit may still have some; the one after the next has none.
    let written = agent.profiles()?.len();
    let profiles = agent.wait_for_profiles("later profiles", |profiles| profiles.len() > written + 3)?;
    let last = profiles.last().context("one")?;
    assert_eq!(last.count(|sample| sample.label("process.pid") == pod.pid().to_string()), 0);
    Ok(())
}

#[test]
fn a_pod_of_the_same_name_is_another_pod() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let node = Node::start(&scratch)?;
    let uids = ["aaaa0001-0000-4000-8000-00000000000a", "bbbb0002-0000-4000-8000-00000000000b"];
    let pod = |nth: usize| Pod::new("shop", "db-0").uid(uids[nth]);
    let first = node.run(&scratch, pod(0), Program::BurnStatic, "tg-k8e-db")?;
    let agent = start(&scratch, &node, "  target_pods: [db-0]\n")?;
    agent.wait_for_decision(first.pid(), "profile")?;
    agent.wait_for_profiles("samples of the first", |_| {
        count_of(&agent, first.pid()).is_ok_and(|count| count > 0)
    })?;
    node.server.cluster().delete("Pod", "shop", "db-0")?;
    let gone = agent.wait_for_decision(first.pid(), "skip")?;
    ensure!(gone["reason"].as_str().is_some_and(|reason| reason.contains("node")), "{gone}");
    let second = node.run(&scratch, pod(1), Program::BurnStatic, "tg-k8e-db")?;
    agent.wait_for_decision(second.pid(), "profile")?;
    assert_eq!(agent.decision_on(first.pid())?["decision"], "skip");
    agent.wait_for_profiles("samples of the second", |_| {
        count_of(&agent, second.pid()).is_ok_and(|count| count > 0)
    })?;
    let pids = [first.pid(), second.pid()].map(|pid| pid.to_string());
    for sample in agent.profiles()?.iter().flat_map(|profile| &profile.samples) {
        let nth = pids.iter().position(|pid| pid == sample.label("process.pid")).context("whose is it")?;
        // The first's own samples may be written after it has gone, without a uid, but never with the other's.
        let uid = sample.label("k8s.pod.uid");
        assert!(uid == uids[nth] || (nth == 0 && uid.is_empty()), "{sample:?}");
    }
    Ok(())
}

#[test]
fn who_was_chosen_otherwise_gets_the_labels_of_a_pod_that_is_known_later() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let node = Node::start(&scratch)?;
    let agent = start(&scratch, &node, "  target_process_names: [tg-k8e-late]\n")?;
    let uid = "cccc0003-0000-4000-8000-00000000000c";
    let place = telegen_e2e::PodPlace::containerd(uid);
    let late = Container::start_in(&scratch, Program::BurnStatic, "tg-k8e-late", &[], &place)?;
    agent.wait_for_decision(late.pid(), "profile")?;
    agent.wait_for_profiles("samples without a pod", |_| {
        count_of(&agent, late.pid()).is_ok_and(|count| count > 0)
    })?;
    let main = Runtime::Containerd.named(late.id());
    let pod = Pod::new("shop", "late").uid(uid).node(NODE);
    node.put(pod.container(telegen_test_kubernetes::Container::running("main", main)).build())?;
    until(Duration::from_secs(60), "labels of the pod", || {
        let profiles = agent.profiles()?;
        let labelled = profiles.iter().flat_map(|profile| &profile.samples).any(|sample| {
            sample.label("k8s.pod.name") == "late"
                && sample.label("k8s.pod.uid") == uid
                && sample.label("k8s.container.name") == "main"
        });
        Ok(labelled.then_some(()))
    })
}
