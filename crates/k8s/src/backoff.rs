//! How long to wait before a source is asked again: longer each time, and never the same for two agents.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// The first wait, at most.
const FIRST: Duration = Duration::from_millis(800);
/// No wait is longer, but for its jitter.
const LONGEST: Duration = Duration::from_secs(30);

/// The waits between attempts that fail.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
    random: fn() -> f64,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { failures: 0, random }
    }

    /// All is well.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The wait before the next attempt; no shorter than what the server has asked for.
    pub(crate) fn next(&mut self, asked: Option<Duration>) -> Duration {
        let whole = (FIRST * 2_u32.saturating_pow(self.failures.min(16))).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        // Half of it is chance, so that thousands who have lost the same server do not come back at once.
        let wait = whole.mul_f64(0.5 + (self.random)());
        match asked {
            Some(asked) => asked.min(10 * LONGEST) + wait.mul_f64(0.25),
            None => wait,
        }
    }
}

/// A number from 0 up to 1.
pub(crate) fn random() -> f64 {
    (RandomState::new().hash_one(std::thread::current().id()) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_limit_and_begin_anew() {
        let mut backoff = Backoff { failures: 0, random: || 0.5 };
        let waits: Vec<Duration> = (0..8).map(|_| backoff.next(None)).collect();
        assert_eq!(waits[..3], [FIRST, FIRST * 2, FIRST * 4]);
        assert_eq!(waits[7], LONGEST);
        backoff.reset();
        assert_eq!(backoff.next(None), FIRST);
    }

    #[test]
    fn a_server_that_asks_for_time_gets_it() {
        let mut backoff = Backoff { failures: 0, random: || 0.0 };
        assert!(backoff.next(Some(Duration::from_secs(7))) >= Duration::from_secs(7));
        assert!(backoff.next(Some(Duration::from_secs(1 << 40))) < Duration::from_secs(400));
    }

    #[test]
    fn two_agents_do_not_wait_the_same() {
        let waits: Vec<Duration> = (0..20).map(|_| Backoff::new().next(None)).collect();
        assert!(waits.iter().all(|wait| (FIRST / 2..=FIRST * 3 / 2).contains(wait)), "{waits:?}");
        assert!(waits.iter().any(|wait| wait.abs_diff(waits[0]) > FIRST / 20), "{waits:?}");
    }
}
