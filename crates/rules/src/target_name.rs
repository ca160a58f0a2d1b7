//! What a target may be called.

use crate::error::RuleError;
use crate::{Target, TargetSpec};
use std::collections::BTreeSet;

/// Characters that a name may have: it becomes a label of samples and series.
const LONGEST: usize = 63;

/// Names what is no name, or the name of another.
pub(crate) fn check_names(targets: &[TargetSpec], errors: &mut Vec<RuleError>) {
    let mut before = BTreeSet::new();
    for (place, target) in targets.iter().enumerate() {
        let name = target.name.as_str();
        if let Err(message) = check(name, !before.insert(name)) {
            errors.push(RuleError::Name { place, name: name.into(), message });
        }
    }
}

fn check(name: &str, is_taken: bool) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > LONGEST || !name.chars().all(is_plain) {
        return Err(format!("a name has 1 to {LONGEST} letters, digits, `-`, `_` and `.`"));
    }
    if name == Target::DEFAULT_NAME {
        return Err("this is the target of the keys outside of `targets`".into());
    }
    if is_taken {
        return Err("another target has this name".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_and_each_is_used_once() {
        let spec = |name: &str| TargetSpec { name: name.into(), ..TargetSpec::default() };
        let mut errors = Vec::new();
        check_names(&["a", "b.c-d_E1", "default", "a", "", "a b"].map(spec), &mut errors);
        let places: Vec<String> = errors.iter().map(|error| error.place().0).collect();
        assert_eq!(places, ["targets[2].name", "targets[3].name", "targets[4].name", "targets[5].name"]);
    }

    #[test]
    fn a_name_is_no_longer_than_a_label() {
        let long = "a".repeat(63);
        assert!(check(&long, false).is_ok() && check(&(long.clone() + "a"), false).is_err());
        assert!(check(&long, true).is_err(), "it is taken");
    }
}
