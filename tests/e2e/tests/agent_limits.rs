//! `limits.memory` and `limits.cpu`: what the agent may take, and what it does to stay within.

use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use telegen_e2e::{Agent, AgentSettings, CpuMeter, Program, Scratch, skip, until};

const LIMIT: Duration = Duration::from_secs(120);

/// A control group of version 1 with a limit of memory, removed when dropped.
struct MemoryGroup(PathBuf);

impl MemoryGroup {
    /// `None` where that hierarchy is not mounted.
    fn create(name: &str, bytes: u64) -> Result<Option<Self>> {
        let root = PathBuf::from("/sys/fs/cgroup/memory");
        if !root.join("memory.limit_in_bytes").exists() {
            return Ok(None);
        }
        let group = Self(root.join(name));
        fs::create_dir_all(&group.0)?;
        fs::write(group.0.join("memory.limit_in_bytes"), bytes.to_string())?;
        Ok(Some(group))
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // What is still in it keeps it, and the test has failed then anyway.
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_control_groups_memory_is_the_agents_limit() -> Result<()> {
    let Some(group) = MemoryGroup::create(&format!("tg-limits-{}", std::process::id()), 200 << 20)? else {
        skip!("no control groups of version 1 with a memory controller are mounted");
    };
    // The agent is born in the group of whoever starts it.
    let procs = group.0.join("cgroup.procs");
    let home = PathBuf::from("/sys/fs/cgroup/memory").join("cgroup.procs");
    let own = std::process::id().to_string();
    let scratch = Scratch::new()?;
    let burner = scratch.start(Program::Burn, "tg-limits", &[])?;
    let rules = format!("  target_pids: [{}]\n", burner.pid());
    fs::write(&procs, &own)?;
    let agent = Agent::start(&scratch, &AgentSettings { rules: &rules, ..AgentSettings::default() });
    fs::write(home, &own).context("cannot go back")?;
    let mut agent = agent?;
    until(LIMIT, "figures of memory", || {
        let metrics = agent.metrics()?;
        let used = metrics.sum("telegen_profiler_memory_used_bytes", &[])?;
        Ok((used > 0.0).then_some(()))
    })?;
    let metrics = agent.metrics()?;
    assert_eq!(metrics.sum("telegen_profiler_memory_limit_bytes", &[])?, 160.0 * 1024.0 * 1024.0);
    let used = metrics.sum("telegen_profiler_memory_used_bytes", &[])?;
    assert!(used > 1e6 && used < 160.0 * 1024.0 * 1024.0, "{used} bytes");
    assert_eq!(metrics.sum("telegen_profiler_memory_caches_dropped_total", &[])?, 0.0);
    agent.terminate()?;
    drop(agent);
    Ok(())
}

#[test]
fn before_it_takes_too_much_cpu_time_the_agent_samples_less_often() -> Result<()> {
    let scratch = Scratch::new()?;
    let burner = scratch.start(Program::Burn, "tg-cpu-limit", &[])?;
    let meter = CpuMeter::start(burner.pid());
    let rules =
        format!("  cpu: {{sample_rate: 9000}}\n  limits: {{cpu: 1%}}\n  target_pids: [{}]\n", burner.pid());
    let mut agent =
        Agent::start(&scratch, &AgentSettings { interval: "2s", rules: &rules, ..AgentSettings::default() })?;
    let rate = "telegen_profiler_sample_rate_hertz";
    assert_eq!(agent.metrics()?.sum(rate, &[])?, 9000.0);
    until(LIMIT, "a lower rate", || {
        let metrics = agent.metrics()?;
        Ok((metrics.sum(rate, &[])? < 9000.0).then_some(()))
    })?;
    let lowered = agent.metrics()?.sum(rate, &[])?;
    assert!(lowered >= 1.0, "{lowered} Hz");
    assert_eq!(agent.metrics()?.sum("telegen_profiler_sample_rate_reductions_total", &[])?, 1.0);
    let period = (1e9 / lowered) as u64;
    let after = agent.wait_for_profiles("profiles at the lower rate", |all| {
        all.iter()
            .filter(|profile| {
                profile.period.abs_diff(period) <= 1 && profile.duration > Duration::from_secs(1)
            })
            .count()
            >= 2
    })?;
    assert!(agent.log()?.contains("sampling less often, to stay within limits.cpu"));
    agent.terminate()?;
    // Whatever the rate, samples stand for the time that they were taken over.
    for profile in after.iter().filter(|profile| profile.duration > Duration::from_secs(1)) {
        let cpu_seconds = meter.between(profile.start, profile.end()).context("the program's CPU time")?;
        let seconds = profile.samples.iter().map(|sample| sample.value).sum::<u64>() as f64 / 1e9;
        let ticks = cpu_seconds * 1e9 / profile.period as f64;
        // Of thousands of ticks a second a machine may keep some back, and the agent says so.
        let tolerance = if profile.period < period { 0.08 } else { 0.03_f64.max(3.0 / ticks.sqrt()) };
        assert!(
            (seconds - cpu_seconds).abs() <= cpu_seconds * tolerance,
            "{seconds:.3} s of {cpu_seconds:.3} s at a period of {} ns",
            profile.period
        );
    }
    assert!(
        after.iter().any(|profile| profile.period < period),
        "the first profiles have the configured rate"
    );
    Ok(())
}
