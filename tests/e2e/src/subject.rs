//! Programs that are profiled together, each with an account of the CPU time that it had.

use crate::accuracy::assert_sample_count_beside;
use crate::{CpuMeter, Profile, Running, Scratch, record};
use anyhow::{Context, Result};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A program that runs under a name of its own.
#[derive(Debug)]
pub struct Subject {
    /// Where it was started from.
    pub program: PathBuf,
    /// Its process.
    pub running: Running,
    meter: CpuMeter,
}

/// What a recording has seen of a subject.
#[derive(Debug)]
pub struct Observation {
    /// The samples of its process alone.
    pub profile: Profile,
    /// The CPU seconds that it had meanwhile.
    pub cpu_seconds: f64,
    /// The ticks that were not delivered, to whomever.
    pub undelivered: u64,
    hz: f64,
}

impl Subject {
    /// Copies a program here under a name, and starts it.
    ///
    /// # Errors
    ///
    /// If that fails.
    pub fn start(scratch: &Scratch, built: &Path, name: &str, arguments: &[&str]) -> Result<Self> {
        let program = scratch.join(name);
        fs::copy(built, &program).with_context(|| format!("cannot copy {}", built.display()))?;
        fs::set_permissions(&program, Permissions::from_mode(0o755))?;
        let running = Running::spawn(Command::new(&program).args(arguments).current_dir(scratch.path()))?;
        let meter = CpuMeter::start(running.pid());
        Ok(Self { program, running, meter })
    }

    /// The name of the file that its process sees its code in.
    pub fn file(&self) -> String {
        self.program.to_string_lossy().into_owned()
    }
}

impl Observation {
    /// Records one process.
    ///
    /// # Errors
    ///
    /// If the recording fails, or the process has ended.
    pub fn of_pid(scratch: &Scratch, pid: u32, meter: &CpuMeter, hz: u32, length: &str) -> Result<Self> {
        let (pid, rate) = (pid.to_string(), hz.to_string());
        let recording = record(scratch.path(), &["--pid", &pid, "-F", &rate, "-d", length])?;
        let undelivered = recording.undelivered();
        let profile = recording.profile;
        let cpu_seconds = meter.between(profile.start, profile.end()).context("the program's CPU time")?;
        Ok(Self { profile, cpu_seconds, undelivered, hz: f64::from(hz) })
    }

    /// Records a subject that runs alone.
    ///
    /// # Errors
    ///
    /// If the recording fails, or the program has ended.
    pub fn of(scratch: &Scratch, subject: &Subject, hz: u32, length: &str) -> Result<Self> {
        Self::of_pid(scratch, subject.running.pid(), &subject.meter, hz, length)
    }

    /// Records several at once; what each was seen of, in their order.
    ///
    /// # Errors
    ///
    /// If the recording fails, or one of the programs has ended.
    pub fn of_all(scratch: &Scratch, subjects: &[Subject], hz: u32, length: &str) -> Result<Vec<Self>> {
        let pids: Vec<String> = subjects.iter().map(|subject| subject.running.pid().to_string()).collect();
        let arguments = ["--pid", &pids.join(","), "-F", &hz.to_string(), "-d", length];
        let recording = record(scratch.path(), &arguments)?;
        let undelivered = recording.undelivered();
        let of_one = |(subject, pid): (&Subject, &String)| {
            let mut profile = recording.profile.clone();
            profile.samples.retain(|sample| sample.label("process.pid") == pid);
            let cpu_seconds = subject.meter.between(profile.start, profile.end())?;
            Ok(Self { profile, cpu_seconds, undelivered, hz: f64::from(hz) })
        };
        subjects.iter().zip(&pids).map(of_one).collect()
    }

    /// Fails unless there are as many samples as the CPU time is worth.
    pub fn assert_count(&self) {
        assert_sample_count_beside(self.profile.total(), self.undelivered, self.cpu_seconds, self.hz);
    }

    /// The same for subjects that shared the CPUs: all together are held to the same bounds. For each, whom a tick hits is
    /// left to chance besides, so that it may be four standard deviations off.
    pub fn assert_counts(all: &[Self]) {
        let Some(first) = all.first() else { return };
        let samples = all.iter().map(|one| one.profile.total()).sum();
        let cpu_seconds = all.iter().map(|one| one.cpu_seconds).sum();
        assert_sample_count_beside(samples, first.undelivered, cpu_seconds, first.hz);
        for one in all {
            let expected = one.cpu_seconds * one.hz;
            let off = one.profile.total() as f64 - expected;
            let lost = first.undelivered as f64;
            assert!(
                off <= 4.0 * expected.sqrt() && off >= -4.0 * expected.sqrt() - lost,
                "{} samples of one that had {:.3} CPU seconds at {} Hz",
                one.profile.total(),
                one.cpu_seconds,
                one.hz
            );
        }
    }
}
