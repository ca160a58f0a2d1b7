//! The command of `record -- COMMAND`: held back until it is being profiled, then let go.

use crate::failure::{Failure, Status};
use crate::output::shown;
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::process::{Pid as RawPid, Signal, WaitOptions, getpid, kill_process, waitpid};
use std::ffi::{OsStr, OsString};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use telegen_model::{Pid, ProcessId, StartTime};
use telegen_process::ProcFs;

/// The hidden subcommand that stops itself and then becomes the command.
pub(crate) const GATE: &str = "__gate";

/// Statuses with which shells say that a command was not found, or could not be run.
const NOT_FOUND: u8 = 127;
const NOT_RUN: u8 = 126;

/// A command that has been started, or is about to be.
pub(crate) struct HeldCommand {
    child: Child,
}

impl HeldCommand {
    /// Starts a process that will become the command: this program again, which stops itself before it calls exec.
    pub(crate) fn start(command: &[OsString]) -> Result<Self, Failure> {
        let Some((program, arguments)) = command.split_first() else {
            return Err(Failure::message(Status::Usage, "no command to record"));
        };
        if !can_be_run(program) {
            let program = shown(&program.to_string_lossy());
            return Err(Failure::message(
                Status::Failed,
                format!("there is no command {program} that could be run"),
            ));
        }
        let failed = |error: std::io::Error| {
            Failure::message(Status::Failed, format!("cannot start a process: {error}"))
        };
        let child = Command::new("/proc/self/exe")
            .arg0("telegen")
            .arg(GATE)
            .arg("--")
            .arg(program)
            .args(arguments)
            .spawn()
            .map_err(failed)?;
        let held = Self { child };
        match waitpid(held.raw_pid(), WaitOptions::UNTRACED) {
            Ok(Some((_, status))) if status.stopped() => Ok(held),
            _ => Err(Failure::message(
                Status::Failed,
                "the process that should become the command did not stop",
            )),
        }
    }

    /// Who it is, now and after it has become the command.
    pub(crate) fn id(&self, start: StartTime) -> ProcessId {
        ProcessId { pid: Pid(self.child.id()), start }
    }

    /// Its pid.
    pub(crate) fn pid(&self) -> Pid {
        Pid(self.child.id())
    }

    /// Whether it has become the command, or has ended in the attempt.
    pub(crate) fn let_go(&mut self) -> Result<(), Failure> {
        if let Some(pid) = self.raw_pid() {
            kill_process(pid, Signal::CONT)
                .map_err(|error| Failure::new(Status::Failed, std::io::Error::from(error)))?;
        }
        Ok(())
    }

    /// How it has ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        if let Some(pid) = self.raw_pid() {
            // It may just have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Waits for it to end.
    pub(crate) fn wait(&mut self) -> Option<ExitStatus> {
        self.child.wait().ok()
    }

    /// Ends a command that has not been let go.
    pub(crate) fn discard(mut self) {
        // It has stopped itself, so it is there; killing a stopped process works.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn raw_pid(&self) -> Option<RawPid> {
        RawPid::from_raw(i32::try_from(self.child.id()).ok()?)
    }
}

/// The status with which telegen passes on how a command has ended: its own, or as shells do 128 and the signal.
pub(crate) fn passed_on(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

/// What the hidden subcommand does: stops, and when continued becomes the command. Returns only if that fails.
pub(crate) fn run_gate(command: &[OsString]) -> u8 {
    let Some((program, arguments)) = command.split_first() else { return NOT_RUN };
    if kill_process(getpid(), Signal::STOP).is_err() {
        return NOT_RUN;
    }
    let error = Command::new(program).args(arguments).exec();
    say_why(program, &error);
    if error.kind() == std::io::ErrorKind::NotFound { NOT_FOUND } else { NOT_RUN }
}

#[allow(clippy::print_stderr)]
fn say_why(program: &OsStr, error: &std::io::Error) {
    eprintln!("telegen: cannot run {}: {error}", program.display());
}

/// Whether exec would find a program of this name, so far as can be said beforehand.
fn can_be_run(program: &OsStr) -> bool {
    let runs = |path: &Path| accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS).is_ok() && !path.is_dir();
    if program.as_encoded_bytes().contains(&b'/') {
        return runs(Path::new(program));
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    !program.is_empty() && std::env::split_paths(&path).any(|directory| runs(&directory.join(program)))
}

/// When a process started, as far as /proc can tell, to find it among those the kernel has shown.
pub(crate) fn start_ticks(pid: Pid) -> Option<u64> {
    ProcFs::default().stat(pid).ok().map(|stat| stat.start_ticks)
}
