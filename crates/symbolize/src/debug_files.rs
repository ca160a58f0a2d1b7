//! The separate debug files of one binary.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use telegen_model::BuildId;
use telegen_process::Root;

/// The separate debug files of one binary: where they are to be sought, then what was found.
///
/// Whoever holds it decides how long the files stay open. It belongs to one binary, whichever processes run it.
#[derive(Debug, Default)]
pub struct DebugFiles {
    state: Mutex<State>,
}

/// Where a binary was met.
#[derive(Clone, Debug)]
pub(crate) struct Whereabouts {
    /// The root that its path is below.
    pub(crate) root: Arc<Root>,
    pub(crate) path: PathBuf,
}

#[derive(Debug)]
enum State {
    /// The root is held no longer than until then.
    ToSeek(Whereabouts),
    Sought(Arc<Separate>),
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Separate {
    /// What was split off when the binary was stripped.
    pub(crate) main: Option<Arc<DebugFile>>,
    /// What several debug files have in common, of which this is one.
    pub(crate) supplementary: Option<Arc<DebugFile>>,
    /// What is not on this machine.
    pub(crate) lacking: Lacking,
}

/// What is not on this machine.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Lacking {
    /// Nothing that could be asked for.
    #[default]
    Nothing,
    /// What was split off. It may have symbols to tell.
    Main { id: BuildId, symbols_tell: bool },
    /// What that has in common with others.
    Supplementary { id: BuildId },
}

/// An open debug file.
#[derive(Debug)]
pub(crate) struct DebugFile {
    pub(crate) file: File,
    /// `st_dev` and `st_ino`.
    pub(crate) identity: (u64, u64),
    _slot: Slot,
}

impl DebugFiles {
    /// Those of a binary that a process with this root has mapped under this path. They are sought when the binary is
    /// first looked up in.
    pub fn to_seek(root: Arc<Root>, path: &str) -> Self {
        let whereabouts = Whereabouts { root, path: path.into() };
        Self { state: Mutex::new(State::ToSeek(whereabouts)) }
    }

    /// What was found; `seek` is called if nobody has looked yet.
    pub(crate) fn get_or_seek(&self, seek: impl FnOnce(&Whereabouts) -> Separate) -> Arc<Separate> {
        // Nothing is left half done where it is held.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &*state {
            State::Sought(separate) => separate.clone(),
            State::ToSeek(whereabouts) => {
                let separate = Arc::new(seek(whereabouts));
                *state = State::Sought(separate.clone());
                separate
            }
        }
    }

    /// Replaces what was found before if `complete` has found more; whether it has.
    pub(crate) fn complete(&self, complete: impl FnOnce(&Separate) -> Option<Separate>) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State::Sought(separate) = &*state else { return false };
        if separate.lacking == Lacking::Nothing {
            return false;
        }
        let Some(completed) = complete(separate) else { return false };
        *state = State::Sought(Arc::new(completed));
        true
    }
}

impl Separate {
    /// What tells the files from others.
    pub(crate) fn identities(&self) -> [Option<(u64, u64)>; 2] {
        [&self.main, &self.supplementary].map(|file| file.as_ref().map(|file| file.identity))
    }
}

impl Default for State {
    fn default() -> Self {
        Self::Sought(Arc::default())
    }
}

impl DebugFile {
    pub(crate) fn new(file: File, identity: (u64, u64), slot: Slot) -> Self {
        Self { file, identity, _slot: slot }
    }
}

/// How many debug files may be open.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    taken: Arc<AtomicUsize>,
    most: usize,
}

/// Leave to hold one file open.
#[derive(Debug)]
pub(crate) struct Slot(Arc<AtomicUsize>);

impl Slots {
    pub(crate) fn new(most: usize) -> Self {
        Self { taken: Arc::default(), most }
    }

    /// `None` if all are taken.
    pub(crate) fn take(&self) -> Option<Slot> {
        let before = self.taken.fetch_add(1, Ordering::Relaxed);
        let slot = Slot(self.taken.clone());
        (before < self.most).then_some(slot)
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_given_back() {
        let slots = Slots::new(2);
        let first = slots.take().expect("free");
        let second = slots.take().expect("free");
        assert!(slots.take().is_none());
        assert_eq!(slots.taken(), 2);
        drop(first);
        assert!(slots.take().is_some());
        drop(second);
        assert_eq!(slots.taken(), 0);
    }
}
