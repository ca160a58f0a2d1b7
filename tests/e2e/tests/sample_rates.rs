//! Targets that are sampled at rates of their own, in one agent.

use anyhow::{Context, Result};
use std::fs;
use std::time::{Duration, SystemTime};
use telegen_e2e::{Agent, AgentSettings, CpuMeter, Profile, Program, Scratch, until};

const RULES: &str = "  targets:
    - name: fast
      process_names: [tg-rate-fast]
      cpu: {sample_rate: 199}
    - name: slow
      process_names: [tg-rate-slow]
      cpu: {sample_rate: 49}
  target_process_names: [tg-rate-plain]
";

/// Samples of a target, and the CPU time that they stand for.
fn of_target(profile: &Profile, target: &str) -> (u64, f64) {
    let samples = profile.samples.iter().filter(|sample| sample.label("target") == target);
    samples.fold((0, 0.0), |(count, seconds), sample| {
        (count + sample.count, seconds + sample.value as f64 / 1e9)
    })
}

/// Ticks are passed over, so that a sample more or less may be taken on each CPU, beside what any sampling is off by.
fn assert_rate(profile: &Profile, target: &str, cpu_seconds: f64, hz: f64) {
    let (count, seconds) = of_target(profile, target);
    let expected = cpu_seconds * hz;
    let tolerance = 2.0 + expected * 0.01_f64.max(2.0 / expected.sqrt());
    assert!(
        (count as f64 - expected).abs() <= tolerance,
        "{target}: {count} of {expected:.1} ± {tolerance:.1}"
    );
    let off = (seconds / cpu_seconds - 1.0).abs();
    assert!(off <= tolerance / expected, "{target}: {seconds:.2} s of {cpu_seconds:.2} s");
}

#[test]
fn each_target_is_sampled_at_its_own_rate_and_a_reload_may_change_it() -> Result<()> {
    let scratch = Scratch::new()?;
    let names = ["tg-rate-fast", "tg-rate-slow", "tg-rate-plain"];
    let burners = names.map(|name| scratch.start(Program::Burn, name, &[]));
    let burners = burners.into_iter().collect::<Result<Vec<_>>>()?;
    let meters: Vec<CpuMeter> = burners.iter().map(|burner| CpuMeter::start(burner.pid())).collect();
    let settings = AgentSettings { interval: "6s", rules: RULES, ..AgentSettings::default() };
    let mut agent = Agent::start(&scratch, &settings)?;
    let whole = |profile: &Profile, after: SystemTime| {
        profile.start > after && profile.duration > Duration::from_secs(5)
    };
    let check = |profile: &Profile, rates: [f64; 3]| -> Result<()> {
        for ((target, meter), hz) in ["fast", "slow", "default"].iter().zip(&meters).zip(rates) {
            assert_rate(profile, target, meter.between(profile.start, profile.end())?, hz);
        }
        Ok(())
    };
    let begun = SystemTime::UNIX_EPOCH;
    let first = agent.wait_for_profiles("a profile", |all| all.iter().any(|one| whole(one, begun)))?;
    check(first.iter().find(|one| whole(one, begun)).context("a profile")?, [199.0, 49.0, 99.0])?;

    // The fastest is gone: the clock itself slows down, and nobody is interrupted.
    let file = scratch.join("agent.yaml");
    fs::write(&file, fs::read_to_string(&file)?.replace("sample_rate: 199", "sample_rate: 19"))?;
    until(Duration::from_secs(60), "the reload", || {
        Ok(agent.log()?.contains("the configuration has been reloaded").then_some(()))
    })?;
    let reloaded = SystemTime::now();
    let after = agent.wait_for_profiles("another", |all| all.iter().any(|one| whole(one, reloaded)))?;
    check(after.iter().find(|one| whole(one, reloaded)).context("a profile")?, [19.0, 49.0, 99.0])?;
    agent.terminate()?;
    Ok(())
}
