//! How a source stands, for all who want to know.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// How far a source's word can be trusted to be complete.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Standing {
    /// It has not answered yet.
    #[default]
    Starting,
    /// All pods of the node are known, but for those that are on their way.
    InSync,
    /// It cannot be reached: what was known stays, and what is new is not known.
    Lost,
}

impl Standing {
    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::InSync => "in sync",
            Self::Lost => "lost",
        }
    }
}

/// What a source has asked for and been told, counted.
#[derive(Debug, Default)]
pub struct Figures {
    /// Lists of pods that were asked for, pages not counted apart.
    pub lists: AtomicU64,
    /// Watches that were begun.
    pub watches: AtomicU64,
    /// Owners that were asked for.
    pub owners: AtomicU64,
    /// Requests and watches that have failed.
    pub failures: AtomicU64,
    /// Events of watches, bookmarks included.
    pub events: AtomicU64,
    /// Bytes of answers.
    pub bytes: AtomicU64,
    /// Pods of this node that are known.
    pub pods: AtomicU64,
    /// Pods beyond the most that are held.
    pub refused: AtomicU64,
    /// Pods of other nodes, which nobody has asked for: each time that one was sent.
    pub strangers: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    standing: Standing,
    /// What it answered last instead of what was asked for.
    failure: Option<String>,
    since: Option<SystemTime>,
}

#[cfg(feature = "client")]
impl Figures {
    pub(crate) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    pub(crate) fn set(&self, standing: Standing) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.standing != standing {
            state.standing = standing;
            state.since = Some(SystemTime::now());
        }
        if standing == Standing::InSync {
            state.failure = None;
        }
    }

    pub(crate) fn set_failure(&self, failure: String) {
        Self::count(&self.failures);
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failure = Some(failure);
    }
}

impl Figures {
    /// How it stands now, and since when.
    pub fn standing(&self) -> (Standing, Option<SystemTime>) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        (state.standing, state.since)
    }

    /// What went wrong last, until all is well again.
    pub fn failure(&self) -> Option<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failure.clone()
    }
}
