//! Decisions by pid, for readers on any thread.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use telegen_model::Pid;
use telegen_rules::Decision;

const LEAF: usize = 512;
/// Linux's PID_MAX_LIMIT on 64 bits.
const PIDS: usize = 4 * 1024 * 1024;

/// A page table of decisions: pids are small numbers that lie close together, so a look-up is two loads, and memory is
/// taken in leaves of 4 KiB where there are pids.
#[derive(Debug)]
pub(crate) struct DecisionTable {
    leaves: Box<[OnceLock<Box<Leaf>>]>,
}

type Leaf = [AtomicU64; LEAF];

impl DecisionTable {
    pub(crate) fn new() -> Self {
        Self { leaves: (0..PIDS / LEAF).map(|_| OnceLock::new()).collect() }
    }

    pub(crate) fn get(&self, pid: Pid) -> Option<Decision> {
        let leaf = self.leaves.get(pid.0 as usize / LEAF)?.get()?;
        Decision::from_bits(leaf[pid.0 as usize % LEAF].load(Ordering::Acquire))
    }

    pub(crate) fn set(&self, pid: Pid, decision: Option<Decision>) {
        let Some(slot) = self.leaves.get(pid.0 as usize / LEAF) else { return };
        let bits = decision.map_or(0, Decision::to_bits);
        if bits == 0 && slot.get().is_none() {
            return;
        }
        let leaf = slot.get_or_init(|| Box::new(std::array::from_fn(|_| AtomicU64::new(0))));
        leaf[pid.0 as usize % LEAF].store(bits, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use telegen_rules::Reason;

    #[test]
    fn every_pid_has_its_own_place() {
        let table = DecisionTable::new();
        let yes = Decision::profile(Reason::NoIncludeRules);
        for pid in [0, 1, 511, 512, 4_194_303] {
            assert_eq!(table.get(Pid(pid)), None);
            table.set(Pid(pid), Some(yes));
        }
        assert_eq!(table.get(Pid(2)), None);
        assert_eq!(table.get(Pid(512)), Some(yes));
        table.set(Pid(512), None);
        assert_eq!((table.get(Pid(512)), table.get(Pid(511))), (None, Some(yes)));
    }

    #[test]
    fn a_pid_that_cannot_be_is_not_there() {
        let table = DecisionTable::new();
        table.set(Pid(u32::MAX), Some(Decision::UNKNOWN));
        assert_eq!(table.get(Pid(u32::MAX)), None);
    }
}
