//! `telegen targets`: what would be profiled, and why.

use anyhow::{Context, Result};
use serde_json::Value;
use std::fs;
use std::process::Command;
use std::time::Duration;
use telegen_e2e::{Outcome, Program, Running, Scratch, run, telegen, telegen_as_nobody};

const LIMIT: Duration = Duration::from_secs(60);

fn targets(arguments: &[&str]) -> Result<Outcome> {
    run(&mut telegen(["targets"].iter().chain(arguments))?, LIMIT)?.expect_code(0)
}

fn targets_json(arguments: &[&str]) -> Result<Value> {
    let outcome = targets(&[arguments, &["-o", "json"]].concat())?;
    serde_json::from_str(&outcome.stdout).with_context(|| outcome.to_string())
}

fn processes(list: &Value) -> &[Value] {
    list["processes"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn process<'a>(list: &'a Value, running: &Running) -> Result<&'a Value> {
    let found = processes(list).iter().find(|process| process["pid"] == running.pid());
    found.with_context(|| format!("no process {} in {list}", running.pid()))
}

/// Decision and reason for a process under these flags.
fn decided(arguments: &[&str], running: &Running) -> Result<(String, String)> {
    let list = targets_json(&[arguments, &["--all"]].concat())?;
    let process = process(&list, running)?;
    let text = |key: &str| {
        process[key].as_str().map(str::to_owned).with_context(|| format!("no {key} in {process}"))
    };
    Ok((text("decision")?, text("reason")?))
}

/// All processes, kernel threads included, as `ps` counts them.
fn processes_by_ps() -> Result<i64> {
    let output = Command::new("ps").args(["-e", "-o", "pid="]).output().context("cannot run ps")?;
    // `ps` itself is in its list.
    Ok(i64::try_from(output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count())? - 1)
}

#[test]
fn the_json_has_what_is_documented() -> Result<()> {
    let scratch = Scratch::new()?;
    let running = scratch.start(Program::Sleeper, "tg-json", &[])?;
    let list = targets_json(&["--name", "tg-json"])?;
    assert_eq!(list["matched"], 1, "{list}");
    assert!(list["scanned"].as_u64() > Some(1), "{list}");
    assert!(list["duration_ms"].is_number(), "{list}");
    assert_eq!(processes(&list).len(), 1, "without --all only those that are profiled: {list}");
    let process = process(&list, &running)?;
    assert!(!process["start_time"].is_null(), "{process}");
    assert_eq!(process["name"], "tg-json");
    assert_eq!(process["exe"], scratch.text("tg-json"));
    assert_eq!(process["decision"], "profile");
    assert_eq!(process["target"], "default");
    assert_eq!(process["reason"], "target_process_names[0] = \"tg-json\"");
    Ok(())
}

#[test]
fn the_numbers_agree_with_ps() -> Result<()> {
    let scratch = Scratch::new()?;
    let _three: Vec<Running> =
        (0..3).map(|_| scratch.start(Program::Sleeper, "tg-counted", &[])).collect::<Result<_>>()?;
    let before = processes_by_ps()?;
    let list = targets_json(&["--name", "tg-counted", "--all"])?;
    let after = processes_by_ps()?;
    let scanned = list["scanned"].as_i64().context("no number")?;
    // Other processes of the machine come and go meanwhile, and the command is one itself.
    let (low, high) = (before.min(after) - 10, before.max(after) + 10);
    assert!((low..=high).contains(&scanned), "{scanned} scanned, ps says {before}, then {after}");
    assert_eq!(list["matched"], 3);
    let listed = processes(&list);
    assert_eq!(listed.len() as i64, scanned, "--all lists all that were scanned");
    assert_eq!(listed.iter().filter(|process| process["decision"] == "profile").count(), 3);
    for process in listed {
        assert!(process["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{process}");
    }
    Ok(())
}

#[test]
fn the_table_shows_the_targets() -> Result<()> {
    let scratch = Scratch::new()?;
    let running = scratch.start(Program::Sleeper, "tg-table", &[])?;
    let other = scratch.start(Program::Sleeper, "tg-other", &[])?;
    let outcome = targets(&["--name", "tg-table"])?;
    let row = |of: &Running| {
        let pid = of.pid().to_string();
        outcome.stdout.lines().find(|line| line.split_whitespace().any(|word| word == pid))
    };
    assert!(row(&running).is_some_and(|row| row.contains("tg-table")), "{outcome}");
    assert_eq!(row(&other), None, "{outcome}");
    assert!(!outcome.stdout.contains('\u{1b}'), "{outcome}");
    let wide = targets(&["--name", "tg-table", "-o", "wide"])?;
    assert!(wide.stdout.contains(&scratch.text("tg-table")), "{wide}");
    Ok(())
}

#[test]
fn the_explanation_has_every_process_and_its_reason() -> Result<()> {
    let scratch = Scratch::new()?;
    let chosen = scratch.start(Program::Sleeper, "tg-explain", &[])?;
    let other = scratch.start(Program::Sleeper, "tg-left-out", &[])?;
    let excluded = scratch.start(Program::Sleeper, "tg-explain-x", &[])?;
    let arguments = ["--name", "tg-explain*", "--exclude-name", "tg-explain-x", "--all", "--explain"];
    let outcome = targets(&arguments)?;
    let row = |of: &Running| -> Result<&str> {
        let pid = of.pid().to_string();
        let row = outcome.stdout.lines().find(|line| line.split_whitespace().any(|word| word == pid));
        row.with_context(|| format!("no row of {pid}\n{outcome}"))
    };
    assert!(row(&chosen)?.contains("target_process_names[0] = \"tg-explain*\""), "{outcome}");
    assert!(row(&excluded)?.contains("exclude_process_names[0] = \"tg-explain-x\""), "{outcome}");
    let left_out = row(&other)?;
    assert!(left_out.contains("skip") && !left_out.contains("target_process_names[0] ="), "{outcome}");
    Ok(())
}

#[test]
fn reasons_name_the_entry_that_decided() -> Result<()> {
    let scratch = Scratch::new()?;
    let running = scratch.start(Program::Sleeper, "tg-reason", &[])?;
    let pid = running.pid().to_string();
    let exe = scratch.text("tg-reason");
    let check = |arguments: &[&str], decision: &str, reason: &str| -> Result<()> {
        assert_eq!(decided(arguments, &running)?, (decision.to_owned(), reason.to_owned()), "{arguments:?}");
        Ok(())
    };
    check(&["--name", "tg-none,tg-reason"], "profile", "target_process_names[1] = \"tg-reason\"")?;
    check(&["--exe", &exe], "profile", &format!("target_executables[0] = \"{exe}\""))?;
    check(
        &["--exclude-exe", &exe, "--name", "tg-reason"],
        "skip",
        &format!("exclude_executables[0] = \"{exe}\""),
    )?;
    let (decision, reason) = decided(&["--pid", &pid, "--exclude-name", "tg-reason"], &running)?;
    assert_eq!(decision, "profile", "an explicit pid wins over exclusions");
    assert!(reason.starts_with("target_pid") && reason.contains(&pid), "{reason}");
    let (decision, reason) = decided(&["--match", "all", "--name", "tg-reason", "--exe", "/none"], &running)?;
    assert_eq!(decision, "skip");
    assert!(reason.contains("target_executables"), "the rule that failed should be named: {reason}");
    Ok(())
}

#[test]
fn with_exclusions_only_all_the_rest_is_profiled() -> Result<()> {
    let scratch = Scratch::new()?;
    let out = scratch.start(Program::Sleeper, "tg-only-out", &[])?;
    let rest = scratch.start(Program::Sleeper, "tg-the-rest", &[])?;
    let config = scratch.write("config.yaml", "profiler:\n  exclude_process_names: [tg-only-out]\n")?;
    let config = ["--config", config.to_str().context("UTF-8")?];
    assert_eq!(decided(&config, &out)?.0, "skip");
    assert_eq!(decided(&config, &rest)?.0, "profile");
    Ok(())
}

#[test]
fn a_configuration_selects_and_flags_replace_its_includes_only() -> Result<()> {
    let scratch = Scratch::new()?;
    let filed = scratch.start(Program::Sleeper, "tg-filed", &[])?;
    let flagged = scratch.start(Program::Sleeper, "tg-flagged", &[])?;
    let excluded = scratch.start(Program::Sleeper, "tg-flagged-not", &[])?;
    let config = "profiler:\n  target_process_names: [tg-filed]\n  exclude_process_names: [tg-flagged-not]\n";
    let config = scratch.write("config.yaml", config)?;
    let config = ["--config", config.to_str().context("UTF-8")?];
    assert_eq!(decided(&config, &filed)?.0, "profile");
    assert_eq!(decided(&config, &flagged)?.0, "skip");
    let with_flag = [&config[..], &["--name", "tg-flagged*"]].concat();
    assert_eq!(decided(&with_flag, &filed)?.0, "skip");
    assert_eq!(decided(&with_flag, &flagged)?.0, "profile");
    let by_exclusion = ("skip".to_owned(), "exclude_process_names[0] = \"tg-flagged-not\"".to_owned());
    assert_eq!(decided(&with_flag, &excluded)?, by_exclusion);
    Ok(())
}

#[test]
fn a_renamed_process_matches_under_its_old_and_new_name() -> Result<()> {
    let scratch = Scratch::new()?;
    let running = scratch.start(Program::Rename, "tg-old-name", &["10", "tg-new-name"])?;
    telegen_e2e::until(LIMIT, "the renaming", || Ok(running.stdout()?.contains("renamed").then_some(())))?;
    for name in ["tg-old-name", "tg-new-name"] {
        assert_eq!(decided(&["--name", name], &running)?.0, "profile", "{name}");
    }
    Ok(())
}

#[test]
fn kernel_threads_and_the_command_itself_are_never_profiled() -> Result<()> {
    let config = Scratch::new()?;
    let config = config.write("config.yaml", "profiler:\n  exclude_process_names: [tg-nobody]\n")?;
    let list = targets_json(&["--all", "--config", config.to_str().context("UTF-8")?])?;
    let kthreadd = processes(&list).iter().find(|process| process["pid"] == 2).context("no kthreadd")?;
    assert_eq!(fs::read_to_string("/proc/2/comm")?.trim(), "kthreadd");
    assert_eq!(kthreadd["decision"], "skip", "{kthreadd}");
    for process in processes(&list).iter().filter(|process| process["name"] == "telegen") {
        assert_eq!(process["decision"], "skip", "{process}");
    }
    Ok(())
}

#[test]
fn nobody_can_ask_too_and_is_told_what_could_not_be_read() -> Result<()> {
    let scratch = Scratch::new()?;
    let running = scratch.start(Program::Sleeper, "tg-as-root", &[])?;
    let mut command = telegen_as_nobody(["targets", "--name", "tg-as-root", "-o", "json"])?;
    let outcome = run(&mut command, LIMIT)?.expect_code(0)?;
    let list: Value = serde_json::from_str(&outcome.stdout).with_context(|| outcome.to_string())?;
    // Its name is readable for everybody, its executable is not.
    assert_eq!(process(&list, &running)?["decision"], "profile");
    assert!(!outcome.stderr.trim().is_empty(), "what could not be read should be stated\n{outcome}");
    let plain = run(&mut telegen_as_nobody(["targets", "--name", "tg-as-root"])?, LIMIT)?.expect_code(0)?;
    assert!(plain.stdout.contains("tg-as-root"), "{plain}");
    Ok(())
}
