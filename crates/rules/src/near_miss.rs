//! What is missing for a process to be selected.

use crate::{Decision, Key, MatchMode, Reason, RuleSet};
use std::fmt;
use telegen_model::ProcessFacts;

/// An include type that does not match, and what it was compared with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Miss {
    /// The type.
    pub key: Key,
    /// What the process has.
    pub actual: Vec<String>,
    /// The pattern that comes closest.
    pub closest: String,
    /// Changes of one character between the closest pattern and what the process has.
    pub distance: usize,
}

/// What is missing for a process to be selected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NearMiss {
    /// The types that do match.
    pub matched: Vec<Key>,
    /// The types that do not.
    pub missed: Vec<Miss>,
}

impl RuleSet {
    /// Why a process is not selected, type by type; `None` unless that is for want of a matching include rule.
    pub fn near_miss(&self, facts: &ProcessFacts, decision: Decision) -> Option<NearMiss> {
        if decision.reason != Reason::NotIncluded {
            return None;
        }
        let matches: Vec<_> = self.include_matches(facts).collect();
        let matched = matches.iter().filter(|(_, index)| index.is_some()).map(|&(key, _)| key).collect();
        let missed = matches
            .iter()
            .filter(|(_, index)| index.is_none())
            .filter_map(|&(key, _)| miss(key, self.spec().patterns(key), facts))
            .collect();
        Some(NearMiss { matched, missed })
    }
}

impl NearMiss {
    /// How far the process is from being selected: the smaller, the nearer.
    pub fn distance(&self, mode: MatchMode) -> usize {
        let distances = self.missed.iter().map(|miss| miss.distance);
        match mode {
            MatchMode::Any => distances.min().unwrap_or(usize::MAX),
            MatchMode::All => distances.fold(0, usize::saturating_add),
        }
    }
}

impl fmt::Display for NearMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, key) in self.matched.iter().enumerate() {
            write!(f, "{}{} matches", if at > 0 { "; " } else { "" }, key.name())?;
        }
        for (at, miss) in self.missed.iter().enumerate() {
            let separator = if at > 0 || !self.matched.is_empty() { "; " } else { "" };
            let actual = match (miss.actual.is_empty(), miss.key) {
                (false, _) => miss.actual.join(", "),
                (true, Key::ContainerIds) => "none".into(),
                (true, _) => "unknown".into(),
            };
            write!(f, "{separator}{} does not: {} is {actual}", miss.key.name(), miss.key.subject())?;
            write!(f, ", closest rule {:?}", miss.closest)?;
        }
        Ok(())
    }
}

fn miss(key: Key, patterns: &[String], facts: &ProcessFacts) -> Option<Miss> {
    let actual: Vec<&str> = match key {
        Key::Executables => facts.executable.as_deref().into_iter().collect(),
        Key::ContainerIds => facts.container.iter().map(|container| container.id.as_str()).collect(),
        _ => facts.names().collect(),
    };
    let distance = |pattern: &str| actual.iter().map(|text| edits(pattern, text)).min().unwrap_or(usize::MAX);
    let (distance, closest) = patterns.iter().map(|pattern| (distance(pattern), pattern)).min()?;
    let mut shown: Vec<String> = Vec::new();
    for text in actual {
        let text = format!("{text:?}");
        if !shown.contains(&text) {
            shown.push(text);
        }
    }
    Some(Miss { key, actual: shown, closest: closest.clone(), distance })
}

/// The Levenshtein distance without regard to case, of the first 256 characters; a star costs nothing.
fn edits(pattern: &str, text: &str) -> usize {
    let lower = |text: &str| text.chars().take(256).flat_map(char::to_lowercase).collect::<Vec<_>>();
    let (pattern, text) = (lower(pattern), lower(text));
    let mut row: Vec<usize> = (0..=text.len()).collect();
    for &wanted in &pattern {
        let mut diagonal = row[0];
        row[0] += usize::from(wanted != '*');
        for (at, &given) in text.iter().enumerate() {
            let (above, left) = (row[at + 1], row[at]);
            row[at + 1] = if wanted == '*' {
                above.min(left)
            } else {
                (diagonal + usize::from(wanted != given && wanted != '?')).min(above + 1).min(left + 1)
            };
            diagonal = above;
        }
    }
    row[text.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted_and_stars_are_free() {
        assert_eq!(edits("java", "java"), 0);
        assert_eq!(edits("jaba", "java"), 1);
        assert_eq!(edits("java", "JAVA"), 0);
        assert_eq!(edits("java", "javac"), 1);
        assert_eq!(edits("", "abc"), 3);
        assert_eq!(edits("a*", "abcdef"), 0);
        assert_eq!(edits("*x", "abcdey"), 1);
    }
}
