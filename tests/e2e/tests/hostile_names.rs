//! Names that come from processes are escaped wherever they are shown.

use anyhow::{Context, Result};
use std::fs;
use std::process::Command;
use std::time::Duration;
use telegen_e2e::{Agent, AgentSettings, Program, Running, Scratch, record, run, telegen};

/// A file name, and so a process name, that paints terminals, breaks lines and closes tags.
const NAME: &str = "tg\u{1b}[31m\n<b>&\"]]>;$(x)";
const LIMIT: Duration = Duration::from_secs(60);

fn start(scratch: &Scratch) -> Result<Running> {
    // The thread names itself after it, too, at the renaming.
    scratch.start(Program::Rename, NAME, &["1", "\u{1b}[32m\n<i>&;\"]]>"])
}

fn assert_harmless(what: &str, text: &str) {
    assert!(!text.contains('\u{1b}'), "an escape sequence in {what}: {text:?}");
}

#[test]
fn in_tables_and_summaries() -> Result<()> {
    let scratch = Scratch::new()?;
    let running = start(&scratch)?;
    let pid = running.pid().to_string();
    for form in ["table", "wide", "json"] {
        let mut command = telegen(["targets", "--pid", &pid, "--all", "--explain", "-o", form])?;
        let outcome = run(&mut command, LIMIT)?.expect_code(0)?;
        assert_harmless(form, &outcome.stdout);
        if form != "json" {
            assert!(!outcome.stdout.contains("\n<b>"), "a line break in a name: {outcome}");
        }
    }
    let recording = record(scratch.path(), &["--pid", &pid, "-d", "2s"])?;
    assert_harmless("the summary", &recording.outcome.output());
    assert!(!recording.outcome.output().contains("\n<b>"));
    let mut command = telegen(["record", "--name", "tg-nothing*", "-d", "1s"])?;
    let missed = run(command.current_dir(scratch.path()), LIMIT)?.expect_code(3)?;
    assert_harmless("the nearest misses", &missed.output());
    Ok(())
}

#[test]
fn in_flame_graphs_and_folded_stacks() -> Result<()> {
    let scratch = Scratch::new()?;
    let running = start(&scratch)?;
    let pid = running.pid().to_string();
    for name in ["a.svg", "a.folded", "a.html"] {
        let output = scratch.join(name);
        run(telegen(["record", "--pid", &pid, "-d", "2s", "-o"])?.arg(&output), LIMIT)?.expect_code(0)?;
        let text = fs::read_to_string(&output)?;
        assert_harmless(name, &text);
        assert!(!text.contains("<b>") || name == "a.folded", "a tag in {name}");
    }
    let parser = "import sys, xml.etree.ElementTree as t; t.parse(sys.argv[1])";
    let parsed = run(Command::new("python3").args(["-c", parser]).arg(scratch.join("a.svg")), LIMIT)?;
    parsed.expect_code(0).context("not well-formed")?;
    for line in fs::read_to_string(scratch.join("a.folded"))?.lines() {
        let count = line.rsplit_once(' ').and_then(|(_, count)| count.parse::<u64>().ok());
        assert!(count.is_some(), "a line without a count: {line:?}");
    }
    Ok(())
}

#[test]
fn in_logs_and_metrics() -> Result<()> {
    let scratch = Scratch::new()?;
    let running = start(&scratch)?;
    let rules = format!("  target_pids: [{}]\n  log: {{level: debug}}\n", running.pid());
    let mut agent =
        Agent::start(&scratch, &AgentSettings { interval: "1s", rules: &rules, ..AgentSettings::default() })?;
    agent.wait_for_profiles("a sample", |all| all.iter().any(|profile| profile.total() > 0))?;
    // That it can be parsed says that no name has broken a line.
    agent.metrics()?;
    assert_harmless("the metrics", &agent.get("/metrics")?.body);
    let outcome = agent.terminate()?;
    assert_harmless("the log", &outcome.output());
    assert!(!outcome.output().contains("\n<b>"), "{outcome}");
    Ok(())
}
