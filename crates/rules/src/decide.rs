//! The order of decision.

use crate::compiled_target::{CompiledTarget, one_of};
use crate::outcome::Outcome;
use crate::{Decision, Key, PidChoice, PodAnnotations, Reason, RuleSet};
use telegen_model::{PodFacts, ProcessFacts};

/// The annotation by which a pod says whether it wants to be profiled.
pub const PROFILE_ANNOTATION: &str = "telegen.io/profile";

impl RuleSet {
    /// Decides on a process. `chosen` is the pid rule that is bound to it, if there is one; `is_agent` whether it is
    /// the process that asks.
    ///
    /// Targets are tried in order, and the first to say yes owns the process; one that waits for a fact does not hold up
    /// those behind it. What is excluded by the flat keys or by the pod's own wish is out of every target, unless its
    /// pid is named.
    pub fn decide(&self, facts: &ProcessFacts, chosen: Option<PidChoice>, is_agent: bool) -> Decision {
        if facts.kernel_thread {
            return Decision::skip(Reason::KernelThread);
        }
        if is_agent && !self.compiled.spec.profile_self {
            return Decision::skip(Reason::Agent);
        }
        let excluded = self.exclusion(facts);
        if let Outcome::Yes((key, index)) = excluded {
            return chosen.map_or(Decision::skip(Reason::Excluded { key, index }), by_pid);
        }
        let mut undecided = Decision::skip(Reason::NotIncluded);
        for target in self.live() {
            if let Some(choice) = chosen.filter(|choice| choice.target == target.target.id) {
                return by_pid(choice);
            }
            let decision = decide_for(target, facts, excluded);
            if decision.is_profile() {
                return decision;
            }
            undecided = weightier(undecided, decision);
        }
        let wished = match self.compiled.spec.pod_annotations {
            PodAnnotations::Both => decide_by_wish(facts, excluded),
            PodAnnotations::Off | PodAnnotations::OptOut => undecided,
        };
        if wished.is_profile() { wished } else { weightier(undecided, wished) }
    }

    /// Whether the process is out of every target, and by which rule.
    fn exclusion(&self, facts: &ProcessFacts) -> Outcome<(Key, u16)> {
        one_of(&self.compiled.exclusions, facts).or(|| match self.compiled.spec.pod_annotations {
            PodAnnotations::Off => Outcome::No,
            PodAnnotations::OptOut | PodAnnotations::Both => annotated(facts, "false"),
        })
    }
}

fn by_pid(choice: PidChoice) -> Decision {
    Decision::profile(Reason::Pid { key: choice.key, index: choice.index }).of(choice.target)
}

/// What one target says of a process that is not surely excluded.
fn decide_for(target: &CompiledTarget, facts: &ProcessFacts, excluded: Outcome<(Key, u16)>) -> Decision {
    let id = target.target.id;
    let included = target.include(facts);
    if included == Outcome::No {
        return Decision::skip(Reason::NotIncluded);
    }
    match (one_of(&target.exclusions, facts), excluded, included) {
        (Outcome::Yes((key, index)), ..) => Decision::skip(Reason::Excluded { key, index }).of(id),
        (Outcome::Unknown((key, _)), ..) => Decision::pending(Reason::Awaiting { key }).of(id),
        (Outcome::No, Outcome::Unknown((key, _)), _) => Decision::pending(Reason::Awaiting { key }),
        (.., Outcome::Unknown(reason)) => Decision::pending(reason).of(id),
        (.., Outcome::Yes(reason)) => Decision::profile(reason).of(id),
        (.., Outcome::No) => Decision::skip(Reason::NotIncluded),
    }
}

/// What the pod's own wish makes of a process that no target has selected and that is not surely excluded.
fn decide_by_wish(facts: &ProcessFacts, excluded: Outcome<(Key, u16)>) -> Decision {
    match (excluded, annotated(facts, "true")) {
        (_, Outcome::No) => Decision::skip(Reason::NotIncluded),
        (Outcome::No, Outcome::Yes((key, index))) => Decision::profile(Reason::Included { key, index }),
        (Outcome::Yes((key, index)), _) => Decision::skip(Reason::Excluded { key, index }),
        (Outcome::Unknown((key, _)), _) | (Outcome::No, Outcome::Unknown((key, _))) => {
            Decision::pending(Reason::Awaiting { key })
        }
    }
}

/// Whether the pod is annotated with this wish.
fn annotated(facts: &ProcessFacts, wish: &str) -> Outcome<(Key, u16)> {
    let is_annotated = match &facts.pod {
        PodFacts::InNone | PodFacts::NotHere => false,
        PodFacts::Pending => return Outcome::Unknown((Key::PodAnnotations, 0)),
        PodFacts::Known { pod, .. } => {
            let annotations = pod.details.as_ref().map(|details| &details.annotations);
            annotations.and_then(|annotations| annotations.get(PROFILE_ANNOTATION)).map(AsRef::as_ref)
                == Some(wish)
        }
    };
    if is_annotated { Outcome::Yes((Key::PodAnnotations, 0)) } else { Outcome::No }
}

/// Of two decisions not to profile: one that may still change, else the first that names a rule.
fn weightier(a: Decision, b: Decision) -> Decision {
    let weight = |decision: Decision| match decision.reason {
        Reason::NotIncluded => 0,
        Reason::Excluded { .. } => 1,
        _ => 2,
    };
    if weight(b) > weight(a) { b } else { a }
}
