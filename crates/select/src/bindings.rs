//! Which process a pid rule means.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use telegen_model::{Pid, ProcessId};
use telegen_rules::{PidChoice, RuleSet};

/// The pid rules by pid, each with the first process that was seen there. It means that one and no other: when it has
/// exited the rule is spent, for whoever is given the pid next has another start time.
///
/// Where several rules name one pid they mean the same process, and the first gives the reason.
#[derive(Debug)]
pub(crate) struct Bindings(HashMap<Pid, (PidChoice, Option<ProcessId>), FixedState>);

impl Bindings {
    /// No rule means a process yet.
    pub(crate) fn new(rules: &RuleSet) -> Self {
        let mut bindings = HashMap::default();
        for &choice in rules.pids() {
            bindings.entry(choice.pid).or_insert((choice, None));
        }
        Self(bindings)
    }

    /// The same processes by other rules: what a rule on a pid was bound to, or spent on, it stays.
    pub(crate) fn renewed(&self, rules: &RuleSet) -> Self {
        let mut renewed = Self::new(rules);
        for (pid, (_, bound)) in &mut renewed.0 {
            *bound = self.0.get(pid).and_then(|(_, before)| *before);
        }
        renewed
    }

    /// The first rule that means this process, which a rule that has waited for its pid does from now on.
    pub(crate) fn choose(&mut self, id: ProcessId) -> Option<PidChoice> {
        let (choice, bound) = self.0.get_mut(&id.pid)?;
        (*bound.get_or_insert(id) == id).then_some(*choice)
    }
}
