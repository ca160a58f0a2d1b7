//! A program that is stopped where it happens to be.

use nix::errno::Errno;
use nix::libc::{PTRACE_EVENT_STOP, user_regs_struct};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// By then the loader, whose first function nothing describes, is done.
const BEGUN_NS: u64 = 30_000_000;

/// A running program. It ends with this.
#[derive(Debug)]
pub(crate) struct Running(Child);

/// Executable code that a program has mapped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Mapping {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) offset: u64,
    /// A path, or `[vdso]`.
    pub(crate) name: String,
}

/// A thread that is stopped. It goes on with this dropped.
#[derive(Debug)]
pub(crate) struct Stopped {
    thread: Pid,
    /// What it was to be told when it was stopped.
    signal: Option<Signal>,
    pub(crate) registers: user_regs_struct,
    memory: File,
}

impl Running {
    /// Starts it, and waits until its own code runs.
    pub(crate) fn start(command: &mut Command) -> io::Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let running = Self(child);
        while running.ran_ns() < BEGUN_NS {
            thread::sleep(Duration::from_millis(5));
        }
        Ok(running)
    }

    /// How long its first thread has run.
    fn ran_ns(&self) -> u64 {
        let figures = fs::read_to_string(format!("/proc/{}/schedstat", self.0.id())).expect("its figures");
        figures.split_whitespace().next().and_then(|ns| ns.parse().ok()).expect("a number")
    }

    /// What it has mapped executable, ascending.
    pub(crate) fn code(&self) -> Vec<Mapping> {
        let maps = fs::read_to_string(format!("/proc/{}/maps", self.0.id())).expect("its mappings");
        let mapping = |line: &str| {
            let mut fields = line.split_whitespace();
            let (start, end) = fields.next()?.split_once('-')?;
            let executable = fields.next()?.contains('x');
            let offset = fields.next()?;
            let name = fields.nth(2)?.to_owned();
            let number = |text| u64::from_str_radix(text, 16).ok();
            let mapping = Mapping { start: number(start)?, end: number(end)?, offset: number(offset)?, name };
            executable.then_some(mapping)
        };
        maps.lines().filter_map(mapping).collect()
    }

    /// Stops the thread that comes next in turn; `None` if it has ended.
    pub(crate) fn stop(&self, turn: usize) -> Option<Stopped> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.0.id())).expect("its threads");
        let threads: Vec<i32> =
            tasks.flatten().filter_map(|task| task.file_name().to_str()?.parse().ok()).collect();
        Stopped::new(Pid::from_raw(*threads.get(turn % threads.len().max(1))?))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Stopped {
    fn new(thread: Pid) -> Option<Self> {
        match ptrace::seize(thread, Options::empty()) {
            Ok(()) => {}
            // A thread that ends just now is refused as one that may not be traced.
            Err(Errno::ESRCH | Errno::EPERM) => return None,
            Err(error) => panic!("ptrace: {error}"),
        }
        let _ = ptrace::interrupt(thread);
        // A signal may have stopped it before the request did; it is to have that.
        let signal = match waitpid(thread, Some(WaitPidFlag::__WALL)) {
            Ok(WaitStatus::Stopped(_, signal)) => Some(signal),
            Ok(WaitStatus::PtraceEvent(_, _, PTRACE_EVENT_STOP)) => None,
            Ok(_) | Err(Errno::ECHILD) => return None,
            Err(error) => panic!("waitpid: {error}"),
        };
        let registers = ptrace::getregs(thread).expect("the registers of a stopped thread");
        let memory = File::open(format!("/proc/{thread}/mem")).expect("its memory");
        Some(Self { thread, signal, registers, memory })
    }

    /// The word at an address, if it can be read.
    pub(crate) fn word(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.memory.read_exact_at(&mut bytes, address).ok()?;
        Some(u64::from_ne_bytes(bytes))
    }

    pub(crate) fn bytes(&self, start: u64, end: u64) -> Vec<u8> {
        let mut bytes = vec![0; (end - start) as usize];
        self.memory.read_exact_at(&mut bytes, start).expect("memory that is mapped");
        bytes
    }

    /// A register by its DWARF number.
    pub(crate) fn register(&self, number: u8) -> u64 {
        let all = &self.registers;
        let by_number = [
            all.rax, all.rdx, all.rcx, all.rbx, all.rsi, all.rdi, all.rbp, all.rsp, all.r8, all.r9, all.r10,
            all.r11, all.r12, all.r13, all.r14, all.r15,
        ];
        by_number[usize::from(number) % by_number.len()]
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = ptrace::detach(self.thread, self.signal);
    }
}
