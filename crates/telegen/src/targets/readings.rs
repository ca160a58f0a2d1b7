//! What several include types without a `match` come to.

use super::{Decided, decide_all, find};
use crate::failure::{Failure, Status};
use crate::pods::PodSource;
use std::time::SystemTime;
use telegen_rules::{MatchMode, RuleSet, TargetId, Warning};

/// How many processes each reading of several include types without a `match` would select now, target by target.
pub(crate) fn compare_readings(rules: &RuleSet) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    for warning in rules.warnings() {
        let Warning::ImplicitMatch { target, name } = warning else { continue };
        let count = |mode| count_selected(&with_mode(rules, target, mode)?, target);
        let of = if target == TargetId::DEFAULT { String::new() } else { format!("target `{name}`: ") };
        lines.push(format!(
            "  {of}match: any would select {} processes now, match: all {}",
            count(MatchMode::Any)?,
            count(MatchMode::All)?
        ));
    }
    Ok(lines)
}

/// The same rules with a `match` for one target.
fn with_mode(rules: &RuleSet, target: TargetId, mode: MatchMode) -> Result<RuleSet, Failure> {
    let mut spec = rules.spec().clone();
    let of_target = match target.place().and_then(|place| spec.targets.get_mut(place)) {
        Some(named) => &mut named.rules,
        None => &mut spec.rules,
    };
    of_target.match_mode = Some(mode);
    let rules = RuleSet::compile(&spec).map_err(|_| Failure::message(Status::Failed, "the rules changed"))?;
    Ok(rules.at(SystemTime::now()))
}

fn count_selected(rules: &RuleSet, target: TargetId) -> Result<usize, Failure> {
    let decided = decide_all(rules, find(rules, &mut PodSource::Environment)?.processes);
    let selected = |process: &&Decided| process.decision.is_profile() && process.decision.target == target;
    Ok(decided.iter().filter(selected).count())
}
