//! What several include types without a `match` come to.

use super::{Decided, decide_all, find};
use crate::failure::{Failure, Status};
use crate::output::counted;
use crate::pods::PodSource;
use std::time::SystemTime;
use telegen_rules::{MatchMode, RuleSet, TargetId, Warning};

/// How many processes each reading of several include types without a `match` would select now, target by target.
pub(crate) fn compare_readings(rules: &RuleSet) -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    for warning in rules.warnings() {
        let Warning::ImplicitMatch { target, name } = warning else { continue };
        let count = |mode| count_selected(&with_mode(rules, target, mode)?, target);
        let of = (target != TargetId::DEFAULT).then_some(&*name);
        lines.push(line(of, count(MatchMode::Any)?, count(MatchMode::All)?));
    }
    Ok(lines)
}

fn line(target: Option<&str>, any: usize, all: usize) -> String {
    let of = target.map_or(String::new(), |name| format!("target `{name}`: "));
    let any = counted(any as u64, "process", "processes");
    format!("  {of}match: any would select {any} now, match: all {all}")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_readings_are_told_in_numbers() {
        assert_eq!(line(None, 2, 1), "  match: any would select 2 processes now, match: all 1");
        assert_eq!(line(None, 1, 0), "  match: any would select 1 process now, match: all 0");
        assert_eq!(
            line(Some("payments"), 0, 0),
            "  target `payments`: match: any would select 0 processes now, match: all 0"
        );
    }
}
