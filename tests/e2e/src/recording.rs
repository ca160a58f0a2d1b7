//! Recordings by `telegen record`.

use crate::{Outcome, Profile, Running, run, telegen, until};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a recording may take beyond the time it was asked to record for.
const PATIENCE: Duration = Duration::from_secs(120);

/// A recording that has succeeded.
#[derive(Debug)]
pub struct Recording {
    /// What the command said.
    pub outcome: Outcome,
    /// What it wrote, decoded.
    pub profile: Profile,
    /// The file it wrote.
    pub path: PathBuf,
}

impl Recording {
    /// How many ticks the command said that the kernel never delivered, on all CPUs together.
    pub fn undelivered(&self) -> u64 {
        self.outcome
            .stderr
            .lines()
            .find_map(|line| line.strip_prefix("about ")?.split_once(" ticks were due"))
            .and_then(|(count, _)| count.replace(',', "").parse().ok())
            .unwrap_or(0)
    }
}

/// Runs `telegen record --force -o DIRECTORY/record.pb.gz ARGUMENTS…`, which must exit with 0, and reads the profile.
///
/// # Errors
///
/// If the command fails, or the file is no profile.
pub fn record(directory: &Path, arguments: &[&str]) -> Result<Recording> {
    let path = directory.join("record.pb.gz");
    let output = path.to_str().context("scratch paths are UTF-8")?;
    let mut command = telegen(["record", "--force", "-o", output].iter().chain(arguments))?;
    let outcome = run(command.current_dir(directory), PATIENCE)?.expect_code(0)?;
    let profile = Profile::read(&path).with_context(|| outcome.to_string())?;
    Ok(Recording { outcome, profile, path })
}

/// Waits until a `telegen record` that was started has begun: it has its targets, and has given up the system calls that it
/// needs for its preparations only, as the last of these.
///
/// # Errors
///
/// If it ends instead.
pub fn until_it_records(recording: &mut Running) -> Result<()> {
    let status = format!("/proc/{}/status", recording.pid());
    until(PATIENCE, "the recording to begin", || {
        ensure!(recording.is_running()?, "{}", recording.stderr()?);
        let status = std::fs::read_to_string(&status).context("the recording's status")?;
        Ok(status.lines().any(|line| line == "Seccomp:\t2").then_some(()))
    })
}

/// The names of the files in a directory, sorted.
///
/// # Errors
///
/// If it cannot be read.
pub fn record_files(directory: &Path) -> Result<Vec<String>> {
    let entries =
        std::fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
