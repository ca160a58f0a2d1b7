//! What became of tests and checks.

use crate::slowest::Timed;
use std::fmt;

/// How many passed, and which did not.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    /// What failed, and what is known of why.
    pub(crate) failed: Vec<String>,
    /// What could not run, and why.
    pub(crate) skipped: Vec<String>,
    /// How long tests took, as far as that is known.
    pub(crate) timed: Vec<Timed>,
}

impl Tally {
    /// One check that passed.
    pub(crate) fn pass() -> Self {
        Self { passed: 1, ..Self::default() }
    }

    /// One check that failed.
    pub(crate) fn fail(what: impl Into<String>) -> Self {
        Self { failed: vec![what.into()], ..Self::default() }
    }

    /// One check that could not run.
    pub(crate) fn skip(what: impl Into<String>) -> Self {
        Self { skipped: vec![what.into()], ..Self::default() }
    }

    /// Adds another's counts, its names prefixed by where they come from.
    pub(crate) fn add(&mut self, place: &str, other: &Self) {
        let placed = |names: &[String]| -> Vec<String> {
            names.iter().map(|name| format!("{place}: {name}")).collect()
        };
        self.passed += other.passed;
        self.failed.extend(placed(&other.failed));
        self.skipped.extend(placed(&other.skipped));
        self.timed.extend_from_slice(&other.timed);
    }

    /// Adds what became of tests of the same place.
    pub(crate) fn take(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
        self.skipped.extend(other.skipped);
        self.timed.extend(other.timed);
    }

    /// Whether something passed and nothing failed: a run of nothing is no success.
    pub(crate) fn is_success(&self) -> bool {
        self.failed.is_empty() && self.passed > 0
    }
}

/// The line of totals.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped, .. } = self;
        write!(f, "{passed} passed, {} failed, {} skipped", failed.len(), skipped.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_added_and_names_say_where_from() {
        let mut total = Tally::pass();
        total.add("lints", &Tally::fail("clippy"));
        total.add("tests", &Tally { passed: 3, skipped: vec!["a: no runc".into()], ..Tally::default() });
        assert_eq!(total.to_string(), "4 passed, 1 failed, 1 skipped");
        assert_eq!(total.failed, ["lints: clippy"]);
        assert_eq!(total.skipped, ["tests: a: no runc"]);
    }

    #[test]
    fn neither_a_failure_nor_a_run_of_nothing_is_a_success() {
        assert!(Tally::pass().is_success());
        assert!(!Tally { passed: 9, ..Tally::fail("one") }.is_success());
        assert!(!Tally::skip("all").is_success());
        assert!(!Tally::default().is_success());
    }
}
