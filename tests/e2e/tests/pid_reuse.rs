//! A pid that is used again by another process: identity is pid and start time.

use anyhow::{Result, bail};
use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;
use telegen_e2e::{Agent, AgentSettings, Program, Running, Scratch, skip};

/// Starts a program under a pid that has become free, by telling the kernel which it handed out last; other processes
/// of the machine may be quicker, so this is tried many times.
fn start_under_pid(pid: u32, command: &mut Command) -> Result<Running> {
    for _ in 0..500 {
        fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string())?;
        let running = Running::spawn(command)?;
        if running.pid() == pid {
            return Ok(running);
        }
    }
    bail!("pid {pid} could not be had again");
}

/// Ends a burning target and puts another busy program under its pid; the agent must have no sample of that.
fn assert_not_inherited(rules: impl Fn(u32) -> String) -> Result<()> {
    let scratch = Scratch::new()?;
    let mut first = scratch.start(Program::Burn, "tg-reused-a", &[])?;
    let pid = first.pid();
    let rules = rules(pid);
    let mut agent =
        Agent::start(&scratch, &AgentSettings { interval: "1s", rules: &rules, ..AgentSettings::default() })?;
    agent.wait_for_profiles("samples of the first process", |all| {
        all.iter().any(|p| p.count_with("tg_half") > 0)
    })?;
    let other = scratch.install(Program::Short, "tg-reused-b")?;
    first.kill();
    let second = match start_under_pid(pid, Command::new(other).arg("60000")) {
        Ok(second) => second,
        Err(error) => skip!("{error:#}"),
    };
    sleep(Duration::from_secs(5));
    agent.terminate()?;
    for profile in agent.profiles()? {
        assert_eq!(profile.count_with("tg_short"), 0);
        assert_eq!(profile.count_of("tg-reused-b"), 0);
    }
    drop(second);
    Ok(())
}

#[test]
fn a_decision_by_name_is_not_inherited_by_the_next_process_with_the_pid() -> Result<()> {
    assert_not_inherited(|_| "  target_process_names: [tg-reused-a]\n".to_owned())
}

#[test]
fn a_chosen_pid_is_spent_when_its_process_exits() -> Result<()> {
    assert_not_inherited(|pid| format!("  target_pids: [{pid}]\n"))
}
