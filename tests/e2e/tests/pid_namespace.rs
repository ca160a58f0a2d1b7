//! Inside a nested pid namespace: pids are those of that namespace, and only its processes are seen.

use anyhow::{Context, Result};
use std::process::Command;
use std::time::Duration;
use telegen_e2e::{Outcome, Profile, Program, Scratch, run, skip, telegen_binary};

const LIMIT: Duration = Duration::from_secs(120);

/// Runs a shell script as pid 1 of a new pid namespace with its own /proc; `$1` is telegen.
fn in_pid_namespace(script: &str, scratch: &Scratch) -> Result<Outcome> {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", script, "sh"]);
    command.arg(telegen_binary()?);
    run(command.current_dir(scratch.path()), LIMIT)
}

#[test]
fn a_recording_sees_the_processes_of_its_own_namespace() -> Result<()> {
    let scratch = Scratch::new()?;
    let _outside = scratch.start(Program::Short, "outside/tg-nested", &["100000"])?;
    scratch.install(Program::Burn, "tg-nested")?;
    let script = "./tg-nested & pid=$!; echo inner=$pid; \"$1\" record --name tg-nested -d 4s -o a.pb.gz; status=$?; kill $pid; exit $status";
    let outcome = in_pid_namespace(script, &scratch)?;
    if outcome.stderr.contains("unshare:") {
        skip!("no pid namespace: {}", outcome.stderr.trim());
    }
    let outcome = outcome.expect_code(0)?;
    let inner = outcome.stdout.lines().find_map(|line| line.strip_prefix("inner=")).context("no pid")?;
    let profile = Profile::read(&scratch.join("a.pb.gz")).with_context(|| outcome.to_string())?;
    assert!(profile.count_with("tg_half") > 20, "{outcome}");
    assert_eq!(profile.label_values("process.pid"), [inner].into());
    assert_eq!(profile.label_values("thread.id"), [inner].into());
    assert_eq!(profile.count_with("tg_short"), 0, "a process outside, of the same name");
    Ok(())
}

#[test]
fn a_pid_is_one_of_its_own_namespace() -> Result<()> {
    let scratch = Scratch::new()?;
    scratch.install(Program::Burn, "tg-nested-pid")?;
    let script = "./tg-nested-pid & pid=$!; \"$1\" record --pid $pid -d 4s -o a.pb.gz; status=$?; kill $pid; exit $status";
    let outcome = in_pid_namespace(script, &scratch)?;
    if outcome.stderr.contains("unshare:") {
        skip!("no pid namespace: {}", outcome.stderr.trim());
    }
    let outcome = outcome.expect_code(0)?;
    let profile = Profile::read(&scratch.join("a.pb.gz")).with_context(|| outcome.to_string())?;
    assert!(profile.count_with("tg_half") > 20, "{outcome}");
    assert_eq!(profile.label_values("process.executable.name"), ["tg-nested-pid"].into());
    Ok(())
}

#[test]
fn the_targets_are_those_of_its_own_namespace() -> Result<()> {
    let scratch = Scratch::new()?;
    let _outside = scratch.start(Program::Sleeper, "tg-outside", &[])?;
    scratch.install(Program::Sleeper, "tg-inside")?;
    let script = "./tg-inside & pid=$!; \"$1\" targets --name 'tg-*side' --all -o json; status=$?; kill $pid; exit $status";
    let outcome = in_pid_namespace(script, &scratch)?;
    if outcome.stderr.contains("unshare:") {
        skip!("no pid namespace: {}", outcome.stderr.trim());
    }
    let outcome = outcome.expect_code(0)?;
    let list: serde_json::Value =
        serde_json::from_str(&outcome.stdout).with_context(|| outcome.to_string())?;
    let names: Vec<_> =
        list["processes"].as_array().context("a list")?.iter().map(|p| p["name"].as_str()).collect();
    assert!(names.contains(&Some("tg-inside")) && !names.contains(&Some("tg-outside")), "{names:?}");
    assert_eq!(list["matched"], 1);
    // The shell, the sleeper and the command itself.
    assert_eq!(list["scanned"], 3, "{outcome}");
    Ok(())
}

#[test]
fn a_process_in_a_nested_namespace_is_known_by_its_pid_outside() -> Result<()> {
    let scratch = Scratch::new()?;
    let program = scratch.install(Program::Burn, "tg-inner")?;
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]).arg(program);
    let mut namespace = telegen_e2e::Running::spawn(&mut command)?;
    let recording = telegen_e2e::record(scratch.path(), &["--name", "tg-inner", "-d", "3s"])?;
    let pids = recording.profile.label_values("process.pid");
    assert_eq!(pids.len(), 1);
    let pid = pids.first().copied().unwrap_or_default();
    let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).context("no such pid outside")?;
    assert_eq!(comm.trim(), "tg-inner");
    assert!(namespace.is_running()?);
    Ok(())
}
