//! Which builds have been asked for, and when they may be asked for again.

use crate::Outcome;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use telegen_model::BuildId;

/// Builds that are remembered at the most.
const MAX_BUILDS: usize = 4096;
/// How long it is believed that a server has no such file …
const MISSING: Duration = Duration::from_secs(60 * 60);
/// … and how long it is not asked again after what may pass, doubled each time up to the other.
const FAILED: Duration = Duration::from_secs(60);

/// What is known of builds that are not in the cache.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    builds: Mutex<HashMap<BuildId, Standing>>,
}

#[derive(Clone, Copy, Debug)]
enum Standing {
    /// It is being asked for.
    UnderWay { failures: u32 },
    /// It was not to be had.
    Not { until: Instant, failures: u32 },
}

/// Whether to ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Turn {
    /// Yes, and it is under way from now on.
    Ask,
    /// Not now.
    Wait,
    /// Too many are remembered.
    Full,
}

impl Asked {
    /// Whether it is time to ask for a build.
    pub(crate) fn turn(&self, id: &BuildId, now: Instant) -> Turn {
        let mut builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = match builds.get(id) {
            Some(Standing::UnderWay { .. }) => return Turn::Wait,
            Some(Standing::Not { until, .. }) if now < *until => return Turn::Wait,
            Some(Standing::Not { failures, .. }) => *failures,
            None => 0,
        };
        if builds.len() >= MAX_BUILDS && !builds.contains_key(id) {
            builds.retain(|_, standing| !matches!(standing, Standing::Not { until, .. } if *until <= now));
            if builds.len() >= MAX_BUILDS {
                return Turn::Full;
            }
        }
        builds.insert(id.clone(), Standing::UnderWay { failures });
        Turn::Ask
    }

    /// What came of asking; [`Outcome::Found`] is in the cache.
    pub(crate) fn ended(&self, id: &BuildId, outcome: Outcome, now: Instant) {
        let mut builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = match builds.remove(id) {
            Some(Standing::UnderWay { failures } | Standing::Not { failures, .. }) => failures,
            None => 0,
        };
        if outcome == Outcome::Found {
            return;
        }
        let pause = if outcome.may_pass() {
            FAILED.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(MISSING)
        } else {
            MISSING
        };
        let standing = Standing::Not { until: now + pause, failures: failures.saturating_add(1) };
        builds.insert(id.clone(), standing);
    }

    /// Whether an answer is to come.
    #[cfg(test)]
    pub(crate) fn is_under_way(&self, id: &BuildId) -> bool {
        matches!(self.builds.lock().unwrap().get(id), Some(Standing::UnderWay { .. }))
    }

    /// It was not asked for after all.
    pub(crate) fn forget(&self, id: &BuildId) {
        self.builds.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u32) -> BuildId {
        BuildId::new(&number.to_be_bytes()).unwrap()
    }

    #[test]
    fn what_is_not_there_is_asked_for_again_after_an_hour() {
        let (asked, now) = (Asked::default(), Instant::now());
        assert_eq!(asked.turn(&id(1), now), Turn::Ask);
        assert_eq!(asked.turn(&id(1), now), Turn::Wait, "under way");
        asked.ended(&id(1), Outcome::Missing, now);
        assert_eq!(asked.turn(&id(1), now + MISSING - Duration::from_secs(1)), Turn::Wait);
        assert_eq!(asked.turn(&id(1), now + MISSING), Turn::Ask);
        asked.ended(&id(1), Outcome::Found, now);
        assert_eq!(asked.turn(&id(1), now), Turn::Ask, "it may have been removed from the cache");
    }

    #[test]
    fn what_fails_is_tried_ever_more_seldom() {
        let (asked, mut now) = (Asked::default(), Instant::now());
        for minutes in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            assert_eq!(asked.turn(&id(1), now), Turn::Ask);
            asked.ended(&id(1), Outcome::Unreachable, now);
            now += Duration::from_secs(60 * minutes - 1);
            assert_eq!(asked.turn(&id(1), now), Turn::Wait, "after {minutes} minutes");
            now += Duration::from_secs(1);
        }
    }

    #[test]
    fn so_many_are_remembered_and_what_is_past_makes_room() {
        let (asked, now) = (Asked::default(), Instant::now());
        for number in 0..MAX_BUILDS as u32 {
            assert_eq!(asked.turn(&id(number), now), Turn::Ask);
        }
        assert_eq!(asked.turn(&id(1 << 20), now), Turn::Full);
        asked.ended(&id(7), Outcome::TimedOut, now);
        assert_eq!(asked.turn(&id(1 << 20), now), Turn::Full);
        assert_eq!(asked.turn(&id(1 << 20), now + FAILED), Turn::Ask);
        asked.forget(&id(8));
        assert_eq!(asked.turn(&id(1 << 21), now), Turn::Ask);
    }
}
