//! What threads other than the owner see.

use crate::decision_table::DecisionTable;
use arc_swap::ArcSwap;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use telegen_model::{Pid, ProcessFacts, Token};
use telegen_rules::{Decision, RuleSet};

/// A process and what was decided on it.
#[derive(Clone, Debug)]
pub struct SelectedProcess {
    /// What is known of it.
    pub facts: Arc<ProcessFacts>,
    /// Whether it is profiled, and why.
    pub decision: Decision,
    /// What it was decided by, and is to be explained by: the rules that hold now may be others already.
    pub rules: Arc<RuleSet>,
}

/// A view of the selection that any thread may hold; cheap to clone.
#[derive(Clone, Debug)]
pub struct Selection(pub(crate) Arc<Published>);

/// What the owner publishes.
#[derive(Debug)]
pub(crate) struct Published {
    pub(crate) table: DecisionTable,
    pub(crate) rules: ArcSwap<RuleSet>,
    processes: RwLock<HashMap<Token, SelectedProcess, FixedState>>,
    pub(crate) targets: AtomicUsize,
    pub(crate) decided: AtomicU64,
    pub(crate) refused: AtomicU64,
    answered: AtomicU64,
    forgotten: Mutex<Vec<Pid>>,
    pub(crate) something_forgotten: AtomicBool,
}

impl Published {
    pub(crate) fn new(rules: RuleSet) -> Self {
        Self {
            table: DecisionTable::new(),
            rules: ArcSwap::from_pointee(rules),
            processes: RwLock::default(),
            targets: AtomicUsize::new(0),
            decided: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            forgotten: Mutex::default(),
            something_forgotten: AtomicBool::new(false),
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<Token, SelectedProcess, FixedState>> {
        self.processes.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, HashMap<Token, SelectedProcess, FixedState>> {
        self.processes.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take_forgotten(&self) -> Vec<Pid> {
        self.something_forgotten.store(false, Ordering::Relaxed);
        std::mem::take(&mut *self.forgotten.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Selection {
    /// Whether the process that now has a pid is profiled, and why: a look-up in a table, without a lock and without
    /// allocation.
    ///
    /// A pid under which no process has been seen is [`Decision::UNKNOWN`].
    pub fn should_profile(&self, pid: Pid) -> Decision {
        match self.0.table.get(pid) {
            Some(decision) => {
                self.0.answered.fetch_add(1, Ordering::Relaxed);
                decision
            }
            None => Decision::UNKNOWN,
        }
    }

    /// The processes that are profiled, in the order of their pids.
    pub fn filtered_processes(&self) -> Vec<SelectedProcess> {
        self.processes_where(|process| process.decision.is_profile())
    }

    /// All processes, in the order of their pids.
    pub fn all_processes(&self) -> Vec<SelectedProcess> {
        self.processes_where(|_| true)
    }

    fn processes_where(&self, wanted: impl Fn(&SelectedProcess) -> bool) -> Vec<SelectedProcess> {
        let mut found: Vec<_> = self.0.read().values().filter(|process| wanted(process)).cloned().collect();
        found.sort_unstable_by_key(|process| process.facts.key.id);
        found
    }

    /// The text of the promised log line: which rules there are.
    pub fn summary(&self) -> String {
        self.0.rules.load().summary()
    }

    /// The reason of a decision, in words.
    pub fn reason(&self, decision: Decision) -> String {
        self.0.rules.load().reason(decision)
    }

    /// The rules that hold now.
    pub fn rules(&self) -> Arc<RuleSet> {
        self.0.rules.load_full()
    }

    /// Drops what was decided on the process that now has a pid: its owner decides afresh with the next event it
    /// handles, and until then readers are told that it is unknown. Its profiling is not interrupted. While 65,536 pids
    /// wait for that already, nothing happens.
    pub fn forget(&self, pid: Pid) {
        const MOST: usize = 65_536;
        let mut forgotten = self.0.forgotten.lock().unwrap_or_else(PoisonError::into_inner);
        if forgotten.len() < MOST {
            forgotten.push(pid);
            self.0.table.clear(pid);
            self.0.something_forgotten.store(true, Ordering::Relaxed);
        }
    }

    /// How many processes are known, and how many of them are profiled.
    pub fn counts(&self) -> (usize, usize) {
        (self.0.read().len(), self.0.targets.load(Ordering::Relaxed))
    }

    /// How many processes each target has, by its name; targets that have none are among them.
    pub fn counts_by_target(&self) -> BTreeMap<Arc<str>, usize> {
        let rules = self.rules();
        let mut counts: BTreeMap<_, _> = rules.targets().map(|target| (target.name.clone(), 0)).collect();
        for process in self.0.read().values().filter(|process| process.decision.is_profile()) {
            *counts.entry(rules.target(process.decision).name.clone()).or_default() += 1;
        }
        counts
    }

    /// How many questions were answered from the table, and how many decisions were made from facts.
    pub fn cache_figures(&self) -> (u64, u64) {
        (self.0.answered.load(Ordering::Relaxed), self.0.decided.load(Ordering::Relaxed))
    }

    /// Processes that match but were refused because there were as many targets as there may be.
    pub fn refused(&self) -> u64 {
        self.0.refused.load(Ordering::Relaxed)
    }
}
