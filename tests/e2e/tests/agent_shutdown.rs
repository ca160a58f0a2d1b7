//! The end of an agent, in order and out of order.

use anyhow::Result;
use rustix::process::Signal;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;
use telegen_e2e::accuracy::assert_sample_count;
use telegen_e2e::{Agent, AgentSettings, KernelObjects, Profile, Program, Scratch, reported, run, until};

const LIMIT: Duration = Duration::from_secs(120);

fn start(scratch: &Scratch, name: &str, interval: &str) -> Result<Agent> {
    let rules = format!("  target_process_names: [{name}]\n");
    Agent::start(scratch, &AgentSettings { interval, rules: &rules, ..AgentSettings::default() })
}

#[test]
fn sigterm_loses_nothing_of_the_last_interval() -> Result<()> {
    let scratch = Scratch::new()?;
    let mut agent = start(&scratch, "tg-last", "3600s")?;
    let program = scratch.install(Program::Burn, "tg-last")?;
    let burner = run(Command::new(program).args(["--seconds", "6"]), LIMIT)?.expect_code(0)?;
    assert_eq!(agent.profiles()?.len(), 0, "the interval is not over");
    agent.terminate()?;
    let profiles = agent.profiles()?;
    assert_eq!(profiles.len(), 1, "what the last interval has goes into one file");
    assert_sample_count(profiles[0].count_of("tg-last"), reported(&burner.stdout, "total")?, 99.0);
    Ok(())
}

#[test]
fn nothing_is_lost_between_the_intervals() -> Result<()> {
    let scratch = Scratch::new()?;
    let mut agent = start(&scratch, "tg-between", "1s")?;
    let program = scratch.install(Program::Burn, "tg-between")?;
    let burner = run(Command::new(program).args(["--seconds", "10"]), LIMIT)?.expect_code(0)?;
    agent.terminate()?;
    let profiles = agent.profiles()?;
    assert!(profiles.len() >= 8, "{} profiles", profiles.len());
    let total = profiles.iter().map(Profile::total).sum();
    assert_sample_count(total, reported(&burner.stdout, "total")?, 99.0);
    Ok(())
}

#[test]
fn a_second_signal_exits_now() -> Result<()> {
    let scratch = Scratch::new()?;
    let _burner = scratch.start(Program::Burn, "tg-agent-twice", &[])?;
    let mut agent = start(&scratch, "tg-agent-twice", "3600s")?;
    sleep(Duration::from_secs(2));
    agent.running.signal(Signal::TERM)?;
    let _ = agent.running.signal(Signal::TERM);
    agent.running.wait(LIMIT)?;
    // Whatever is there is whole.
    agent.profiles()?;
    Ok(())
}

#[test]
fn a_killed_agent_leaves_nothing_in_the_kernel() -> Result<()> {
    let scratch = Scratch::new()?;
    let _burner = scratch.start(Program::Burn, "tg-agent-killed", &[])?;
    let mut agent = start(&scratch, "tg-agent-killed", "1s")?;
    let loaded = KernelObjects::of_process(agent.running.pid())?;
    assert!(loaded.count("map") > 0, "{loaded:?}");
    assert!(!loaded.still_in(&KernelObjects::all()?).is_empty());
    agent.running.kill();
    until(Duration::from_secs(60), "its programs, maps and links to be gone", || {
        Ok(loaded.still_in(&KernelObjects::all()?).is_empty().then_some(()))
    })
}

#[test]
fn an_agent_that_ended_leaves_nothing_in_the_kernel() -> Result<()> {
    let scratch = Scratch::new()?;
    let _burner = scratch.start(Program::Burn, "tg-agent-ended", &[])?;
    let mut agent = start(&scratch, "tg-agent-ended", "1s")?;
    let loaded = KernelObjects::of_process(agent.running.pid())?;
    agent.terminate()?;
    until(Duration::from_secs(60), "its programs, maps and links to be gone", || {
        Ok(loaded.still_in(&KernelObjects::all()?).is_empty().then_some(()))
    })
}
