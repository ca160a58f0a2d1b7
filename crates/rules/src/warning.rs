//! What is allowed but may not be what was meant.

use crate::{RuleSet, Target, TargetId};
use std::sync::Arc;

/// Something that is allowed but may not be what was meant.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// Two or more include types of a target, and no `match` to say how they combine.
    #[error(
        "{}several include types and no `match`: a process is profiled if any one of them matches (match: any); \
         write `match: any` to confirm, or `match: all` if every type must match",
        of(*target, name)
    )]
    ImplicitMatch {
        /// Which target.
        target: TargetId,
        /// Its name.
        name: Arc<str>,
    },
    /// A target that selects nothing any more.
    #[error("{}its `until` is over, so that it selects nothing", of(*target, name))]
    Ended {
        /// Which target.
        target: TargetId,
        /// Its name.
        name: Arc<str>,
    },
}

/// Which target it is about, where there can be several.
fn of(target: TargetId, name: &str) -> String {
    if target == TargetId::DEFAULT { String::new() } else { format!("target `{name}`: ") }
}

impl RuleSet {
    /// What may not be what was meant. Pids are no type here: they are chosen whichever way the types combine.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        for compiled in &self.compiled.targets {
            let Target { id: target, name, .. } = compiled.target.clone();
            if !compiled.is_live(self.moment) {
                warnings.push(Warning::Ended { target, name });
            } else if compiled.mode.is_none() && compiled.types().count() > 1 {
                warnings.push(Warning::ImplicitMatch { target, name });
            }
        }
        warnings
    }
}
