//! Least privilege: what telegen keeps of it, what a command keeps, and what each capability is good for.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use telegen_e2e::{
    Agent, AgentSettings, CpuMeter, NEEDED_CAPABILITIES, Outcome, Profile, Program, Scratch, run, telegen,
    telegen_as_nobody_with, until,
};

const LIMIT: Duration = Duration::from_secs(60);

/// A line of `/proc/PID/status`, of each of its threads.
fn of_all_threads(pid: u32, key: &str) -> Result<BTreeSet<String>> {
    let mut values = BTreeSet::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let status = fs::read_to_string(task?.path().join("status"))?;
        let value = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        values.insert(value.with_context(|| format!("no {key}"))?.trim().to_owned());
    }
    Ok(values)
}

/// The bits of capabilities(7).
fn mask(bits: &[u32]) -> String {
    format!("{:016x}", bits.iter().fold(0_u64, |mask, bit| mask | 1 << bit))
}

#[test]
fn the_agent_keeps_what_profiling_needs_and_nothing_else() -> Result<()> {
    let scratch = Scratch::new()?;
    let burner = scratch.start(Program::Burn, "tg-privileges", &[])?;
    let rules = format!("  target_pids: [{}]\n", burner.pid());
    let mut agent = Agent::start(&scratch, &AgentSettings { rules: &rules, ..AgentSettings::default() })?;
    // CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH, CAP_SYSLOG, CAP_CHECKPOINT_RESTORE.
    let kept = BTreeSet::from([mask(&[39, 38, 19, 2, 34, 40])]);
    let pid = agent.running.pid();
    for set in ["CapEff", "CapPrm", "CapBnd"] {
        assert_eq!(of_all_threads(pid, set)?, kept, "{set}");
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(of_all_threads(pid, set)?, BTreeSet::from([mask(&[])]), "{set}");
    }
    assert_eq!(of_all_threads(pid, "NoNewPrivs")?, BTreeSet::from(["1".into()]));
    // 2: by a filter, proc_pid_status(5).
    until(LIMIT, "a filter of system calls", || {
        Ok((of_all_threads(pid, "Seccomp")? == BTreeSet::from(["2".into()])).then_some(()))
    })?;
    let profiles =
        agent.wait_for_profiles("samples", |all| all.iter().any(|profile| profile.total() > 50))?;
    assert!(profiles.iter().any(|profile| profile.count_with("tg_half") > 0));
    agent.terminate()?;
    Ok(())
}

#[test]
fn a_command_runs_with_the_privileges_of_its_caller() -> Result<()> {
    let scratch = Scratch::new()?;
    let script = "grep -E '^(CapEff|CapBnd|NoNewPrivs)' /proc/self/status";
    let plain = run(Command::new("sh").args(["-c", script]), LIMIT)?.expect_code(0)?;
    let mut command = telegen(["record", "-o", &scratch.text("a.pb.gz"), "--", "sh", "-c", script])?;
    let recorded = run(&mut command, LIMIT)?.expect_code(0)?;
    for line in plain.stdout.lines() {
        assert!(recorded.stdout.contains(line), "{line:?} is not in\n{recorded}");
    }
    Ok(())
}

fn run_with(capabilities: &[&str], arguments: &[&str]) -> Result<Outcome> {
    run(&mut telegen_as_nobody_with(capabilities, arguments)?, LIMIT)
}

fn without(capability: &str) -> Vec<&'static str> {
    NEEDED_CAPABILITIES.into_iter().filter(|name| *name != capability).collect()
}

/// A recording by nobody with these capabilities, of a root's program that calls the kernel.
fn record_with(scratch: &Scratch, capabilities: &[&str], name: &str) -> Result<Profile> {
    let out = scratch.join("out");
    if !out.exists() {
        fs::create_dir(&out)?;
        fs::set_permissions(&out, fs::Permissions::from_mode(0o777))?;
    }
    let output = scratch.text(&format!("out/{}.pb.gz", capabilities.len()));
    run_with(capabilities, &["record", "--force", "--name", name, "-d", "2s", "-o", &output])?
        .expect_code(0)?;
    Profile::read(Path::new(&output))
}

/// Nothing but names may be missing: as many samples as the program had CPU time.
fn assert_sampled(profile: &Profile, meter: &CpuMeter) -> Result<()> {
    let expected = meter.between(profile.start, profile.end())? * 99.0;
    let samples = profile.total() as f64;
    ensure!(expected > 20.0 && samples > expected * 0.8, "{samples} of about {expected:.0} samples");
    Ok(())
}

#[test]
fn nobody_with_the_capabilities_gets_everything() -> Result<()> {
    let scratch = Scratch::new()?;
    let burner = scratch.start(Program::Syscalls, "tg-six", &[])?;
    let meter = CpuMeter::start(burner.pid());
    // Nobody else may read it.
    fs::set_permissions(scratch.join("tg-six"), fs::Permissions::from_mode(0o700))?;
    let profile = record_with(&scratch, &NEEDED_CAPABILITIES, "tg-six")?;
    assert_sampled(&profile, &meter)?;
    let named = profile.count_with("main");
    assert!(named * 10 > profile.total() * 9, "{named} of {}: {:?}", profile.total(), profile.functions());
    let kernel = profile.count(|sample| sample.frames.iter().any(|frame| frame.function.contains("sys_")));
    assert!(kernel * 4 > profile.total(), "{:?}", profile.functions());
    Ok(())
}

#[test]
fn without_what_is_required_nothing_starts_and_it_is_named() -> Result<()> {
    let scratch = Scratch::new()?;
    let _burner = scratch.start(Program::Burn, "tg-required", &[])?;
    fs::create_dir(scratch.join("out"))?;
    fs::set_permissions(scratch.join("out"), fs::Permissions::from_mode(0o777))?;
    let output = scratch.text("out/a.svg");
    for (capability, name) in [("bpf", "CAP_BPF"), ("perfmon", "CAP_PERFMON")] {
        let outcome = run_with(
            &without(capability),
            &["record", "--name", "tg-required", "-d", "1000s", "-o", &output],
        )?;
        let outcome = outcome.expect_code(4)?;
        assert!(outcome.stderr.contains(name) && outcome.stderr.contains("telegen doctor"), "{outcome}");
        let doctor = run_with(&without(capability), &["doctor"])?.expect_code(4)?;
        let line = doctor.stdout.lines().find(|line| line.starts_with(name)).context("no line of it")?;
        assert!(line.contains("missing"), "{doctor}");
    }
    Ok(())
}

#[test]
fn without_what_is_not_required_names_are_lost_and_nothing_more() -> Result<()> {
    for capability in ["sys_ptrace", "dac_read_search", "syslog", "checkpoint_restore"] {
        let scratch = Scratch::new()?;
        let name = format!("tg-no-{capability}").replace('_', "-").chars().take(15).collect::<String>();
        let burner = scratch.start(Program::Burn, &name, &[])?;
        let meter = CpuMeter::start(burner.pid());
        fs::set_permissions(scratch.join(&name), fs::Permissions::from_mode(0o700))?;
        let profile = record_with(&scratch, &without(capability), &name)?;
        assert_sampled(&profile, &meter).context(capability)?;
        let named = profile.count_with("tg_half") > 0;
        let expected = !matches!(capability, "sys_ptrace" | "dac_read_search");
        assert_eq!(named, expected, "{capability}: {:?}", profile.functions());
        let doctor = run_with(&without(capability), &["doctor"])?.expect_code(0)?;
        let upper = format!("CAP_{}", capability.to_uppercase());
        let line = doctor.stdout.lines().find(|line| line.starts_with(&upper)).context("no line of it")?;
        assert!(line.contains("degraded") && line.contains(": "), "{doctor}");
    }
    Ok(())
}
