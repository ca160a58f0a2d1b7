//! Ticks, each distinct stack held once and counted.

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use telegen_model::{Ending, TargetNumber, Tid};

/// A tick as it comes from the kernel, already attributed to a program image.
#[derive(Clone, Copy, Debug)]
pub struct Tick<'a> {
    /// The thread.
    pub tid: Tid,
    /// Its name: at most 16 bytes, NUL-padded.
    pub thread_name: &'a [u8],
    /// Addresses of the user stack, leaf first.
    pub user: &'a [u64],
    /// Addresses of the kernel stack, leaf first.
    pub kernel: &'a [u64],
    /// How the stacks end, if not at their beginning.
    pub flaws: Flaws,
    /// How often addresses that were code had been handed out anew in the process: the low half of the number.
    pub remaps: u16,
}

/// What a stack lacks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Flaws {
    /// Why the user stack ends where it does.
    pub ending: Ending,
    /// Frame pointers stood in for an unwind table that was not there yet.
    pub not_ready: bool,
    /// The kernel stack goes on.
    pub kernel_truncated: bool,
}

/// A distinct stack of a thread, and how often it was seen.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// Index of the program image, and which state of its mappings the addresses belong to.
    pub(crate) image: ImageSlot,
    pub(crate) tid: Tid,
    pub(crate) thread_name: [u8; 16],
    pub(crate) flaws: Flaws,
    at: u32,
    user: u16,
    kernel: u16,
    pub(crate) count: u64,
}

/// A program image in the collector, the epoch of its mappings, how often addresses had been handed out anew, and the target
/// that it belonged to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct ImageSlot {
    pub(crate) index: u32,
    pub(crate) epoch: u32,
    pub(crate) remaps: u16,
    pub(crate) target: TargetNumber,
}

/// All distinct stacks of an interval.
///
/// At 10,000 ticks a second this is the hot loop of user space: one hash over the addresses and one comparison for a
/// stack that is known, nothing else.
#[derive(Debug, Default)]
pub(crate) struct StackTable {
    entries: Vec<Entry>,
    addresses: Vec<u64>,
    index: HashTable<u32>,
    hasher: RandomState,
}

/// There was no room for a stack that is new.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Full;

impl StackTable {
    /// Addresses that are held at the most: 16 MiB of them, some 40,000 stacks of 50 frames.
    const MAX_ADDRESSES: usize = 2 << 20;

    pub(crate) fn record(&mut self, image: ImageSlot, tick: &Tick<'_>) -> Result<(), Full> {
        let hash = hash(&self.hasher, image, tick.tid, tick.flaws, tick.user, tick.kernel);
        let (entries, addresses) = (&self.entries, &self.addresses);
        let known = self.index.find(hash, |&index| {
            let entry = &entries[index as usize];
            entry.image == image
                && entry.tid == tick.tid
                && entry.flaws == tick.flaws
                && entry.user(addresses) == tick.user
                && entry.kernel(addresses) == tick.kernel
        });
        match known {
            Some(&index) => self.entries[index as usize].count += 1,
            None => self.insert(hash, image, tick)?,
        }
        Ok(())
    }

    fn insert(&mut self, hash: u64, image: ImageSlot, tick: &Tick<'_>) -> Result<(), Full> {
        let at = self.addresses.len();
        let (Ok(user), Ok(kernel)) = (u16::try_from(tick.user.len()), u16::try_from(tick.kernel.len()))
        else {
            return Err(Full);
        };
        if at + tick.user.len() + tick.kernel.len() > Self::MAX_ADDRESSES {
            return Err(Full);
        }
        let mut thread_name = [0; 16];
        let named = tick.thread_name.len().min(16);
        thread_name[..named].copy_from_slice(&tick.thread_name[..named]);
        self.addresses.extend_from_slice(tick.user);
        self.addresses.extend_from_slice(tick.kernel);
        let index = self.entries.len() as u32;
        let (tid, flaws) = (tick.tid, tick.flaws);
        self.entries.push(Entry { image, tid, thread_name, flaws, at: at as u32, user, kernel, count: 1 });
        let (entries, addresses, hasher) = (&self.entries, &self.addresses, &self.hasher);
        self.index.insert_unique(hash, index, |&index| {
            let entry = &entries[index as usize];
            hash_of(hasher, entry, addresses)
        });
        Ok(())
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(crate) fn user(&self, entry: &Entry) -> &[u64] {
        entry.user(&self.addresses)
    }

    pub(crate) fn kernel(&self, entry: &Entry) -> &[u64] {
        entry.kernel(&self.addresses)
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>()
            + self.addresses.capacity() * size_of::<u64>()
            + self.index.capacity() * size_of::<u32>()
    }
}

impl Entry {
    fn user<'a>(&self, addresses: &'a [u64]) -> &'a [u64] {
        &addresses[self.at as usize..][..usize::from(self.user)]
    }

    fn kernel<'a>(&self, addresses: &'a [u64]) -> &'a [u64] {
        &addresses[self.at as usize + usize::from(self.user)..][..usize::from(self.kernel)]
    }
}

fn hash_of(hasher: &RandomState, entry: &Entry, addresses: &[u64]) -> u64 {
    hash(hasher, entry.image, entry.tid, entry.flaws, entry.user(addresses), entry.kernel(addresses))
}

fn hash(hasher: &RandomState, image: ImageSlot, tid: Tid, flaws: Flaws, user: &[u64], kernel: &[u64]) -> u64 {
    hasher.hash_one((image, tid, flaws, user, kernel))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    const SLOT: ImageSlot = ImageSlot { index: 0, epoch: 0, remaps: 0, target: TargetNumber(0) };

    fn tick<'a>(user: &'a [u64], kernel: &'a [u64]) -> Tick<'a> {
        Tick { tid: Tid(1), thread_name: b"main\0", user, kernel, flaws: Flaws::default(), remaps: 0 }
    }

    #[test]
    fn user_and_kernel_addresses_are_not_mixed_up() {
        let mut table = StackTable::default();
        table.record(SLOT, &tick(&[1, 2], &[])).expect("room");
        table.record(SLOT, &tick(&[1], &[2])).expect("room");
        assert_eq!(table.entries().len(), 2);
    }

    #[test]
    fn a_new_epoch_of_the_mappings_begins_new_stacks() {
        let mut table = StackTable::default();
        table.record(SLOT, &tick(&[1], &[])).expect("room");
        table.record(ImageSlot { epoch: 1, ..SLOT }, &tick(&[1], &[])).expect("room");
        assert_eq!(table.entries().len(), 2);
    }

    #[test]
    fn stacks_of_two_targets_are_two_though_the_process_is_one() {
        let mut table = StackTable::default();
        table.record(SLOT, &tick(&[1], &[])).expect("room");
        table.record(ImageSlot { target: TargetNumber(1), ..SLOT }, &tick(&[1], &[])).expect("room");
        assert_eq!(table.entries().len(), 2);
    }

    #[test]
    fn a_full_table_still_counts_what_it_knows() {
        let mut table = StackTable::default();
        let long = vec![7; 60_000];
        let mut held = 0;
        while table.record(ImageSlot { index: held, ..SLOT }, &tick(&long, &[])).is_ok() {
            held += 1;
        }
        assert_eq!(held as usize, StackTable::MAX_ADDRESSES / 60_000);
        assert_eq!(table.record(SLOT, &tick(&long, &[])), Ok(()));
        assert_eq!(table.entries()[0].count, 2);
    }

    proptest! {
        #[test]
        fn counts_are_those_of_a_plain_map(
            stacks in prop::collection::vec((0u32..3, prop::collection::vec(0u64..3, 0..3), prop::collection::vec(0u64..2, 0..2)), 0..200)
        ) {
            let mut table = StackTable::default();
            let mut truth: HashMap<_, u64> = HashMap::new();
            for (image, user, kernel) in &stacks {
                table.record(ImageSlot { index: *image, ..SLOT }, &tick(user, kernel)).expect("room");
                *truth.entry((*image, user.clone(), kernel.clone())).or_default() += 1;
            }
            prop_assert_eq!(table.entries().len(), truth.len());
            for entry in table.entries() {
                let key = (entry.image.index, table.user(entry).to_vec(), table.kernel(entry).to_vec());
                prop_assert_eq!(truth.get(&key), Some(&entry.count));
            }
        }
    }
}
