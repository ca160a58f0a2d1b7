//! The two lines of the log that are promised, and the start without anything to do.

use anyhow::{Context, Result};
use std::path::Path;
use std::time::Duration;
use telegen_e2e::{Agent, AgentSettings, Program, Scratch, run, skip, telegen};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn the_promised_lines_are_logged_to_the_letter() -> Result<()> {
    let scratch = Scratch::new()?;
    let _sleeper = scratch.start(Program::Sleeper, "tg-agent-log", &[])?;
    let rules = "  target_process_names: [tg-agent-log]\n";
    let mut agent = Agent::start(&scratch, &AgentSettings { rules, ..AgentSettings::default() })?;
    let outcome = agent.terminate()?;
    let first = "[INFO] initialized process filter, summary=\"Active filters: ProcessNames=[tg-agent-log]\"";
    assert!(outcome.stderr.lines().any(|line| line == first), "{outcome}");
    let second = outcome.stderr.lines().find_map(|line| {
        line.strip_prefix("[INFO] filtered processes for profiling, total_scanned=")?
            .strip_suffix(", matched=1, has_filters=true")
    });
    let scanned: u64 = second.with_context(|| outcome.to_string())?.parse()?;
    assert!(scanned > 5, "{outcome}");
    Ok(())
}

#[test]
fn without_include_rules_there_is_no_filter() -> Result<()> {
    let scratch = Scratch::new()?;
    let mut agent = Agent::start(&scratch, &AgentSettings::default())?;
    let outcome = agent.terminate()?;
    let unfiltered = outcome.stderr.lines().find(|line| {
        line.starts_with("[INFO] filtered processes for profiling, total_scanned=")
            && line.ends_with(", has_filters=false")
    });
    assert!(unfiltered.is_some(), "{outcome}");
    Ok(())
}

#[test]
fn logs_can_be_had_as_json() -> Result<()> {
    let scratch = Scratch::new()?;
    let rules = "  target_process_names: [tg-agent-json]\n  log: {format: json}\n";
    let mut agent = Agent::start(&scratch, &AgentSettings { rules, ..AgentSettings::default() })?;
    let outcome = agent.terminate()?;
    let lines: Vec<&str> = outcome.stderr.lines().filter(|line| !line.is_empty()).collect();
    assert!(lines.len() >= 2, "{outcome}");
    for line in &lines {
        let entry: serde_json::Value =
            serde_json::from_str(line).with_context(|| format!("not JSON: {line}"))?;
        assert!(entry.is_object(), "{line}");
    }
    assert!(lines.iter().any(|line| line.contains("initialized process filter")), "{outcome}");
    Ok(())
}

#[test]
fn an_agent_without_file_and_flags_says_both_ways() -> Result<()> {
    let default = "/etc/telegen/profiler/config.yaml";
    if Path::new(default).exists() {
        skip!("this machine has {default}");
    }
    let outcome = run(&mut telegen(["agent"])?, LIMIT)?.expect_code(2)?;
    assert!(outcome.stderr.contains(default) || outcome.stderr.contains("--config"), "{outcome}");
    assert!(outcome.stderr.contains("--name"), "{outcome}");
    Ok(())
}

#[test]
fn an_agent_whose_file_is_not_there_says_so() -> Result<()> {
    let scratch = Scratch::new()?;
    let outcome =
        run(telegen(["agent", "--config"])?.arg(scratch.join("none.yaml")), LIMIT)?.expect_code(2)?;
    assert!(outcome.stderr.contains("none.yaml"), "{outcome}");
    Ok(())
}
