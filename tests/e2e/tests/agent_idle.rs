//! What is not a target costs a look-up in the kernel, and nothing in user space.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};
use telegen_e2e::{Agent, AgentSettings, CpuMeter, Profile, Program, Running, Scratch};

const REJECTED: &str = "telegen_profiler_samples_rejected_total";

fn start(scratch: &Scratch) -> Result<(Agent, [Running; 2])> {
    let busy = [
        scratch.start(Program::Burn, "tg-not-chosen-1", &[])?,
        scratch.start(Program::Burn, "tg-not-chosen-2", &[])?,
    ];
    let rules = "  target_process_names: [tg-not-running]\n";
    let agent = Agent::start(scratch, &AgentSettings { interval: "60s", rules, ..AgentSettings::default() })?;
    // Start-up has its own work to do.
    sleep(Duration::from_secs(3));
    Ok((agent, busy))
}

#[test]
fn ticks_on_other_processes_are_counted_as_rejected_and_nothing_is_recorded() -> Result<()> {
    let scratch = Scratch::new()?;
    let (mut agent, busy) = start(&scratch)?;
    let meters = busy.each_ref().map(|running| CpuMeter::start(running.pid()));
    sleep(Duration::from_millis(500));
    let (begin, wall) = (std::time::SystemTime::now(), Instant::now());
    let before = agent.metrics()?.sum(REJECTED, &[])?;
    sleep(Duration::from_secs(10));
    let (end, elapsed) = (std::time::SystemTime::now(), wall.elapsed().as_secs_f64());
    let rejected = agent.metrics()?.sum(REJECTED, &[])? - before;
    let undelivered = agent.metrics()?.sum("telegen_profiler_samples_undelivered_estimate", &[])?;
    assert_eq!(undelivered, 0.0, "all ticks that were due have come");
    sleep(Duration::from_millis(100));
    let mut busy_seconds = 0.0;
    for meter in &meters {
        busy_seconds += meter.between(begin, end)?;
    }
    // At least the ticks of the two that are known to have been busy; at most a tick on every CPU all the time.
    let cpus = std::thread::available_parallelism()?.get() as f64;
    assert!(rejected >= 0.9 * busy_seconds * 99.0, "{rejected} rejected, {busy_seconds:.2} s busy");
    assert!(
        rejected <= 1.1 * elapsed * cpus * 99.0 + 10.0,
        "{rejected} rejected in {elapsed:.2} s on {cpus} CPUs"
    );
    agent.terminate()?;
    assert_eq!(agent.profiles()?.iter().map(Profile::total).sum::<u64>(), 0);
    Ok(())
}

/// How often each thread of a process has gone to sleep of its own accord, by name.
fn voluntary_switches(pid: u32) -> Result<Vec<(String, u64)>> {
    let mut switches = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(task?.path().join("status"))?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let name = field("Name:").context("a thread without name")?.to_owned();
        switches.push((name, field("voluntary_ctxt_switches:").context("no count")?.parse()?));
    }
    Ok(switches)
}

#[test]
fn ticks_on_other_processes_do_not_wake_the_thread_that_drains_samples() -> Result<()> {
    let scratch = Scratch::new()?;
    let (agent, _busy) = start(&scratch)?;
    let drains = || -> Result<u64> {
        let threads = voluntary_switches(agent.running.pid())?;
        let drain = threads.iter().filter(|(name, _)| name.starts_with("tg-drain")).map(|(_, count)| *count);
        ensure!(drain.clone().next().is_some(), "no thread tg-drain in {threads:?}");
        Ok(drain.sum())
    };
    let before = drains()?;
    sleep(Duration::from_secs(5));
    let woken = drains()? - before;
    // About a thousand ticks have been rejected meanwhile.
    assert!(woken <= 2, "the thread went to sleep {woken} times in 5 s");
    Ok(())
}
