//! Decisions by pid, for readers on any thread.

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use telegen_model::Pid;
use telegen_rules::Decision;

/// Linux's PID_MAX_LIMIT on 64 bits is 2^22.
const PID_BITS: u32 = 24;
const _: () = assert!(PID_BITS + Decision::BITS <= u64::BITS);
const DECISION: u64 = (1 << Decision::BITS) - 1;
const FEWEST_SLOTS: usize = 1024;

/// A hash table that one thread writes and any thread reads without waiting. Pid and decision are one word, so that
/// a reader finds both or neither. A table indexed by pid would be simpler, but pids of a node that has been up for
/// some days are spread over millions: it would take pages for each of them, and keep them.
///
/// A slot belongs to its pid until the table is made anew, which happens when half of the slots have been given away.
/// So a reader never misses a pid because another one has gone, and there is always a free slot to end a search.
#[derive(Debug)]
pub(crate) struct DecisionTable {
    slots: ArcSwap<Slots>,
    /// Seeded, so that nobody can choose pids that fall together.
    hasher: RandomState,
}

#[derive(Debug)]
struct Slots {
    /// Pid in the upper 24 bits, 0 in a free slot; decision in the lower 40, 0 if there is none.
    words: Box<[AtomicU64]>,
    /// Slots that have been given away.
    used: AtomicUsize,
}

impl DecisionTable {
    pub(crate) fn new() -> Self {
        Self { slots: ArcSwap::from_pointee(Slots::new(FEWEST_SLOTS)), hasher: RandomState::default() }
    }

    pub(crate) fn get(&self, pid: Pid) -> Option<Decision> {
        let pid = number(pid)?;
        let slots = self.slots.load();
        let (_, word) = slots.find(pid, self.hasher.hash_one(pid));
        Decision::from_bits(word & DECISION)
    }

    /// Only ever called by the one thread that owns the table.
    pub(crate) fn set(&self, pid: Pid, decision: Option<Decision>) {
        let Some(pid) = number(pid) else { return };
        let bits = decision.map_or(0, Decision::to_bits);
        let slots = self.slots.load();
        let (slot, word) = slots.find(pid, self.hasher.hash_one(pid));
        if word != 0 {
            slot.store(pid << Decision::BITS | bits, Ordering::Release);
        } else if bits != 0 {
            self.insert(pid, bits);
        }
    }

    /// Takes a pid's decision away; from any thread. The owner may be writing another at the same time, or making the
    /// table anew, and then the owner's holds.
    pub(crate) fn clear(&self, pid: Pid) {
        let Some(pid) = number(pid) else { return };
        let slots = self.slots.load();
        let (slot, word) = slots.find(pid, self.hasher.hash_one(pid));
        if word != 0 {
            // A slot in use never changes its pid, so this cannot hit another one's decision.
            slot.fetch_and(!DECISION, Ordering::AcqRel);
        }
    }

    fn insert(&self, pid: u64, bits: u64) {
        if self.slots.load().is_half_full() {
            self.make_anew();
        }
        let slots = self.slots.load();
        let (slot, _) = slots.find(pid, self.hasher.hash_one(pid));
        slots.used.fetch_add(1, Ordering::Relaxed);
        slot.store(pid << Decision::BITS | bits, Ordering::Release);
    }

    /// Leaves out the pids that have gone, in a table that has room for three times as many as are there.
    fn make_anew(&self) {
        let old = self.slots.load();
        let words = || old.words.iter().map(|slot| slot.load(Ordering::Acquire));
        let live = words().filter(|word| word & DECISION != 0).count();
        let new = Slots::new((live * 4).next_power_of_two().max(FEWEST_SLOTS));
        let mut used = 0;
        for word in words().filter(|word| word & DECISION != 0) {
            let pid = word >> Decision::BITS;
            new.find(pid, self.hasher.hash_one(pid)).0.store(word, Ordering::Relaxed);
            used += 1;
        }
        new.used.store(used, Ordering::Relaxed);
        drop(old);
        self.slots.store(Arc::new(new));
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.slots.load().words.len() * size_of::<AtomicU64>()
    }
}

impl Slots {
    fn new(slots: usize) -> Self {
        Self { words: (0..slots).map(|_| AtomicU64::new(0)).collect(), used: AtomicUsize::new(0) }
    }

    fn is_half_full(&self) -> bool {
        self.used.load(Ordering::Relaxed) >= self.words.len() / 2
    }

    /// The slot of a pid, or the free one that it would be given, and what is in it.
    fn find(&self, pid: u64, hash: u64) -> (&AtomicU64, u64) {
        let mask = self.words.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = &self.words[at];
            let word = slot.load(Ordering::Acquire);
            if word == 0 || word >> Decision::BITS == pid {
                return (slot, word);
            }
            at = (at + 1) & mask;
        }
    }
}

/// The pid as it stands in a slot; `None` for one that cannot be.
fn number(pid: Pid) -> Option<u64> {
    (1..1 << PID_BITS).contains(&pid.0).then_some(u64::from(pid.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use telegen_rules::{Key, Reason};

    const YES: Decision = Decision::profile(Reason::NoIncludeRules);

    #[test]
    fn a_pid_that_cannot_be_is_not_there() {
        let table = DecisionTable::new();
        for pid in [0, 1 << PID_BITS, u32::MAX] {
            table.set(Pid(pid), Some(YES));
            table.clear(Pid(pid));
            assert_eq!(table.get(Pid(pid)), None);
        }
        table.set(Pid(4_194_304), Some(YES));
        assert_eq!(table.get(Pid(4_194_304)), Some(YES));
    }

    #[test]
    fn memory_follows_the_processes_there_are_not_the_pids_there_were() {
        let table = DecisionTable::new();
        for pid in 1..=1_000_000 {
            table.set(Pid(pid), Some(YES));
            table.set(Pid(pid), None);
        }
        assert_eq!(table.bytes(), FEWEST_SLOTS * 8);
        for pid in 1..=10_000 {
            table.set(Pid(pid * 400), Some(YES));
        }
        assert!(table.bytes() <= 100 * 10_000, "{} bytes", table.bytes());
        assert!((1..=10_000).all(|pid| table.get(Pid(pid * 400)) == Some(YES)));
    }

    #[test]
    fn pids_that_fall_together_at_an_end_of_the_table_are_told_apart() {
        for end in [0, FEWEST_SLOTS - 1] {
            let table = DecisionTable::new();
            let slot = |pid: u32| table.hasher.hash_one(u64::from(pid)) as usize & (FEWEST_SLOTS - 1);
            let pids: Vec<u32> = (1..1 << PID_BITS).filter(|&pid| slot(pid) == end).take(3).collect();
            for &pid in &pids[..2] {
                table.set(Pid(pid), Some(YES));
            }
            let found = pids.iter().map(|&pid| table.get(Pid(pid)));
            assert_eq!(found.collect::<Vec<_>>(), [Some(YES), Some(YES), None]);
        }
    }

    #[test]
    fn half_full_it_is_made_anew_for_the_pids_that_are_left() {
        let table = DecisionTable::new();
        let slots = || table.bytes() / 8;
        let set = |pids: std::ops::RangeInclusive<u32>, decision| {
            pids.for_each(|pid| table.set(Pid(pid), decision));
        };
        set(1..=512, Some(YES));
        set(1..=100, None);
        assert_eq!(slots(), 1024, "512 have been given away");
        set(513..=513, Some(YES));
        assert_eq!(slots(), 2048, "412 were left");
        set(514..=1124, Some(YES));
        assert_eq!(slots(), 2048, "1,024 have been given away");
        set(1125..=1125, Some(YES));
        assert_eq!(slots(), 4096, "1,024 were left");
        assert!((1..=100).all(|pid| table.get(Pid(pid)).is_none()));
        assert!((101..=1125).all(|pid| table.get(Pid(pid)) == Some(YES)));
    }

    #[test]
    fn a_pid_whose_decision_is_taken_away_keeps_its_slot() {
        let table = DecisionTable::new();
        for _ in 0..1_000 {
            table.set(Pid(7), Some(YES));
            table.clear(Pid(7));
            assert_eq!(table.get(Pid(7)), None);
        }
        assert_eq!(table.slots.load().used.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn readers_never_miss_a_pid_while_others_come_and_go() {
        let table = DecisionTable::new();
        let stay: Vec<Pid> = (1..=200).map(|n| Pid(n * 7)).collect();
        for &pid in &stay {
            table.set(pid, Some(YES));
        }
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut rounds = 0u64;
                while !done.load(Ordering::Relaxed) || rounds == 0 {
                    assert!(stay.iter().all(|&pid| table.get(pid) == Some(YES)));
                    rounds += 1;
                }
            });
            // Each few hundred of these make the table anew.
            for pid in 10_000..300_000 {
                table.set(Pid(pid), Some(YES));
                table.set(Pid(pid), None);
                if reader.is_finished() {
                    break;
                }
            }
            done.store(true, Ordering::Relaxed);
        });
    }

    fn decisions() -> impl Strategy<Value = Option<Decision>> {
        prop_oneof![
            Just(None),
            any::<u16>().prop_map(|index| Some(Decision::skip(Reason::Excluded {
                key: Key::ExcludeExecutables,
                index
            }))),
            Just(Some(YES)),
        ]
    }

    proptest! {
        #[test]
        fn it_holds_what_a_map_would(steps in prop::collection::vec((1u32..3_000, decisions(), prop::bool::weighted(0.1)), 0..4_000)) {
            let (table, mut map) = (DecisionTable::new(), HashMap::new());
            for (pid, decision, clear) in steps {
                if clear {
                    table.clear(Pid(pid));
                    map.remove(&pid);
                } else {
                    table.set(Pid(pid), decision);
                    map.insert(pid, decision);
                }
            }
            for pid in 1..3_000 {
                prop_assert_eq!(table.get(Pid(pid)), map.get(&pid).copied().flatten());
            }
        }
    }
}
