//! Who a process is.

use std::fmt;

/// A process id (`tgid`) as the agent's own pid namespace numbers it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Pid(pub u32);

/// A thread id as the agent's own pid namespace numbers it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Tid(pub u32);

/// When a process started: the group leader's `start_boottime`, in nanoseconds since boot.
///
/// Field 22 of `/proc/PID/stat` is the same instant cut to clock ticks of 10 ms, too coarse to tell a
/// recycled pid from its predecessor; see [`StartTime::same_tick`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct StartTime(pub u64);

/// How many times a process has called `exec` since it was first seen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Generation(pub u32);

/// The identity of a process: its pid, and when it started.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ProcessId {
    /// The pid.
    pub pid: Pid,
    /// When the process started.
    pub start: StartTime,
}

/// The identity of what runs in a process: the process, and which of its `exec`s.
///
/// Mappings, symbols and names are valid for one `ProcessKey` only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ProcessKey {
    /// The process.
    pub id: ProcessId,
    /// Which program image of it.
    pub generation: Generation,
}

impl StartTime {
    /// Nanoseconds of one clock tick of `/proc` (`USER_HZ` is 100 on every architecture Linux runs on).
    pub const TICK_NS: u64 = 10_000_000;

    /// Whether `ticks`, as field 22 of `/proc/PID/stat` gives them, can be this start time.
    ///
    /// A `true` does not prove identity, a `false` disproves it.
    pub fn same_tick(self, ticks: u64) -> bool {
        self.0 / Self::TICK_NS == ticks
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Tid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for ProcessId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.pid, self.start.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_times_are_compared_in_ticks_of_ten_milliseconds() {
        let start = StartTime(1_234_567_890);
        assert!(start.same_tick(123));
        assert!(!start.same_tick(124));
    }
}
