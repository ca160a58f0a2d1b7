//! Ticks that the kernel never delivered.
//!
//! A perf event's program is skipped while another BPF system call runs on its CPU, and nobody counts that. What can be
//! said is how many ticks were due, from how long the CPUs were busy, and how many came.

use std::fs;
use std::time::Instant;
use telegen_bpf::Counters;

/// The busy time of CPUs is known to a tick of 10 ms each, and interrupts of an idle CPU are neither idle nor ticked
/// on: below this share of what was due nothing is said.
const NOISE: f64 = 0.02;

/// Since when ticks are due, and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DueTicks {
    since: Instant,
    idle_seconds: f64,
    cpus: f64,
    hz: f64,
    counted: u64,
    /// What was missing at rates before this one.
    before: u64,
}

impl DueTicks {
    /// From now on; `None` if /proc/stat does not tell how long CPUs were idle.
    pub(crate) fn from_now(sample_hz: u32, counters: &Counters) -> Option<Self> {
        let (cpus, idle_seconds) = parse(&fs::read_to_string("/proc/stat").ok()?)?;
        Some(Self {
            since: Instant::now(),
            idle_seconds,
            cpus,
            hz: f64::from(sample_hz),
            counted: counters.ticks(),
            before: 0,
        })
    }

    /// The same at another rate from now on.
    pub(crate) fn at_rate(&self, sample_hz: u32, counters: &Counters) -> Option<Self> {
        Some(Self { before: self.missing(counters), ..Self::from_now(sample_hz, counters)? })
    }

    /// About how many have not come.
    pub(crate) fn missing(&self, counters: &Counters) -> u64 {
        let Some((cpus, idle)) = fs::read_to_string("/proc/stat").ok().as_deref().and_then(parse) else {
            return self.before;
        };
        // With CPUs coming and going what was due cannot be told.
        if cpus != self.cpus {
            return self.before;
        }
        let elapsed = self.since.elapsed().as_secs_f64() * cpus;
        let busy = elapsed - (idle - self.idle_seconds);
        self.before + missing(busy, self.hz, counters.ticks() - self.counted)
    }
}

fn missing(busy_seconds: f64, hz: f64, counted: u64) -> u64 {
    let due = busy_seconds.max(0.0) * hz;
    let missing = due - counted as f64;
    if missing <= due * NOISE + 1.0 { 0 } else { missing as u64 }
}

/// How many CPUs there are, and for how many seconds they all together were idle, waiting for I/O, or taken away by a
/// hypervisor: proc_stat(5).
fn parse(text: &str) -> Option<(f64, f64)> {
    /// Ticks of /proc/stat per second (`USER_HZ`), the same on all machines that telegen runs on.
    const USER_HZ: f64 = 100.0;
    let cpus = text.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count();
    let total: Vec<f64> = text
        .lines()
        .find(|line| line.starts_with("cpu "))?
        .split_whitespace()
        .skip(1)
        .map_while(|field| field.parse().ok())
        .collect();
    let idle = total.get(3)? + total.get(4)? + total.get(7).copied().unwrap_or(0.0);
    (cpus > 0).then_some((cpus as f64, idle / USER_HZ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_waiting_and_stolen_time_is_not_busy() {
        let text = "cpu  100 0 50 3000 200 0 5 300 0 0\ncpu0 50 0 25 1500 100 0 2 150 0 0\ncpu1 50 0 25 1500 100 0 3 150 0 0\nintr 5\n";
        assert_eq!(parse(text), Some((2.0, 35.0)));
        assert_eq!(parse("intr 5\n"), None);
        assert_eq!(parse("cpu  1 2\ncpu0 1 2\n"), None);
    }

    #[test]
    fn only_what_stands_out_is_missing() {
        assert_eq!(missing(10.0, 100.0, 1_000), 0);
        assert_eq!(missing(10.0, 100.0, 985), 0, "within the noise");
        assert_eq!(missing(10.0, 100.0, 820), 180);
        assert_eq!(missing(10.0, 100.0, 1_200), 0);
        assert_eq!(missing(-1.0, 100.0, 0), 0);
    }
}
