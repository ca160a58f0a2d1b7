//! Containers all of whose processes are one target's.

use super::translate::{exclusions, subject};
use crate::compiled_target::{CompiledTarget, one_of};
use crate::outcome::Outcome;
use crate::rule::Rule;
use crate::{MatchMode, RuleSet, TargetId};
use std::sync::Arc;
use telegen_model::{Container, Generation, Pid, PodFacts, ProcessFacts, ProcessId, ProcessKey, StartTime};

/// What is sure of every process of a container, whatever it is called.
enum Sure {
    Yes,
    No,
    Nothing,
}

impl RuleSet {
    /// The target that surely has every process of a container, as long as no exclusion among [`RuleSet::kernel_rules`]
    /// matches it and it is not the agent; `None` if there is none, or if it depends on more than the container.
    pub fn container_target(&self, container: &Arc<Container>, pod: &PodFacts) -> Option<TargetId> {
        // Somebody's pid may have been named for another target.
        if !self.pids().is_empty() || !self.kernel_rules().knows_exclusions() {
            return None;
        }
        let facts = nobody_in(container.clone(), pod.clone());
        let excluded = self.compiled.exclusions.iter().filter(|rule| is_of_container(rule));
        if excluded.map(|rule| rule.matches(&facts)).any(|outcome| outcome != Outcome::No) {
            return None;
        }
        for target in self.live() {
            let id = target.target.id;
            if id != TargetId::DEFAULT && exclusions(self.spec_of(id)?).is_none_or(|own| own.has_any()) {
                return None;
            }
            match includes(target, &facts) {
                Sure::Yes => return Some(id),
                Sure::No => {}
                Sure::Nothing => return None,
            }
        }
        None
    }
}

fn is_of_container(rule: &Rule) -> bool {
    subject(rule.key).is_none()
}

fn includes(target: &CompiledTarget, facts: &ProcessFacts) -> Sure {
    if target.includes_everything() {
        return Sure::Yes;
    }
    let hidden = target.includes.iter().any(|rule| !is_of_container(rule));
    let types = target.types().filter(|rules| rules.iter().all(is_of_container));
    let outcomes: Vec<Outcome<_>> = types.map(|rules| one_of(rules, facts)).collect();
    let has = |wanted: fn(&Outcome<(crate::Key, u16)>) -> bool| outcomes.iter().any(wanted);
    let (yes, no) = (has(|one| matches!(one, Outcome::Yes(_))), has(|one| *one == Outcome::No));
    let unknown = has(|one| matches!(one, Outcome::Unknown(_)));
    match target.mode.unwrap_or(MatchMode::Any) {
        MatchMode::Any if yes => Sure::Yes,
        MatchMode::All if no => Sure::No,
        MatchMode::All if yes && !unknown && !hidden => Sure::Yes,
        MatchMode::Any if !unknown && !hidden => Sure::No,
        _ => Sure::Nothing,
    }
}

/// A process of which nothing is known but where it runs.
fn nobody_in(container: Arc<Container>, pod: PodFacts) -> ProcessFacts {
    let id = ProcessId { pid: Pid(0), start: StartTime(0) };
    ProcessFacts {
        key: ProcessKey { id, generation: Generation(0) },
        parent: Pid(0),
        kernel_thread: false,
        comm: Box::default(),
        executable: None,
        argv0: None,
        container: Some(container),
        pod,
    }
}
