//! The number of samples, and their shares, against CPU time that was measured by others.

use anyhow::{Context, Result, anyhow};
use std::path::Path;
use std::sync::LazyLock;
use telegen_e2e::accuracy::{assert_sample_count, assert_share};
use telegen_e2e::{Container, CpuMeter, Program, Recording, Scratch, pprof_top, record, reported, skip};

const SHARES: [(&str, f64); 3] = [("tg_half", 50.0), ("tg_third", 30.0), ("tg_fifth", 20.0)];

/// The shares of the burner's three functions, as people see them in `go tool pprof -top`.
fn assert_burner_shares(path: &Path) -> Result<()> {
    let rows = pprof_top(path)?;
    for (function, truth) in SHARES {
        let row = rows.iter().find(|row| row.function == function);
        let row = row.with_context(|| format!("no {function} in {rows:?}"))?;
        assert_share(function, row.cumulative_percent, truth);
        assert_share(function, row.flat_percent, truth);
    }
    Ok(())
}

/// Records the burner from its first instruction to its exit: the window of the profile is that of its own clock.
fn record_burner(arguments: &[&str], burner: &[&str]) -> Result<(Recording, f64)> {
    let scratch = Scratch::new()?;
    let program = scratch.install(Program::Burn, "tg-accuracy")?;
    let program = program.to_str().context("scratch paths are UTF-8")?;
    let arguments = [arguments, &["--", program], burner].concat();
    let recording = record(scratch.path(), &arguments)?;
    let cpu_seconds = reported(&recording.outcome.stdout, "total")?;
    assert_burner_shares(&recording.path)?;
    Ok((recording, cpu_seconds))
}

/// One recording of one thread, which more than one test looks at.
fn single_thread() -> Result<&'static (Recording, f64)> {
    // Longer than the default duration, which must not cut a command short.
    static RECORDED: LazyLock<Result<(Recording, f64)>> =
        LazyLock::new(|| record_burner(&[], &["--seconds", "12"]));
    RECORDED.as_ref().map_err(|error| anyhow!("{error:?}"))
}

#[test]
fn a_single_thread_is_counted_by_its_cpu_time() -> Result<()> {
    let (recording, cpu_seconds) = single_thread()?;
    assert_sample_count(recording.profile.total(), *cpu_seconds, 99.0);
    Ok(())
}

#[test]
fn values_are_nanoseconds_of_cpu_time() -> Result<()> {
    let (Recording { profile, .. }, cpu_seconds) = single_thread()?;
    assert_eq!(profile.sample_types, ["samples/count", "cpu/nanoseconds"]);
    assert_eq!(profile.period_type, "cpu nanoseconds");
    assert!(profile.period.abs_diff(1_000_000_000 / 99) <= 1, "a period of {} ns", profile.period);
    let nanoseconds: u64 = profile.samples.iter().map(|sample| sample.value).sum();
    let off = (nanoseconds as f64 / 1e9 / cpu_seconds - 1.0).abs();
    assert!(off <= 2.0 / (cpu_seconds * 99.0).sqrt(), "{nanoseconds} ns for {cpu_seconds} s");
    Ok(())
}

#[test]
fn two_threads_on_two_cpus_are_both_counted() -> Result<()> {
    let (recording, cpu_seconds) = record_burner(&[], &["--threads", "2", "--seconds", "6"])?;
    assert!(cpu_seconds > 11.0, "two threads of 6 s each have had {cpu_seconds} s");
    assert_sample_count(recording.profile.total(), cpu_seconds, 99.0);
    for thread in ["tg-worker-0", "tg-worker-1"] {
        let samples = recording.profile.count(|sample| sample.label("thread.name") == thread);
        assert_sample_count(samples, cpu_seconds / 2.0, 99.0);
    }
    Ok(())
}

#[test]
fn the_rate_that_is_asked_for_is_sampled_at() -> Result<()> {
    let (recording, cpu_seconds) = record_burner(&["-F", "199"], &["--seconds", "10"])?;
    assert_sample_count(recording.profile.total(), cpu_seconds, 199.0);
    assert!(recording.profile.period.abs_diff(1_000_000_000 / 199) <= 1);
    Ok(())
}

#[test]
fn a_program_that_runs_already_is_counted_over_the_window_of_the_profile() -> Result<()> {
    let scratch = Scratch::new()?;
    let burner = scratch.start(Program::Burn, "tg-attached", &[])?;
    let meter = CpuMeter::start(burner.pid());
    let pid = burner.pid().to_string();
    let Recording { profile, path, .. } = record(scratch.path(), &["--pid", &pid, "-d", "10s"])?;
    assert!((9.5..11.5).contains(&profile.duration.as_secs_f64()), "a duration of {:?}", profile.duration);
    assert_sample_count(profile.total(), meter.between(profile.start, profile.end())?, 99.0);
    assert_burner_shares(&path)
}

#[test]
fn a_multi_threaded_program_that_runs_already_is_counted() -> Result<()> {
    let scratch = Scratch::new()?;
    let burner = scratch.start(Program::Burn, "tg-attached-mt", &["--threads", "2"])?;
    let meter = CpuMeter::start(burner.pid());
    let Recording { profile, path, .. } = record(scratch.path(), &["--name", "tg-attached-mt", "-d", "10s"])?;
    assert_sample_count(profile.total(), meter.between(profile.start, profile.end())?, 99.0);
    assert_burner_shares(&path)
}

#[test]
fn a_program_in_a_container_is_counted_and_named() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let container = Container::start(&scratch, Program::BurnStatic, "tg-boxed", &[])?;
    let meter = CpuMeter::start(container.pid());
    let Recording { profile, path, .. } = record(scratch.path(), &["--name", "tg-boxed", "-d", "10s"])?;
    assert_sample_count(profile.total(), meter.between(profile.start, profile.end())?, 99.0);
    assert_eq!(profile.label_values("process.executable.path"), ["/tg-boxed"].into());
    assert_eq!(profile.label_values("process.pid"), [&*container.pid().to_string()].into());
    assert_burner_shares(&path)
}
