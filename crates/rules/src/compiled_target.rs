//! The rules of one target, compiled.

use crate::error::RuleError;
use crate::outcome::Outcome;
use crate::rule::Rule;
use crate::{Key, MatchMode, PidChoice, Reason, RuleSpec, Target, TargetId};
use std::time::SystemTime;
use telegen_model::{Pid, ProcessFacts};

/// The rules of one target, compiled.
#[derive(Clone, Debug)]
pub(crate) struct CompiledTarget {
    pub(crate) target: Target,
    pub(crate) pids: Vec<PidChoice>,
    /// Of one type those of a workload's kinds stand together.
    pub(crate) includes: Vec<Rule>,
    /// Beside those of the flat keys.
    pub(crate) exclusions: Vec<Rule>,
    pub(crate) mode: Option<MatchMode>,
}

impl CompiledTarget {
    /// Pids that one list may have; places are told in 16 bits.
    const MOST_PIDS: usize = u16::MAX as usize;

    pub(crate) fn compile(target: Target, spec: &RuleSpec, errors: &mut Vec<RuleError>) -> Self {
        let id = target.id;
        let includes = Rule::compile_all(id, spec, |key| !key.is_exclusion(), errors);
        let exclusions = match id.place() {
            Some(_) => Rule::compile_all(id, spec, Key::is_exclusion, errors),
            // The flat ones hold for all targets.
            None => Vec::new(),
        };
        let pids = Self::pids(id, spec, errors);
        Self { target, pids, includes, exclusions, mode: spec.match_mode }
    }

    fn pids(target: TargetId, spec: &RuleSpec, errors: &mut Vec<RuleError>) -> Vec<PidChoice> {
        if let Some(pid) = spec.pids.get(Self::MOST_PIDS) {
            let message = format!("a list may have {} pids", Self::MOST_PIDS);
            let (key, index, text) = (Key::Pids, Self::MOST_PIDS, pid.to_string());
            errors.push(RuleError::Entry { target, key, index, text, message });
        }
        let choice = |key, index, pid| PidChoice { target, key, index, pid: Pid(pid) };
        let single = spec.pid.map(|pid| choice(Key::Pid, 0, pid));
        let listed = (0..=u16::MAX).zip(&spec.pids).map(|(index, &pid)| choice(Key::Pids, index, pid));
        single.into_iter().chain(listed).collect()
    }

    /// Whether it still selects at a moment.
    pub(crate) fn is_live(&self, at: Option<SystemTime>) -> bool {
        self.target.until.is_none_or(|until| at.is_none_or(|at| until > at))
    }

    /// Whether there is no rule that a process would have to match.
    pub(crate) fn includes_everything(&self) -> bool {
        self.includes.is_empty() && self.pids.is_empty()
    }

    /// The include rules, those of one type together.
    pub(crate) fn types(&self) -> impl Iterator<Item = &[Rule]> {
        self.includes.chunk_by(|a, b| a.key.fact() == b.key.fact())
    }

    /// Whether its include rules match, and which; or which one waits for a fact. A pid is no type, so where only pids
    /// are configured nothing matches.
    pub(crate) fn include(&self, facts: &ProcessFacts) -> Outcome<Reason> {
        if self.includes_everything() {
            return Outcome::Yes(Reason::NoIncludeRules);
        }
        let (found, one) = match self.mode.unwrap_or(MatchMode::Any) {
            MatchMode::Any => (one_of(&self.includes, facts), true),
            MatchMode::All => (self.every_type(facts), self.types().count() == 1),
        };
        match found {
            Outcome::No => Outcome::No,
            Outcome::Unknown((key, _)) => Outcome::Unknown(Reason::Awaiting { key }),
            Outcome::Yes((key, index)) if one => Outcome::Yes(Reason::Included { key, index }),
            Outcome::Yes(_) => Outcome::Yes(Reason::AllIncluded),
        }
    }

    fn every_type(&self, facts: &ProcessFacts) -> Outcome<(Key, u16)> {
        let mut all = Outcome::No;
        for rules in self.types() {
            all = match (one_of(rules, facts), all) {
                (Outcome::No, _) => return Outcome::No,
                (_, unknown @ Outcome::Unknown(_)) => unknown,
                (this, _) => this,
            };
        }
        all
    }
}

/// Whether one of the rules matches, and which is the first to: its key, and the place in its list.
pub(crate) fn one_of(rules: &[Rule], facts: &ProcessFacts) -> Outcome<(Key, u16)> {
    rules
        .iter()
        .fold(Outcome::No, |found, rule| found.or(|| rule.matches(facts).map(|index| (rule.key, index))))
}
