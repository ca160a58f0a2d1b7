//! The memory that the programs and user space share.

use crate::abi::{APPLY_MAX, RawApplyItem, RawPolicy, RawShared};
use crate::sys::SharedMemory;
use std::mem::offset_of;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use telegen_model::TargetNumber;

/// What has become of ticks and events since the programs were loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Ticks on processes that are not targets.
    pub rejected: u64,
    /// Ticks on processes that user space had not answered for yet.
    pub undecided: u64,
    /// Ticks on targets whose last thread was past its exit.
    pub exiting: u64,
    /// Samples handed to user space.
    pub sampled: u64,
    /// Samples lost because their ring was full.
    pub ring_full: u64,
    /// Ticks on targets whose own sample rate is lower than the clock's.
    pub passed_over: u64,
    /// Lifecycle events lost because their ring was full.
    pub events_lost: u64,
    /// Processes that found no room in the table.
    pub processes_refused: u64,
}

impl Counters {
    /// All ticks that have come, whatever became of them.
    pub fn ticks(&self) -> u64 {
        self.rejected + self.undecided + self.exiting + self.sampled + self.ring_full + self.passed_over
    }
}

/// A view of the memory that the programs write; cheap to clone.
#[derive(Clone)]
pub struct Shared(Arc<SharedMemory>);

impl Shared {
    pub(crate) fn new(memory: SharedMemory) -> Self {
        Self(Arc::new(memory))
    }

    /// The counters as they stand now.
    pub fn counters(&self) -> Counters {
        let mut counters = Counters {
            events_lost: self.0.load(offset_of!(RawShared, events_lost)),
            processes_refused: self.0.load(offset_of!(RawShared, processes_refused)),
            ..Counters::default()
        };
        let ticks = offset_of!(RawShared, ticks);
        for cpu in 0..crate::abi::MAX_CPUS {
            let at = ticks + cpu * size_of::<crate::abi::RawTickCounts>();
            counters.rejected += self.0.load(at);
            counters.undecided += self.0.load(at + 8);
            counters.exiting += self.0.load(at + 16);
            counters.sampled += self.0.load(at + 24);
            counters.ring_full += self.0.load(at + 32);
            counters.passed_over += self.0.load(at + 40);
        }
        counters
    }

    /// The agent's own key in the kernel's table.
    pub fn agent_key(&self) -> telegen_model::KernelKey {
        telegen_model::KernelKey(self.0.load_u32(offset_of!(RawShared, agent_key)))
    }

    /// Adds to a word that the programs only read, and wraps around.
    pub(crate) fn add_u32(&self, offset: usize, value: u32) {
        self.0.add_u32(offset, value);
    }

    /// How many events were to be answered at once.
    pub(crate) fn awaited(&self) -> u64 {
        self.0.load(offset_of!(RawShared, awaited))
    }

    /// Whether nobody need be woken for what need not be answered at once.
    pub(crate) fn set_attentive(&self, attentive: bool) {
        self.0.store(offset_of!(RawShared, attentive), u64::from(attentive));
        fence(Ordering::SeqCst);
    }

    /// Puts up to [`APPLY_MAX`] items where `tg_apply_decisions` reads them.
    pub(crate) fn write_request(&self, items: &[RawApplyItem]) {
        debug_assert!(items.len() <= APPLY_MAX);
        for (index, item) in items.iter().enumerate() {
            let at = item_at(index);
            self.0.store_u32(at + offset_of!(RawApplyItem, key), item.key);
            self.0.store_u32(at + offset_of!(RawApplyItem, state), item.state);
            self.0.store(at + offset_of!(RawApplyItem, token), item.token);
            self.0.store(at + offset_of!(RawApplyItem, outcome), 0);
        }
        self.0.store_u32(offset_of!(RawShared, apply_count), items.len() as u32);
    }

    /// Whether an item of the request has been carried out.
    pub(crate) fn outcome(&self, index: usize) -> bool {
        self.0.load(item_at(index) + offset_of!(RawApplyItem, outcome)) != 0
    }
}

impl Shared {
    /// Writes the programs' policy, all but the steps, such that none of them takes half of it for the whole.
    pub(crate) fn write_policy(&self, words: &[u32]) {
        let at = offset_of!(RawShared, policy);
        let version = at + offset_of!(RawPolicy, version);
        debug_assert!(words.len() * 4 <= offset_of!(RawPolicy, steps) - 4);
        let before = self.0.load_u32(version);
        self.0.store_u32(version, before.wrapping_add(1) | 1);
        fence(Ordering::SeqCst);
        for (index, word) in words.iter().enumerate() {
            self.0.store_u32(version + 4 + index * 4, *word);
        }
        fence(Ordering::SeqCst);
        self.0.store_u32(version, (before | 1).wrapping_add(1));
    }

    /// Sets which share of the ticks a target takes, in 2^-32; 0 for all.
    pub(crate) fn write_step(&self, target: TargetNumber, step: u32) {
        let steps = offset_of!(RawShared, policy) + offset_of!(RawPolicy, steps);
        self.0.store_u32(steps + usize::from(target.0) * 4, step);
    }
}

fn item_at(index: usize) -> usize {
    offset_of!(RawShared, apply_items) + index * size_of::<RawApplyItem>()
}
