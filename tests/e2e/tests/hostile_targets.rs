//! Targets that have more of something than a process should have, and files that change while they are read: nothing
//! hangs, nothing swells, and what can be named is named.

use anyhow::{Context, Result, ensure};
use std::fs::{self, OpenOptions};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use telegen_e2e::{CpuMeter, Profile, Program, Running, Scratch, Sysctl, telegen, telegen_binary, until};

const LIMIT: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;

/// Started, and as crowded as it shall be.
fn start(scratch: &Scratch, name: &str, arguments: &[&str]) -> Result<Running> {
    let mut running = scratch.start(Program::Crowded, name, arguments)?;
    until(LIMIT, "the target to be ready", || {
        ensure!(running.is_running()?, "{}", running.wait(LIMIT)?);
        Ok(running.stdout()?.contains("ready").then_some(()))
    })?;
    Ok(running)
}

/// The most memory of its own that a process has had so far, as often as it is looked at.
fn anonymous_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    Some(kib.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Records for three seconds; the profile, and the most memory that the recorder was seen to have.
fn record_watched(
    scratch: &Scratch,
    pid: u32,
    meanwhile: impl FnOnce(&AtomicBool) + Send,
) -> Result<(Profile, u64)> {
    let (output, pid) = (scratch.text("watched.pb.gz"), pid.to_string());
    let begun = Instant::now();
    let mut recorder = Running::spawn(&mut telegen(["record", "--pid", &pid, "-d", "3s", "-o", &output])?)?;
    let over = AtomicBool::new(false);
    let peak = std::thread::scope(|scope| {
        scope.spawn(|| meanwhile(&over));
        let watched = (|| {
            let mut peak = 0;
            while recorder.is_running()? && begun.elapsed() < LIMIT {
                peak = peak.max(anonymous_bytes(recorder.pid()).unwrap_or(0));
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok::<u64, anyhow::Error>(peak)
        })();
        over.store(true, Ordering::Relaxed);
        watched
    })?;
    recorder.wait(Duration::from_secs(1))?.expect_code(0)?;
    ensure!(begun.elapsed() < Duration::from_secs(15), "it took {:?}", begun.elapsed());
    Ok((Profile::read(Path::new(&output))?, peak))
}

fn assert_named(profile: &Profile, cpu_seconds: f64) {
    let named = profile.count_with("tg_crowded");
    assert!(named * 10 >= profile.total() * 9, "{named} of {}: {:?}", profile.total(), profile.functions());
    let expected = cpu_seconds * 99.0;
    assert!(profile.total() as f64 > expected * 0.85, "{} of {expected:.0} samples", profile.total());
}

#[test]
fn a_hundred_thousand_mappings_cost_little() -> Result<()> {
    let _more = Sysctl::set("/proc/sys/vm/max_map_count", "300000")?;
    let scratch = Scratch::new()?;
    let target = start(&scratch, "tg-mappings", &["mappings", "100000"])?;
    let meter = CpuMeter::start(target.pid());
    let (profile, peak) = record_watched(&scratch, target.pid(), |_| {})?;
    assert_named(&profile, meter.between(profile.start, profile.end()).context("its CPU time")?);
    assert!(peak < 96 * MIB, "{} MiB", peak / MIB);
    Ok(())
}

#[test]
fn ten_thousand_threads_cost_little() -> Result<()> {
    let scratch = Scratch::new()?;
    let target = start(&scratch, "tg-threads", &["threads", "10000"])?;
    let meter = CpuMeter::start(target.pid());
    let (profile, peak) = record_watched(&scratch, target.pid(), |_| {})?;
    assert_named(&profile, meter.between(profile.start, profile.end()).context("its CPU time")?);
    assert!(peak < 64 * MIB, "{} MiB", peak / MIB);
    Ok(())
}

#[test]
fn mapping_and_unmapping_without_end_does_not_keep_others_from_being_sampled() -> Result<()> {
    let scratch = Scratch::new()?;
    let _restless = start(&scratch, "tg-remaps", &["remaps"])?;
    let burner = scratch.start(Program::Burn, "tg-remaps-beside", &[])?;
    let meter = CpuMeter::start(burner.pid());
    let (output, name) = (scratch.text("beside.pb.gz"), "tg-remaps*");
    let mut recorder = Running::spawn(&mut telegen(["record", "--name", name, "-d", "3s", "-o", &output])?)?;
    let begun = Instant::now();
    let outcome = recorder.wait(Duration::from_secs(20))?.expect_code(0)?;
    assert!(begun.elapsed() < Duration::from_secs(15), "{outcome}");
    let profile = Profile::read(Path::new(&output))?;
    let cpu_seconds = meter.between(profile.start, profile.end()).context("its CPU time")?;
    let beside = profile.count_of("tg-remaps-beside") as f64;
    assert!(beside > cpu_seconds * 99.0 * 0.85, "{beside} samples of {cpu_seconds:.2} s");
    Ok(())
}

#[test]
fn a_file_that_shrinks_and_grows_while_it_is_read_harms_nobody() -> Result<()> {
    let scratch = Scratch::new()?;
    // Large, with unwind and debug information: reading it takes a while.
    let (original, victim) = (telegen_binary()?, scratch.join("victim"));
    fs::copy(&original, &victim)?;
    let whole = fs::metadata(&original)?.len();
    let target = start(&scratch, "tg-shrinking", &["file", &scratch.text("victim")])?;
    let meter = CpuMeter::start(target.pid());
    let file = OpenOptions::new().write(true).open(&victim)?;
    let (profile, peak) = record_watched(&scratch, target.pid(), move |over| {
        let sizes = [whole / 2, 0, whole, 64, whole / 3, 1 << 20];
        for size in sizes.into_iter().cycle().take_while(|_| !over.load(Ordering::Relaxed)) {
            // Where there was something there are zeros now.
            file.set_len(size).expect("a file of our own");
            std::thread::sleep(Duration::from_millis(3));
        }
    })?;
    assert_named(&profile, meter.between(profile.start, profile.end()).context("its CPU time")?);
    assert!(peak < 128 * MIB, "{} MiB", peak / MIB);
    Ok(())
}
