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

/// What all CPUs have done since boot, in ticks of 10 ms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CpuTimes {
    busy: u64,
    idle: u64,
}

impl CpuTimes {
    pub(crate) fn now() -> Result<Self> {
        let stat = fs::read_to_string("/proc/stat")?;
        let fields =
            stat.lines().next().and_then(|line| line.strip_prefix("cpu ")).context("no CPU times")?;
        let ticks: Vec<u64> = fields.split_whitespace().filter_map(|field| field.parse().ok()).collect();
        // proc_stat(5): user nice system idle iowait irq softirq steal; what guests have is in the first two.
        let idle = ticks.iter().skip(3).take(2).sum();
        Ok(Self { busy: ticks.iter().take(8).sum::<u64>() - idle, idle })
    }

    /// How busy they have been since then, in per cent.
    pub(crate) fn busy_since(self, before: Self) -> f64 {
        let busy = (self.busy - before.busy) as f64;
        100.0 * busy / (busy + (self.idle - before.idle) as f64).max(1.0)
    }
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
