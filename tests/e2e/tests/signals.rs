//! Signals to a recording.

use anyhow::{Context, Result};
use rustix::process::Signal;
use std::thread::sleep;
use std::time::Duration;
use telegen_e2e::{
    KernelObjects, Profile, Program, Running, Scratch, record_files, telegen, until, until_it_records,
};

const LIMIT: Duration = Duration::from_secs(60);

fn start_long_recording(scratch: &Scratch, name: &str) -> Result<Running> {
    let output = scratch.join("a.pb.gz");
    let mut recording =
        Running::spawn(telegen(["record", "--name", name, "-d", "1000s", "-o"])?.arg(output))?;
    until_it_records(&mut recording)?;
    sleep(Duration::from_secs(2));
    Ok(recording)
}

#[test]
fn ctrl_c_ends_early_and_still_writes() -> Result<()> {
    for signal in [Signal::INT, Signal::TERM] {
        let scratch = Scratch::new()?;
        let _burner = scratch.start(Program::Burn, "tg-interrupted", &[])?;
        let mut recording = start_long_recording(&scratch, "tg-interrupted")?;
        recording.signal(signal)?;
        let outcome = recording.wait(LIMIT)?.expect_code(0)?;
        let profile = Profile::read(&scratch.join("a.pb.gz")).with_context(|| outcome.to_string())?;
        assert!(profile.count_with("tg_half") > 20, "{outcome}");
        assert!((1.0..60.0).contains(&profile.duration.as_secs_f64()), "{:?}", profile.duration);
        assert!(outcome.stdout.contains("a.pb.gz"), "the summary is shown too\n{outcome}");
    }
    Ok(())
}

#[test]
fn a_second_signal_exits_now_and_leaves_nothing_half_written() -> Result<()> {
    let scratch = Scratch::new()?;
    let _burner = scratch.start(Program::Burn, "tg-twice", &[])?;
    let mut recording = start_long_recording(&scratch, "tg-twice")?;
    recording.signal(Signal::INT)?;
    // It may be done already: then there was nothing to hurry.
    let _ = recording.signal(Signal::INT);
    recording.wait(LIMIT)?;
    let files: Vec<_> = record_files(scratch.path())?.into_iter().filter(|name| name != "tg-twice").collect();
    assert!(files.is_empty() || files == ["a.pb.gz"], "{files:?}");
    if !files.is_empty() {
        Profile::read(&scratch.join("a.pb.gz")).context("what is there must be whole")?;
    }
    Ok(())
}

#[test]
fn a_killed_recording_leaves_nothing_in_the_kernel() -> Result<()> {
    let scratch = Scratch::new()?;
    let _burner = scratch.start(Program::Burn, "tg-killed", &[])?;
    let mut recording = start_long_recording(&scratch, "tg-killed")?;
    let loaded = KernelObjects::of_process(recording.pid())?;
    assert!(loaded.count("map") > 0, "{loaded:?}");
    recording.kill();
    until(Duration::from_secs(60), "its programs and maps to be gone", || {
        Ok(loaded.still_in(&KernelObjects::all()?).is_empty().then_some(()))
    })
}
