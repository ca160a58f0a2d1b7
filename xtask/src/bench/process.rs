//! What the kernel says of a process that is being measured.

use super::cgroup::MemoryGroup;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::{Child, Command};

/// A program that is started inside a control group, so that all it ever allocates is counted there.
pub(crate) fn inside(group: Option<&MemoryGroup>, program: &Path) -> Command {
    let Some(group) = group else { return Command::new(program) };
    let mut command = Command::new("sh");
    command.args(["-c", "echo $$ >\"$1\"; shift; exec \"$@\"", "sh"]).arg(group.entrance()).arg(program);
    command
}

/// Asks it to end, and waits until it has.
pub(crate) fn terminate(child: &mut Child) {
    if let Ok(pid) = i32::try_from(child.id())
        && let Some(pid) = rustix::process::Pid::from_raw(pid)
    {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
    let _ = child.wait();
}

/// Resident memory, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> Result<u64> {
    status_bytes(pid, "VmRSS:")
}

/// Resident memory without that of files, in bytes.
pub(crate) fn anonymous_bytes(pid: u32) -> Result<u64> {
    status_bytes(pid, "RssAnon:")
}

fn status_bytes(pid: u32, key: &str) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(key)).with_context(|| format!("no {key}"))?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

/// CPU time of all its threads that live, in nanoseconds.
pub(crate) fn cpu_ns(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end meanwhile.
        sum += thread_ns(&task?.path()).unwrap_or(0);
    }
    Ok(sum)
}

/// CPU time of one of its threads, in nanoseconds.
pub(crate) fn thread_cpu_ns(pid: u32, name: &str) -> Result<u64> {
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?.path();
        if fs::read_to_string(task.join("comm"))?.trim() == name {
            return thread_ns(&task);
        }
    }
    bail!("no thread {name}")
}

fn thread_ns(task: &Path) -> Result<u64> {
    let times = fs::read_to_string(task.join("schedstat"))?;
    times.split(' ').next().context("no time")?.parse().context("no number")
}

/// Threads and processes on this machine.
pub(crate) fn census() -> Result<(usize, usize)> {
    let is_pid = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    let mut counts = (0, 0);
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(is_pid) {
            counts.1 += 1;
            counts.0 += fs::read_dir(entry.path().join("task")).map_or(0, Iterator::count);
        }
    }
    Ok(counts)
}
