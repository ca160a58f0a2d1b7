//! `limits.memory`: caches are dropped first, then the newest targets are let go.

use std::fs;
use std::time::{Duration, Instant};
use telegen_process::ProcFs;

/// The limit if neither the configuration nor a control group names one.
const USUAL_LIMIT: u64 = 256 << 20;
/// Of a control group's limit, so much is the agent's: the rest is for files that it reads and what it cannot foresee.
const SHARE_OF_GROUP: f64 = 0.8;
/// Less than this no agent can do with.
const LEAST_LIMIT: u64 = 32 << 20;

/// How long a step is given to show: the allocator gives back within ten seconds what is not used.
const SETTLING: Duration = Duration::from_secs(12);
/// Below this share of the limit there is room again.
const ROOMY: f64 = 0.75;
/// How long there must have been room before targets come back.
const PATIENCE: Duration = Duration::from_secs(60);

/// The limit in force, in bytes.
pub(crate) fn memory_limit(configured: Option<u64>) -> u64 {
    let of_group =
        || ProcFs::default().own_memory_limit().map(|limit| (limit as f64 * SHARE_OF_GROUP) as u64);
    configured.or_else(of_group).unwrap_or(USUAL_LIMIT).max(LEAST_LIMIT)
}

/// What the agent has taken: memory of its own, not that of files, and what the kernel holds for its maps.
pub(crate) fn used_memory(map_bytes: u64) -> Option<u64> {
    anonymous_bytes(&fs::read_to_string("/proc/self/status").ok()?).map(|bytes| bytes + map_bytes)
}

fn anonymous_bytes(status: &str) -> Option<u64> {
    let kib = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    kib.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// What is to be done about memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum MemoryStep {
    /// What can be read again is forgotten.
    DropCaches,
    /// The newest targets beyond so many are targets no more.
    LetTargetsGo { most: usize },
    /// So many may be targets again.
    TakeTargetsBack { most: usize },
}

/// Decides what is to be done about memory.
#[derive(Debug)]
pub(super) struct MemoryGovernor {
    limit: u64,
    /// The most targets that the configuration allows, and that memory allows.
    max_targets: usize,
    allowed: usize,
    /// The last step, while it is given time to show.
    settling_until: Option<Instant>,
    caches_dropped: bool,
    roomy_since: Option<Instant>,
}

impl MemoryGovernor {
    pub(super) fn new(limit: u64, max_targets: usize) -> Self {
        Self {
            limit,
            max_targets,
            allowed: max_targets,
            settling_until: None,
            caches_dropped: false,
            roomy_since: None,
        }
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn judge(&mut self, used: u64, targets: usize, now: Instant) -> Option<MemoryStep> {
        if self.settling_until.is_some_and(|until| now < until) {
            return None;
        }
        if used > self.limit {
            self.roomy_since = None;
            self.settling_until = Some(now + SETTLING);
            return self.relieve(targets);
        }
        if used as f64 > self.limit as f64 * ROOMY {
            self.roomy_since = None;
            return None;
        }
        self.caches_dropped = false;
        let since = *self.roomy_since.get_or_insert(now);
        if self.allowed < self.max_targets && now.duration_since(since) >= PATIENCE {
            self.roomy_since = Some(now);
            self.allowed = (self.allowed + step(self.allowed)).min(self.max_targets);
            return Some(MemoryStep::TakeTargetsBack { most: self.allowed });
        }
        None
    }

    fn relieve(&mut self, targets: usize) -> Option<MemoryStep> {
        if !std::mem::replace(&mut self.caches_dropped, true) {
            return Some(MemoryStep::DropCaches);
        }
        // The last one stays: without targets there would be nothing to run for.
        let most = targets.saturating_sub(step(targets)).max(1);
        if targets <= 1 || most >= self.allowed {
            // Nothing is left to let go; caches may have filled again.
            self.caches_dropped = false;
            return None;
        }
        self.allowed = most;
        Some(MemoryStep::LetTargetsGo { most })
    }
}

/// How many targets go, or come back, at a time.
fn step(targets: usize) -> usize {
    (targets / 4).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u64 = 100 << 20;
    const OVER: u64 = LIMIT + 1;

    #[test]
    fn caches_go_first_then_the_newest_targets_and_the_last_one_stays() {
        let begun = Instant::now();
        let mut governor = MemoryGovernor::new(LIMIT, 1000);
        assert_eq!(governor.judge(LIMIT, 8, begun), None);
        assert_eq!(governor.judge(OVER, 8, begun), Some(MemoryStep::DropCaches));
        assert_eq!(governor.judge(OVER, 8, begun + SETTLING / 2), None, "it is given time to show");
        let mut targets = 8;
        let mut steps = Vec::new();
        for turn in 1..12 {
            match governor.judge(OVER, targets, begun + SETTLING * turn) {
                Some(MemoryStep::LetTargetsGo { most }) => {
                    steps.push(most);
                    targets = most;
                }
                Some(MemoryStep::DropCaches) | None => {}
                Some(MemoryStep::TakeTargetsBack { .. }) => panic!("there is no room"),
            }
        }
        assert_eq!(steps, [6, 5, 4, 3, 2, 1]);
    }

    #[test]
    fn targets_come_back_when_there_has_been_room_for_a_while() {
        let begun = Instant::now();
        let mut governor = MemoryGovernor::new(LIMIT, 10);
        governor.judge(OVER, 10, begun);
        let gone = governor.judge(OVER, 10, begun + SETTLING);
        assert_eq!(gone, Some(MemoryStep::LetTargetsGo { most: 8 }));
        let roomy = begun + SETTLING * 3;
        assert_eq!(governor.judge(LIMIT / 2, 8, roomy), None);
        assert_eq!(governor.judge(LIMIT / 10 * 9, 8, roomy + PATIENCE), None, "room must last");
        assert_eq!(governor.judge(LIMIT / 2, 8, roomy + PATIENCE * 2), None);
        let back = governor.judge(LIMIT / 2, 8, roomy + PATIENCE * 3);
        assert_eq!(back, Some(MemoryStep::TakeTargetsBack { most: 10 }));
        assert_eq!(governor.judge(LIMIT / 2, 10, roomy + PATIENCE * 9), None, "all are back");
    }

    #[test]
    fn memory_of_files_does_not_count() {
        let status = "Name:\tx\nVmRSS:\t   9000 kB\nRssAnon:\t    5000 kB\nRssFile:\t    4000 kB\n";
        assert_eq!(anonymous_bytes(status), Some(5000 << 10));
        assert_eq!(anonymous_bytes("Name:\tx\n"), None);
        assert!(used_memory(7).is_some_and(|bytes| bytes > 7));
    }

    #[test]
    fn what_is_configured_wins_over_the_control_group() {
        assert_eq!(memory_limit(Some(64 << 20)), 64 << 20);
        assert_eq!(memory_limit(Some(1)), LEAST_LIMIT);
        assert!(memory_limit(None) >= LEAST_LIMIT);
    }
}
