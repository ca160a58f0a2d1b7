//! Answers, kept up to a budget.

use crate::symbolizer::Place;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;
use telegen_model::{FileId, FileOffset};

/// What an entry costs beside its place: keys, pointers, its turn in the queue.
const ENTRY_BYTES: usize = 96;

/// Places by file and offset. When the budget is used up the oldest that have not been asked for since their last turn
/// go first (the "second chance" rule).
#[derive(Debug)]
pub(crate) struct Cache {
    budget_bytes: usize,
    bytes: usize,
    files: HashMap<FileId, u32, RandomState>,
    entries: HashMap<(u32, FileOffset), Entry, RandomState>,
    turns: VecDeque<(u32, FileOffset)>,
    next_file: u32,
    pub(crate) evicted: u64,
}

#[derive(Debug)]
struct Entry {
    place: Arc<Place>,
    bytes: usize,
    used: bool,
}

impl Cache {
    pub(crate) fn new(budget_bytes: usize) -> Self {
        Self {
            budget_bytes,
            bytes: 0,
            files: HashMap::default(),
            entries: HashMap::default(),
            turns: VecDeque::new(),
            next_file: 0,
            evicted: 0,
        }
    }

    /// A file's number, for the other calls.
    pub(crate) fn file(&mut self, file: &FileId) -> u32 {
        if let Some(&number) = self.files.get(file) {
            return number;
        }
        // A node sees some thousand files; should they become very many, numbers of files without entries are dropped.
        if self.files.len() >= 65_536 {
            let live: std::collections::HashSet<u32> = self.entries.keys().map(|(file, _)| *file).collect();
            self.files.retain(|_, number| live.contains(number));
        }
        self.next_file = self.next_file.wrapping_add(1);
        self.files.insert(file.clone(), self.next_file);
        self.next_file
    }

    pub(crate) fn get(&mut self, file: u32, offset: FileOffset) -> Option<Arc<Place>> {
        let entry = self.entries.get_mut(&(file, offset))?;
        entry.used = true;
        Some(entry.place.clone())
    }

    pub(crate) fn insert(&mut self, file: u32, offset: FileOffset, place: Arc<Place>) {
        let bytes = place.bytes() + ENTRY_BYTES;
        if let Some(before) = self.entries.insert((file, offset), Entry { place, bytes, used: false }) {
            self.bytes -= before.bytes;
        } else {
            self.turns.push_back((file, offset));
        }
        self.bytes += bytes;
        self.shrink();
    }

    fn shrink(&mut self) {
        while self.bytes > self.budget_bytes {
            let Some(turn) = self.turns.pop_front() else { return };
            let Some(entry) = self.entries.get_mut(&turn) else { continue };
            if std::mem::take(&mut entry.used) {
                self.turns.push_back(turn);
                continue;
            }
            self.bytes -= entry.bytes;
            self.entries.remove(&turn);
            self.evicted += 1;
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(inode: u64) -> FileId {
        FileId::Inode { device: 1, inode, ctime_ns: 0, size: 0 }
    }

    #[test]
    fn it_stays_within_its_budget_and_keeps_what_is_used() {
        let mut cache = Cache::new(10 * (ENTRY_BYTES + size_of::<Place>()));
        let number = cache.file(&file(1));
        for offset in 0..100 {
            cache.insert(number, FileOffset(offset), Arc::new(Place::default()));
            assert!(cache.get(number, FileOffset(0)).is_some(), "asked for all the time");
            assert!(cache.bytes() <= cache.budget_bytes);
        }
        assert_eq!(cache.evicted as usize, 100 - cache.len());
        assert!(cache.len() >= 9);
    }

    #[test]
    fn files_are_told_apart() {
        let mut cache = Cache::new(1 << 20);
        let (one, two) = (cache.file(&file(1)), cache.file(&file(2)));
        assert_eq!(one, cache.file(&file(1)));
        cache.insert(one, FileOffset(7), Arc::new(Place::default()));
        assert!(cache.get(two, FileOffset(7)).is_none());
    }
}
