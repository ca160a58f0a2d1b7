//! Processes to look at.

use std::io::{BufRead, BufReader, ErrorKind};
use std::process::{Child, Command, Stdio};
use telegen_model::Pid;

/// A process that is killed when it is not needed any more.
pub(crate) struct Running(Child);

impl Running {
    /// Starts a program and waits for its first line of output; nothing if there is no such program.
    pub(crate) fn start(program: &str, arguments: &[&str]) -> Option<Self> {
        let mut command = Command::new(program);
        match command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() {
            Ok(mut child) => {
                let mut line = String::new();
                BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
                assert_eq!(line, "ready\n");
                Some(Self(child))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                eprintln!("SKIPPED: there is no {program} here");
                None
            }
            Err(error) => panic!("{program}: {error}"),
        }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid(self.0.id())
    }

    /// Kills it and takes its exit status, so that its pid is free.
    pub(crate) fn end(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Kills it, but leaves its exit status, so that it is a zombie.
    pub(crate) fn kill(&mut self) {
        self.0.kill().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
