//! Processes selected by their pod, of which without Kubernetes only they themselves can tell.

use anyhow::{Context, Result};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;
use telegen_e2e::{
    Agent, AgentSettings, Container, Program, Recording, Running, Scratch, record, run, skip, telegen,
};

/// A burner in a container of the pod `web-1` in the namespace `tg-prod`, as it is told, and one outside that is told
/// the same.
fn inside_and_outside(scratch: &Scratch, name: &str) -> Result<(Container, Running)> {
    let said = ["POD_NAMESPACE=tg-prod", "POD_NAME=web-1"];
    let inside = Container::start_with(scratch, Program::BurnStatic, &format!("{name}-in"), &[], &said)?;
    let mut command = Command::new(scratch.install(Program::Burn, &format!("{name}-out"))?);
    let outside = Running::spawn(command.envs([("POD_NAMESPACE", "tg-prod"), ("POD_NAME", "web-1")]))?;
    Ok((inside, outside))
}

fn list(arguments: &[&str]) -> Result<Value> {
    let mut command = telegen(["targets", "-o", "json"].iter().chain(arguments))?;
    let outcome = run(&mut command, Duration::from_secs(60))?.expect_code(0)?;
    serde_json::from_str(&outcome.stdout).with_context(|| outcome.to_string())
}

fn process(list: &Value, pid: u32) -> Result<&Value> {
    let mut processes = list["processes"].as_array().context("no list")?.iter();
    processes.find(|process| process["pid"] == pid).with_context(|| format!("no process {pid}"))
}

#[test]
fn a_namespace_is_the_one_that_a_process_in_a_pod_says_it_is_in() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let (inside, outside) = inside_and_outside(&scratch, "tg-spaced")?;
    for arguments in [&["--namespace", "tg-pr*"][..], &["--pod", "web-?"]] {
        let Recording { profile, .. } = record(scratch.path(), &[arguments, &["-d", "1s"]].concat())?;
        assert!(profile.total() > 0);
        let pids = profile.label_values("process.pid");
        assert_eq!(pids.into_iter().collect::<Vec<_>>(), [inside.pid().to_string()], "{arguments:?}");
    }
    let all = list(&["--namespace", "tg-prod", "--all"])?;
    assert_eq!(all["matched"], 1, "{all}");
    let selected = process(&all, inside.pid())?;
    assert_eq!((&selected["namespace"], &selected["pod"]), (&Value::from("tg-prod"), &Value::from("web-1")));
    assert_eq!(selected["reason"], "target_namespaces[0] = \"tg-prod\"");
    assert!(selected["workload"].is_null() && selected["labels"] == serde_json::json!({}), "{selected}");
    let other = process(&all, outside.pid())?;
    assert!(other["namespace"].is_null(), "what is in no container is in no pod: {other}");
    let reason = other["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("target_namespaces does not: it is in no pod"), "{reason}");
    let wide =
        run(&mut telegen(["targets", "--namespace", "tg-prod", "-o", "wide"])?, Duration::from_secs(60))?;
    assert!(wide.expect_code(0)?.stdout.contains("tg-prod/web-1"));
    Ok(())
}

#[test]
fn what_only_kubernetes_knows_does_not_match_and_the_reason_says_so() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let (inside, _outside) = inside_and_outside(&scratch, "tg-unlabelled")?;
    for (arguments, key) in [
        (["--label", "app=web"], "target_labels"),
        (["--label", "!canary"], "target_labels"),
        (["--deployment", "*"], "target_deployments"),
        (["--cronjob", "*"], "target_cronjobs"),
    ] {
        let all = list(&[&arguments[..], &["--all"]].concat())?;
        let decided = process(&all, inside.pid())?;
        let reason = decided["reason"].as_str().unwrap_or_default();
        assert_eq!(decided["decision"], "skip", "{decided}");
        assert!(reason.contains(&format!("{key} does not")), "{reason}");
        assert!(reason.contains("no Kubernetes source is configured"), "{reason}");
    }
    Ok(())
}

#[test]
fn types_across_process_and_pod_must_all_match_if_they_are_to() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let (inside, outside) = inside_and_outside(&scratch, "tg-crossed")?;
    let both = ["--match", "all", "--name", "tg-crossed-*", "--namespace", "tg-prod"];
    let Recording { profile, .. } = record(scratch.path(), &[&both[..], &["-d", "1s"]].concat())?;
    let pids = profile.label_values("process.pid");
    assert_eq!(pids.into_iter().collect::<Vec<_>>(), [inside.pid().to_string()]);
    let excluded = list(&["--name", "tg-crossed-*", "--exclude-namespace", "tg-prod", "--all"])?;
    assert_eq!(process(&excluded, outside.pid())?["decision"], "profile");
    let reason = &process(&excluded, inside.pid())?["reason"];
    assert_eq!(reason, "exclude_namespaces[0] = \"tg-prod\"");
    Ok(())
}

#[test]
fn a_pod_that_comes_while_the_agent_runs_is_a_target() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let rules = "  targets: [{name: prod, namespaces: [tg-prod]}]\n";
    let agent = Agent::start(&scratch, &AgentSettings { interval: "1s", rules, ..AgentSettings::default() })?;
    let (inside, _outside) = inside_and_outside(&scratch, "tg-coming")?;
    let pid = inside.pid().to_string();
    let of_it = |sample: &telegen_e2e::Sample| sample.label("process.pid") == pid;
    let profiles = agent.wait_for_profiles("samples of the pod", |profiles| {
        profiles.iter().any(|profile| profile.count(of_it) > 0)
    })?;
    for sample in profiles.iter().flat_map(|profile| &profile.samples) {
        assert_eq!(sample.label("target"), "prod", "{sample:?}");
        assert_ne!(sample.label("process.executable.name"), "tg-coming-out");
    }
    Ok(())
}
