//! What is missing for a process to be selected.

mod miss;

use crate::compiled_target::CompiledTarget;
use crate::outcome::Outcome;
use crate::words::awaited;
use crate::{Decision, Key, MatchMode, Reason, RuleSet, TargetId};
pub use miss::{Actual, Miss};
use std::fmt;
use telegen_model::ProcessFacts;

/// What is missing for a process to be selected by one target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NearMiss {
    /// The target.
    pub target: TargetId,
    /// How its types are combined.
    pub mode: MatchMode,
    /// The keys that do match.
    pub matched: Vec<Key>,
    /// The keys that do not.
    pub missed: Vec<Miss>,
    /// The keys that wait for a fact, those of exclusions included, which may be the flat ones.
    pub awaited: Vec<(TargetId, Key)>,
}

impl RuleSet {
    /// Why a process is not selected, target by target and type by type, the nearest first; nothing unless that is for
    /// want of a matching include rule or of a fact.
    pub fn near_misses(&self, facts: &ProcessFacts, decision: Decision) -> Vec<NearMiss> {
        if !matches!(decision.reason, Reason::NotIncluded | Reason::Awaiting { .. }) {
            return Vec::new();
        }
        let mut misses: Vec<NearMiss> =
            self.live().filter_map(|target| self.near_miss(target, facts)).collect();
        misses.sort_by_key(NearMiss::distance);
        misses
    }

    fn near_miss(&self, target: &CompiledTarget, facts: &ProcessFacts) -> Option<NearMiss> {
        let id = target.target.id;
        let spec = self.spec_of(id)?;
        let mode = target.mode.unwrap_or(MatchMode::Any);
        let mut near = NearMiss { target: id, mode, matched: vec![], missed: vec![], awaited: vec![] };
        for rules in target.types() {
            let outcomes: Vec<_> = rules.iter().map(|rule| (rule, rule.matches(facts))).collect();
            let matches = |outcome: &Outcome<u16>| matches!(outcome, Outcome::Yes(_));
            let type_matches = outcomes.iter().any(|(_, outcome)| matches(outcome));
            for (rule, outcome) in outcomes {
                match outcome {
                    Outcome::Yes(_) => near.matched.push(rule.key),
                    // Another key of the same type does.
                    _ if type_matches => {}
                    Outcome::Unknown(_) => near.awaited.push((id, rule.key)),
                    Outcome::No => near.missed.extend(miss::of(rule, spec, facts)),
                }
            }
        }
        for (owner, rules) in [(TargetId::DEFAULT, &self.compiled.exclusions), (id, &target.exclusions)] {
            let waiting = rules.iter().filter(|rule| matches!(rule.matches(facts), Outcome::Unknown(_)));
            near.awaited.extend(waiting.map(|rule| (owner, rule.key)));
        }
        (!near.missed.is_empty() || !near.awaited.is_empty()).then_some(near)
    }
}

impl NearMiss {
    /// How far the process is from being selected: the smaller, the nearer.
    pub fn distance(&self) -> usize {
        let distances = self.missed.iter().map(|miss| miss.distance);
        match self.mode {
            MatchMode::Any => distances.min().unwrap_or(0),
            MatchMode::All => distances.fold(0, usize::saturating_add),
        }
    }
}

/// `target_process_names matches; target_namespaces does not: namespace is "dev", closest rule "prod-*"`
impl fmt::Display for NearMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = self.target;
        let matched = self.matched.iter().map(|&key| format!("{} matches", of.path(key)));
        let missed = self.missed.iter().map(|miss| format!("{} does not: {miss}", of.path(miss.key)));
        let waiting = self
            .awaited
            .iter()
            .map(|&(target, key)| format!("{} waits for {}", target.path(key), awaited(key)));
        f.write_str(&matched.chain(missed).chain(waiting).collect::<Vec<_>>().join("; "))
    }
}
