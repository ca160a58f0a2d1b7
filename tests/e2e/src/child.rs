//! Processes that the harness starts, and that never outlive it.

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How a process ended, and what it said.
#[derive(Debug)]
pub struct Outcome {
    /// What was run.
    pub command: String,
    /// Its exit status.
    pub status: ExitStatus,
    /// All it wrote to its standard output; what is not UTF-8 is replaced.
    pub stdout: String,
    /// All it wrote to its standard error.
    pub stderr: String,
    /// How long it ran.
    pub elapsed: Duration,
}

impl Outcome {
    /// The exit code; `None` if a signal ended it.
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Fails, showing all that was said, unless the process exited with `code`.
    ///
    /// # Errors
    ///
    /// If it exited with another code or by a signal.
    pub fn expect_code(self, code: i32) -> Result<Self> {
        if self.code() == Some(code) {
            return Ok(self);
        }
        bail!("expected exit status {code}\n{self}")
    }

    /// Both streams, for what may stand in either.
    pub fn output(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, status, stdout, stderr, elapsed } = self;
        write!(f, "{command}\n{status} after {elapsed:?}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }
}

/// A running process; when dropped, it and its descendants are killed.
#[derive(Debug)]
pub struct Running {
    child: Child,
    command: String,
    begin: Instant,
    stdout: PathBuf,
    stderr: PathBuf,
    status: Option<ExitStatus>,
    _streams: TempDir,
}

impl Running {
    /// Starts a process. Its streams go to files, so that it never blocks on a reader; when this returns, the new
    /// program has been executed and not only forked.
    ///
    /// # Errors
    ///
    /// If it cannot be started.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        let streams = TempDir::new().context("no directory for the streams of a process")?;
        let (stdout, stderr) = (streams.path().join("stdout"), streams.path().join("stderr"));
        let child = command
            .stdin(Stdio::null())
            .stdout(File::create(&stdout)?)
            .stderr(File::create(&stderr)?)
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let command = format!("{command:?}");
        let begin = Instant::now();
        Ok(Self { child, command, begin, stdout, stderr, status: None, _streams: streams })
    }

    /// Its pid, as this process sees it.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    ///
    /// # Errors
    ///
    /// If it cannot be waited for.
    pub fn is_running(&mut self) -> Result<bool> {
        if self.status.is_none() {
            self.status = self.child.try_wait().with_context(|| format!("waiting for {}", self.command))?;
        }
        Ok(self.status.is_none())
    }

    /// Sends it a signal.
    ///
    /// # Errors
    ///
    /// If it has ended already.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if !self.is_running()? {
            bail!("has ended before signal {signal:?}: {}", self.outcome()?);
        }
        let pid = i32::try_from(self.pid()).ok().and_then(Pid::from_raw).context("not a pid")?;
        kill_process(pid, signal).with_context(|| format!("signal {signal:?} to {}", self.command))
    }

    /// What it has written to its standard output so far.
    ///
    /// # Errors
    ///
    /// If the file that holds it cannot be read.
    pub fn stdout(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.stdout)?).into_owned())
    }

    /// What it has written to its standard error so far.
    ///
    /// # Errors
    ///
    /// If the file that holds it cannot be read.
    pub fn stderr(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&fs::read(&self.stderr)?).into_owned())
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// If it has not ended by itself within `limit`; it is killed then.
    pub fn wait(&mut self, limit: Duration) -> Result<Outcome> {
        let begin = Instant::now();
        while self.is_running()? {
            if begin.elapsed() > limit {
                self.kill();
                return Err(anyhow!("did not end within {limit:?} and was killed\n{}", self.outcome()?));
            }
            sleep(Duration::from_millis(10));
        }
        self.outcome()
    }

    /// Asks it to end, by SIGTERM, and waits for that.
    ///
    /// # Errors
    ///
    /// If it had ended before, or does not end.
    pub fn terminate(&mut self) -> Result<Outcome> {
        self.signal(Signal::TERM)?;
        self.wait(Duration::from_secs(60))
    }

    fn outcome(&self) -> Result<Outcome> {
        Ok(Outcome {
            command: self.command.clone(),
            status: self.status.context("still running")?,
            stdout: self.stdout()?,
            stderr: self.stderr()?,
            elapsed: self.begin.elapsed(),
        })
    }

    /// Kills it and its descendants, each by its pid.
    pub fn kill(&mut self) {
        if self.status.is_some() {
            return;
        }
        let descendants = descendants(self.pid());
        let _ = self.child.kill();
        self.status = self.child.wait().ok();
        for pid in descendants {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a process to its end.
///
/// # Errors
///
/// If it cannot be started or does not end within `limit`.
pub fn run(command: &mut Command, limit: Duration) -> Result<Outcome> {
    Running::spawn(command)?.wait(limit)
}

/// The processes below a process, as far as they have not been orphaned.
fn descendants(pid: u32) -> Vec<Pid> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|child| Some((child, parent_of(child)?)))
        .collect();
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        next += 1;
    }
    found[1..].iter().filter_map(|&pid| Pid::from_raw(i32::try_from(pid).ok()?)).collect()
}

fn parent_of(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_process_takes_its_descendants_along() -> Result<()> {
        let shell = Running::spawn(Command::new("sh").args(["-c", "sleep 100 & echo $!; wait"]))?;
        let sleeper: u32 = crate::until(Duration::from_secs(10), "the pid of a child", || {
            Ok(shell.stdout()?.strip_suffix('\n').map(str::to_owned))
        })?
        .parse()?;
        assert_eq!(parent_of(sleeper), Some(shell.pid()));
        drop(shell);
        crate::until(Duration::from_secs(10), "the end of the grandchild", || {
            let stat = fs::read_to_string(format!("/proc/{sleeper}/stat")).unwrap_or_default();
            Ok((stat.is_empty() || stat.contains(") Z ")).then_some(()))
        })
    }

    #[test]
    fn what_a_process_says_and_how_it_ends_are_kept() -> Result<()> {
        let outcome =
            run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]), Duration::from_secs(10))?;
        assert_eq!((outcome.code(), &*outcome.stdout, &*outcome.stderr), (Some(3), "out\n", "err\n"));
        assert!(outcome.expect_code(0).is_err());
        Ok(())
    }

    #[test]
    fn a_process_that_does_not_end_is_an_error() {
        let error = run(Command::new("sleep").arg("100"), Duration::from_millis(200)).unwrap_err();
        assert!(error.to_string().contains("did not end"), "{error}");
    }
}
