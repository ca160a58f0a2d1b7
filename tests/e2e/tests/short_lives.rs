//! Processes that live for a tenth of a second.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;
use telegen_e2e::{Profile, Program, Running, Scratch, reported, run, telegen, until_it_records};

const LIVES: usize = 60;

#[test]
fn processes_that_come_and_go_within_the_recording_are_counted_and_named() -> Result<()> {
    let scratch = Scratch::new()?;
    // One that stays, so that there is a target from the beginning.
    let _sleeper = Running::spawn(&mut Command::new(scratch.install(Program::Sleeper, "sleeper/tg-short")?))?;
    let output = scratch.join("a.pb.gz");
    let mut recording =
        Running::spawn(telegen(["record", "--name", "tg-short", "-d", "120s", "-o"])?.arg(&output))?;
    until_it_records(&mut recording)?;
    let program = scratch.install(Program::Short, "tg-short")?;
    let mut cpu_seconds = 0.0;
    for _ in 0..LIVES {
        let outcome = run(Command::new(&program).arg("100"), Duration::from_secs(60))?.expect_code(0)?;
        cpu_seconds += reported(&outcome.stdout, "total")?;
    }
    recording.signal(rustix::process::Signal::INT)?;
    let outcome = recording.wait(Duration::from_secs(60))?.expect_code(0)?;
    let profile = Profile::read(&output).with_context(|| outcome.to_string())?;
    let (total, expected) = (profile.total() as f64, cpu_seconds * 99.0);
    assert!(total >= 0.8 * expected, "{total} of {expected:.0} samples");
    assert!(total <= 1.2 * expected, "{total} of {expected:.0} samples");

    let mut samples: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for sample in &profile.samples {
        let (all, named) = samples.entry(sample.label("process.pid")).or_default();
        *all += sample.count;
        *named += if sample.has("tg_short") { sample.count } else { 0 };
    }
    let good = samples.values().filter(|(all, named)| named * 10 >= all * 8).count();
    assert!(good * 100 >= LIVES * 95, "{good} of {LIVES} lives are in the profile with names: {samples:?}");
    Ok(())
}
