//! What has been asked, and what came of it.

use crate::Outcome;
use std::sync::atomic::{AtomicU64, Ordering};

/// What has been asked, and what came of it, from any thread.
#[derive(Debug, Default)]
pub struct Figures {
    outcomes: [AtomicU64; Outcome::ALL.len()],
    hits: AtomicU64,
    received_bytes: AtomicU64,
    dropped: AtomicU64,
}

impl Figures {
    /// Requests that ended so.
    pub fn outcome(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize].load(Ordering::Relaxed)
    }

    /// Files that were in the cache when they were asked for.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Bytes of files that were received, of those not used as well.
    pub fn received_bytes(&self) -> u64 {
        self.received_bytes.load(Ordering::Relaxed)
    }

    /// Questions that were dropped because too many others wait.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self, outcome: Outcome) {
        self.outcomes[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_received(&self, bytes: usize) {
        self.received_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn count_dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }
}
