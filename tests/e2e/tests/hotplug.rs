//! CPUs that go and come back while a recording runs.

use anyhow::{Context, Result};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use telegen_e2e::{Profile, Program, Running, Scratch, reported, skip, telegen};

/// A CPU that is switched off, and on again at the latest when this is dropped.
struct SwitchedOff(PathBuf);

impl SwitchedOff {
    fn new(switch: PathBuf) -> std::io::Result<Self> {
        fs::write(&switch, "0")?;
        Ok(Self(switch))
    }
}

impl Drop for SwitchedOff {
    fn drop(&mut self) {
        if let Err(error) = fs::write(&self.0, "1") {
            panic!("{} stays off: {error}", self.0.display());
        }
    }
}

/// The last CPU that can be switched off.
fn switch() -> Option<PathBuf> {
    let path = |cpu: usize| PathBuf::from(format!("/sys/devices/system/cpu/cpu{cpu}/online"));
    (1..1024).rev().map(path).find(|path| fs::read_to_string(path).is_ok_and(|text| text.trim() == "1"))
}

#[test]
fn a_cpu_that_comes_back_is_sampled_again() -> Result<()> {
    let Some(switch) = switch() else { skip!("no CPU of this machine can be switched off") };
    let scratch = Scratch::new()?;
    let program = scratch.install(Program::Burn, "tg-hotplug")?;
    let output = scratch.join("a.pb.gz");
    // More threads than CPUs, so that every CPU has something to do.
    let cpus = std::thread::available_parallelism()?.get();
    let threads = (cpus * 2).to_string();
    let mut command = telegen(["record", "-o"])?;
    command.arg(&output).arg("--").arg(&program).args(["--threads", &threads, "--seconds", "6"]);
    let mut recording = Running::spawn(&mut command)?;
    std::thread::sleep(Duration::from_secs(2));
    let Ok(off) = SwitchedOff::new(switch) else { skip!("CPUs cannot be switched off here") };
    std::thread::sleep(Duration::from_secs(3));
    drop(off);
    let outcome = recording.wait(Duration::from_secs(120))?.expect_code(0)?;
    let profile = Profile::read(&output).with_context(|| outcome.to_string())?;
    let expected = reported(&outcome.stdout, "total")? * 99.0;
    // Which CPUs there are is looked at every second, so up to a second of one CPU may be missing; had it never come
    // back, several would be.
    let missing = expected - profile.total() as f64;
    assert!((-20.0..150.0).contains(&missing), "{missing} of {expected} samples are missing\n{outcome}");
    assert!(!outcome.stderr.contains("WARN"), "{outcome}");
    Ok(())
}
