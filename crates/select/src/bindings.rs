//! Which process a pid rule means.

use telegen_model::ProcessId;
use telegen_rules::{PidChoice, RuleSet};

/// A pid rule means the first process that is seen under its pid. When that one has exited the rule is spent: whoever
/// is given the pid next was not meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Binding {
    Waiting,
    Bound(ProcessId),
    Spent,
}

#[derive(Debug)]
pub(crate) struct Bindings(Vec<(PidChoice, Binding)>);

impl Bindings {
    pub(crate) fn new(rules: &RuleSet) -> Self {
        Self(rules.pids().iter().map(|&choice| (choice, Binding::Waiting)).collect())
    }

    /// The first rule that means this process, binding it if it was waiting.
    pub(crate) fn choose(&mut self, id: ProcessId) -> Option<PidChoice> {
        let mut chosen = None;
        for (choice, binding) in self.0.iter_mut().filter(|(choice, _)| choice.pid == id.pid) {
            if *binding == Binding::Waiting {
                *binding = Binding::Bound(id);
            }
            if *binding == Binding::Bound(id) && chosen.is_none() {
                chosen = Some(*choice);
            }
        }
        chosen
    }

    /// A process has exited.
    pub(crate) fn spend(&mut self, id: ProcessId) {
        for (_, binding) in &mut self.0 {
            if *binding == Binding::Bound(id) {
                *binding = Binding::Spent;
            }
        }
    }
}
