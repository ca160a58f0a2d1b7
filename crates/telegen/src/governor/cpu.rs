//! `limits.cpu`: before the agent takes more CPU time than it may, it samples less often.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};
use telegen_config::CoreShare;

/// Over how long CPU time is judged. Shorter bursts, such as a large binary's unwind table, pass.
const WINDOW: Duration = Duration::from_secs(10);
/// Windows in a row that must say the same.
const AGREEING: u32 = 2;
/// From this share of the limit on the rate is lowered, so that the limit is not exceeded.
const NEAR: f64 = 0.9;
/// Where the rate shall bring the share: there is room to both sides.
const AIM: f64 = 0.7;
/// Below this share of the limit the rate may be raised again.
const ROOMY: f64 = 0.45;

/// CPU time that this process has taken so far, in all its threads.
pub(super) fn own_cpu_time() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}

/// Another sample rate.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct RateChange {
    pub(super) from_hz: u32,
    pub(super) to_hz: u32,
    /// The share of a core that was used.
    pub(super) used: f64,
}

/// Decides how often to sample.
#[derive(Debug)]
pub(super) struct CpuGovernor {
    limit: f64,
    configured_hz: u32,
    hz: u32,
    begun: Instant,
    used_before: Duration,
    /// Windows in a row that were too busy, and that were roomy.
    busy: u32,
    roomy: u32,
    /// The first window has the start in it, which no rate would have made cheaper.
    first: bool,
}

impl CpuGovernor {
    pub(super) fn new(limit: CoreShare, configured_hz: u32, now: Instant, used: Duration) -> Self {
        Self {
            limit: limit.fraction(),
            configured_hz,
            hz: configured_hz,
            begun: now,
            used_before: used,
            busy: 0,
            roomy: 0,
            first: true,
        }
    }

    pub(super) fn judge(&mut self, now: Instant, used: Duration) -> Option<RateChange> {
        let elapsed = now.duration_since(self.begun);
        if elapsed < WINDOW {
            return None;
        }
        let share = used.saturating_sub(self.used_before).as_secs_f64() / elapsed.as_secs_f64();
        (self.begun, self.used_before) = (now, used);
        if std::mem::take(&mut self.first) {
            return None;
        }
        let of_limit = share / self.limit;
        self.busy = if of_limit > NEAR { self.busy + 1 } else { 0 };
        self.roomy = if of_limit < ROOMY { self.roomy + 1 } else { 0 };
        // The cost is about proportional to the rate, and what is not will be seen in the next windows.
        let wanted = if self.busy >= AGREEING {
            f64::from(self.hz) * AIM / of_limit
        } else if self.roomy >= AGREEING {
            f64::from(self.hz) * (AIM / of_limit.max(f64::EPSILON)).min(2.0)
        } else {
            return None;
        };
        let from_hz = self.hz;
        self.hz = (wanted as u32).clamp(1, self.configured_hz);
        if self.hz == from_hz {
            return None;
        }
        (self.busy, self.roomy) = (0, 0);
        Some(RateChange { from_hz, to_hz: self.hz, used: share })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Shares of a core, window after window, and the rates that follow.
    fn rates(limit_percent: u32, hz: u32, cost: impl Fn(u32) -> f64, windows: u32) -> Vec<u32> {
        let begun = Instant::now();
        let limit = CoreShare::from_percent(limit_percent);
        let mut governor = CpuGovernor::new(limit, hz, begun, Duration::ZERO);
        let mut used = Duration::ZERO;
        let mut rates = Vec::new();
        for window in 1..=windows {
            used += WINDOW.mul_f64(cost(governor.hz));
            governor.judge(begun + WINDOW * window, used);
            rates.push(governor.hz);
        }
        rates
    }

    #[test]
    fn the_rate_falls_until_the_share_fits_and_stays_there() {
        // A hundredth of a percent for each tick a second: 10 % at 1000 Hz.
        let rates = rates(5, 1000, |hz| f64::from(hz) * 1e-4, 20);
        assert_eq!(rates[..3], [1000, 1000, 350], "after the start and two windows");
        assert!(rates[3..].iter().all(|&hz| hz == 350), "{rates:?}");
    }

    #[test]
    fn it_rises_again_when_there_is_room_and_never_above_what_is_configured() {
        let begun = Instant::now();
        let mut governor = CpuGovernor::new(CoreShare::from_percent(5), 100, begun, Duration::ZERO);
        let mut used = Duration::ZERO;
        let mut turn = |share: f64, window: u32| {
            used += WINDOW.mul_f64(share);
            governor.judge(begun + WINDOW * window, used).map(|change| change.to_hz)
        };
        assert_eq!((turn(0.2, 1), turn(0.2, 2), turn(0.2, 3)), (None, None, Some(17)));
        assert_eq!((turn(0.01, 4), turn(0.01, 5)), (None, Some(34)));
        assert_eq!((turn(0.01, 6), turn(0.01, 7)), (None, Some(68)));
        assert_eq!((turn(0.01, 8), turn(0.01, 9)), (None, Some(100)));
        assert_eq!((turn(0.01, 10), turn(0.01, 11)), (None, None));
    }

    #[test]
    fn one_burst_changes_nothing() {
        let begun = Instant::now();
        let mut governor = CpuGovernor::new(CoreShare::from_percent(5), 100, begun, Duration::ZERO);
        let mut used = Duration::ZERO;
        for window in 1..20 {
            used += WINDOW.mul_f64(if window % 3 == 0 { 0.5 } else { 0.03 });
            assert_eq!(governor.judge(begun + WINDOW * window, used), None);
        }
    }

    #[test]
    fn a_rate_that_is_too_dear_at_once_a_second_stays_at_that() {
        assert_eq!(rates(1, 99, |_| 0.5, 12).last(), Some(&1));
    }
}
