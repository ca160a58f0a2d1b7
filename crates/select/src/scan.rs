//! What a scan must not be believed about.

use foldhash::fast::FixedState;
use hashbrown::HashSet;
use telegen_model::{ProcessFacts, ProcessId, Token};

/// A scan is a picture taken some milliseconds before it is looked at, and lifecycle events go on meanwhile. Whoever
/// has exited since, though it stands in the picture, must not come to life again: nobody would announce its end a
/// second time. What is kept here is as much as happens during one scan.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// The number of the last scan that has begun; 0 before the first.
    pub(crate) number: u64,
    under_way: bool,
    exited: HashSet<ProcessId, FixedState>,
    /// Exits of images that were not known, so that their process is not either.
    exited_images: HashSet<Token, FixedState>,
    renamed: HashSet<Token, FixedState>,
    moved: HashSet<Token, FixedState>,
}

impl Scan {
    pub(crate) fn begin(&mut self) {
        *self = Self { number: self.number + 1, under_way: true, ..Self::default() };
    }

    pub(crate) fn finish(&mut self) {
        *self = Self { number: self.number, ..Self::default() };
    }

    /// An image has exited; `process` is its process, if it was known.
    pub(crate) fn note_exit(&mut self, token: Token, process: Option<ProcessId>) {
        if !self.under_way {
            return;
        }
        match process {
            Some(id) => self.exited.insert(id),
            None => self.exited_images.insert(token),
        };
    }

    /// The leader of an image has been given another name.
    pub(crate) fn note_rename(&mut self, token: Token) {
        if self.under_way {
            self.renamed.insert(token);
        }
    }

    /// An image's process has been put into another control group.
    pub(crate) fn note_move(&mut self, token: Token) {
        if self.under_way {
            self.moved.insert(token);
        }
    }

    /// Whether a process that the scan has found has exited since.
    pub(crate) fn has_exited(&self, token: Token, facts: &ProcessFacts) -> bool {
        self.exited.contains(&facts.key.id) || self.exited_images.contains(&token)
    }

    /// Whether an event has given an image a name that the scan may not have seen yet.
    pub(crate) fn has_renamed(&self, token: Token) -> bool {
        self.renamed.contains(&token)
    }

    /// Whether an event has said where an image is, which the scan may not have seen yet.
    pub(crate) fn has_moved(&self, token: Token) -> bool {
        self.moved.contains(&token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_of_what_happens_between_scans() {
        let mut scan = Scan::default();
        for _ in 0..2 {
            scan.note_rename(Token(1));
            scan.note_exit(Token(2), None);
            assert!(scan.renamed.is_empty() && scan.exited_images.is_empty());
            scan.begin();
            scan.note_rename(Token(3));
            scan.note_exit(Token(4), None);
            assert!(scan.has_renamed(Token(3)) && scan.exited_images.contains(&Token(4)));
            scan.finish();
            assert!(!scan.has_renamed(Token(3)) && scan.exited_images.is_empty());
        }
        assert_eq!(scan.number, 2);
    }
}
