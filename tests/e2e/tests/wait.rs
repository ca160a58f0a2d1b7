//! `record --wait`.

use anyhow::{Context, Result};
use rustix::process::Signal;
use std::thread::sleep;
use std::time::Duration;
use telegen_e2e::{Profile, Program, Running, Scratch, record_files, telegen};

#[test]
fn the_recording_waits_for_the_first_match_and_lasts_from_there() -> Result<()> {
    let scratch = Scratch::new()?;
    let output = scratch.join("a.pb.gz");
    let mut recording = Running::spawn(
        telegen(["record", "--name", "tg-awaited", "--wait", "-d", "4s", "-o"])?.arg(&output),
    )?;
    // Longer than the duration: it must not have begun before there was a match.
    sleep(Duration::from_secs(8));
    assert!(recording.is_running()?, "{}", recording.wait(Duration::ZERO)?);
    let burner = scratch.start(Program::Burn, "tg-awaited", &[])?;
    let outcome = recording.wait(Duration::from_secs(60))?.expect_code(0)?;
    let profile = Profile::read(&output).with_context(|| outcome.to_string())?;
    assert!((3.5..6.0).contains(&profile.duration.as_secs_f64()), "{:?}", profile.duration);
    assert_eq!(profile.label_values("process.pid"), [&*burner.pid().to_string()].into());
    assert!(profile.total() > 50, "{} samples", profile.total());
    Ok(())
}

#[test]
fn with_a_match_at_once_there_is_nothing_to_wait_for() -> Result<()> {
    let scratch = Scratch::new()?;
    let _burner = scratch.start(Program::Burn, "tg-there", &[])?;
    let recording = telegen_e2e::record(scratch.path(), &["--name", "tg-there", "--wait", "-d", "2s"])?;
    assert!(recording.profile.total() > 0);
    Ok(())
}

#[test]
fn a_pid_that_does_not_exist_can_be_waited_for_until_ctrl_c() -> Result<()> {
    let scratch = Scratch::new()?;
    let output = scratch.join("a.pb.gz");
    // Above every pid that the kernel hands out (`PID_MAX_LIMIT` is 4194304).
    let mut recording =
        Running::spawn(telegen(["record", "--pid", "4194303", "--wait", "-d", "1s", "-o"])?.arg(&output))?;
    sleep(Duration::from_secs(4));
    assert!(recording.is_running()?, "{}", recording.wait(Duration::ZERO)?);
    recording.signal(Signal::INT)?;
    recording.wait(Duration::from_secs(30))?;
    assert!(record_files(scratch.path())?.iter().all(|name| name == "a.pb.gz"), "nothing half-written");
    Ok(())
}
