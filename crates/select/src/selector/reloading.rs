//! Other rules, while processes run.

use super::Selector;
use crate::bindings::Bindings;
use crate::{Operation, TargetSettings};
use std::sync::Arc;
use telegen_model::Token;
use telegen_rules::{RuleSet, Target, TargetId};

/// How often targets are sampled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rates {
    /// Targets that do not say it themselves, in Hz.
    pub default_hz: u32,
    /// The clock, which is at least as fast as the fastest of them.
    pub clock_hz: u32,
}

impl Default for Rates {
    fn default() -> Self {
        Self { default_hz: 99, clock_hz: 99 }
    }
}

impl Selector {
    /// Names the targets of the rules that it was made with; to be called before anything has happened.
    pub fn name_targets(&mut self, out: &mut Vec<Operation>) {
        let settings = settings_of(&self.rules, self.rates);
        let named = self.numbers.assign(&settings).into_iter();
        out.extend(named.map(|(number, settings)| Operation::Name { number, settings }));
    }

    /// Other rules from now on. Processes for which nothing changes are not mentioned.
    pub fn reload(&mut self, rules: RuleSet, rates: Rates, out: &mut Vec<Operation>) {
        self.rates = rates;
        self.bindings = Bindings::new(&rules);
        self.apply(rules, out);
    }

    /// The same rules as they hold at another moment: as a reload, but a rule on a pid that is spent stays so.
    pub fn renew(&mut self, rules: RuleSet, out: &mut Vec<Operation>) {
        self.bindings = self.bindings.renewed(&rules);
        self.apply(rules, out);
    }

    fn apply(&mut self, rules: RuleSet, out: &mut Vec<Operation>) {
        let before = std::mem::replace(&mut self.rules, Arc::new(rules));
        self.published.rules.store(self.rules.clone());
        self.name_targets(out);
        // In the order of their tokens, so that beyond the limit it is the newest that are refused; first those that
        // leave, so that there is room for those who come.
        let mut tokens: Vec<Token> = self.processes.keys().copied().collect();
        tokens.sort_unstable_by_key(|token| (!self.processes[token].decision.is_profile(), *token));
        for token in tokens {
            self.decide_after(&before, token, out);
        }
    }
}

/// The targets of rules, and how they are sampled.
fn settings_of(rules: &RuleSet, rates: Rates) -> Vec<(TargetId, TargetSettings)> {
    let Rates { default_hz, clock_hz } = rates;
    let settings = |target: &Target| {
        let sample_hz = target.sample_hz.unwrap_or(default_hz);
        (target.id, TargetSettings { name: target.name.clone(), sample_hz, clock_hz })
    };
    rules.targets().map(settings).collect()
}
