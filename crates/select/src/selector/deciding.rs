//! What is decided on a process, within the bound on targets, and what follows from it.

use super::Selector;
use crate::selection::SelectedProcess;
use crate::{Operation, Standing};
use std::sync::atomic::Ordering;
use telegen_model::Token;
use telegen_rules::{Decision, Reason, RuleSet, Target, Verdict};

impl Selector {
    /// Decides on a process that is known, and says what that changes.
    pub(super) fn decide(&mut self, token: Token, out: &mut Vec<Operation>) {
        self.decide_after(&self.rules.clone(), token, out);
    }

    /// The same for a process on which other rules have decided before.
    pub(super) fn decide_after(&mut self, rules_before: &RuleSet, token: Token, out: &mut Vec<Operation>) {
        let Some(process) = self.processes.get(&token) else { return };
        let before = process.decision;
        let after = self.decision_for(token);
        let Some(process) = self.processes.get_mut(&token) else { return };
        process.decision = after;
        if after.reason == Reason::TooManyTargets {
            self.refused.insert(token);
        } else {
            self.refused.remove(&token);
        }
        let standing = match after.verdict {
            Verdict::Profile => {
                let target = self.numbers.number(after.target);
                Standing::Profile { by_pid: after.is_by_pid(), follow: process.followed, target }
            }
            Verdict::Skip => Standing::Skip,
            Verdict::Pending => Standing::Undecided,
        };
        if process.standing != standing {
            process.standing = standing;
            out.push(Operation::Set { key: process.key, token, standing });
        }
        let (facts, parent) = (process.facts.clone(), process.parent);
        match (before.is_profile(), after.is_profile()) {
            (false, true) => {
                self.set_targets(self.targets + 1);
                out.push(Operation::Start { token, facts: facts.clone(), decision: after, parent });
            }
            (true, false) => {
                self.set_targets(self.targets - 1);
                out.push(Operation::End { token });
            }
            (true, true) if !is_same(rules_before.target(before), self.rules.target(after)) => {
                out.push(Operation::Retarget { token, facts: facts.clone(), decision: after });
            }
            _ => {}
        }
        self.published.table.set(facts.key.id.pid, Some(after));
        let rules = self.rules.clone();
        self.published.write().insert(token, SelectedProcess { facts, decision: after, rules });
    }

    fn decision_for(&mut self, token: Token) -> Decision {
        let process = &self.processes[&token];
        self.published.decided.fetch_add(1, Ordering::Relaxed);
        let id = process.facts.key.id;
        // A pid rule is bound to the first process seen under its pid, whatever else may choose that one.
        let chosen = self.bindings.choose(id);
        let decision = if process.followed {
            Decision::profile(Reason::Followed)
        } else {
            self.rules.decide(&process.facts, chosen, id.pid == self.agent)
        };
        if decision.is_profile() && !process.decision.is_profile() && self.targets >= self.limits.max_targets
        {
            if process.decision.reason != Reason::TooManyTargets {
                self.published.refused.fetch_add(1, Ordering::Relaxed);
            }
            return Decision::skip(Reason::TooManyTargets);
        }
        decision
    }

    /// Decides on a process of which something else is known than before, and says so if it is a target as before.
    pub(super) fn decide_with_other_facts(&mut self, token: Token, out: &mut Vec<Operation>) {
        let Some(process) = self.processes.get(&token) else { return };
        let (was_target, facts) = (process.decision.is_profile(), process.facts.clone());
        self.decide(token, out);
        if was_target && self.processes.get(&token).is_some_and(|process| process.decision.is_profile()) {
            out.push(Operation::Facts { token, facts });
        }
    }

    pub(super) fn decide_forgotten(&mut self, out: &mut Vec<Operation>) {
        for pid in self.published.take_forgotten() {
            if let Some(&token) = self.current.get(&pid) {
                self.decide(token, out);
            }
        }
    }

    /// So many targets at the most from now on; if there are more, the newest are targets no longer.
    pub fn set_max_targets(&mut self, max_targets: usize, out: &mut Vec<Operation>) {
        self.limits.max_targets = max_targets;
        if self.targets > max_targets {
            let mut tokens: Vec<Token> = self.processes.keys().copied().collect();
            tokens.retain(|token| self.processes[token].decision.is_profile());
            tokens.sort_unstable();
            for token in tokens.drain(max_targets..) {
                self.refuse(token, out);
            }
        }
        self.admit_refused(out);
    }

    /// A target gives its place back, though it matches.
    fn refuse(&mut self, token: Token, out: &mut Vec<Operation>) {
        let Some(process) = self.processes.get_mut(&token) else { return };
        process.decision = Decision::skip(Reason::TooManyTargets);
        process.standing = Standing::Skip;
        let (key, facts, decision) = (process.key, process.facts.clone(), process.decision);
        self.refused.insert(token);
        self.published.refused.fetch_add(1, Ordering::Relaxed);
        self.set_targets(self.targets - 1);
        out.push(Operation::Set { key, token, standing: Standing::Skip });
        out.push(Operation::End { token });
        self.published.table.set(facts.key.id.pid, Some(decision));
        let rules = self.rules.clone();
        self.published.write().insert(token, SelectedProcess { facts, decision, rules });
    }

    /// Gives places that have fallen free to those that were refused.
    pub(super) fn admit_refused(&mut self, out: &mut Vec<Operation>) {
        while self.targets < self.limits.max_targets
            && let Some(token) = self.refused.pop_first()
        {
            self.decide(token, out);
        }
    }

    pub(super) fn set_targets(&mut self, targets: usize) {
        self.targets = targets;
        self.published.targets.store(targets, Ordering::Relaxed);
    }
}

/// Whether what holds for the processes of a target is the same for those of another: a place in a list may be another's
/// by now.
fn is_same(before: &Target, after: &Target) -> bool {
    (before.id, &before.name, before.sample_hz) == (after.id, &after.name, after.sample_hz)
}
