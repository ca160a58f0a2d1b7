//! One include key that does not match.

use crate::rule::Rule;
use crate::{Fact, Key, RuleSpec};
use std::fmt;
use telegen_model::{PodDetails, PodFacts, ProcessFacts};

/// An include key that does not match, and what its rules were compared with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Miss {
    /// The key.
    pub key: Key,
    /// What the process has.
    pub actual: Actual,
    /// The pattern that comes closest, or the requirement on a label that does not hold.
    pub closest: String,
    /// Changes of one character between the closest pattern and what the process has.
    pub distance: usize,
}

/// What a process has, for rules that do not match it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Actual {
    /// These, as they are shown; none where there is none.
    Values(Vec<String>),
    /// It could not be read.
    Unreadable,
    /// It is in no pod.
    InNoPod,
    /// Its pod is, says the source, not on this node.
    PodNotHere,
    /// Nobody has been asked who could know it.
    NoSource,
}

/// Why a rule does not match a process.
pub(super) fn of(rule: &Rule, spec: &RuleSpec, facts: &ProcessFacts) -> Option<Miss> {
    let key = rule.key;
    if key.fact() == Fact::Labels {
        return Some(label_miss(rule, facts));
    }
    let patterns = spec.patterns(key);
    let actual = match key.fact() {
        Fact::Name => Ok(facts.names().map(str::to_owned).collect()),
        Fact::Executable => {
            facts.executable.as_deref().map(|path| vec![path.to_owned()]).ok_or(Actual::Unreadable)
        }
        Fact::Container => Ok(facts.container.iter().map(|container| container.id.to_string()).collect()),
        fact => of_pod(fact, &facts.pod),
    };
    let texts = actual.as_deref().unwrap_or_default();
    let distance = |pattern: &str| {
        texts.iter().map(|text| edits(pattern, comparable(key, text))).min().unwrap_or(usize::MAX)
    };
    let (distance, closest) = patterns.iter().map(|pattern| (distance(pattern), pattern)).min()?;
    let shown = |texts: Vec<String>| {
        let mut shown: Vec<String> = Vec::new();
        for text in texts.iter().map(|text| format!("{text:?}")) {
            if !shown.contains(&text) {
                shown.push(text);
            }
        }
        Actual::Values(shown)
    };
    Some(Miss { key, actual: actual.map_or_else(|why| why, shown), closest: closest.clone(), distance })
}

/// A workload's kind is shown, but only its name can come close to a pattern.
fn comparable(key: Key, text: &str) -> &str {
    match key.fact() {
        Fact::Workload => text.split_once('/').map_or(text, |(_, name)| name),
        _ => text,
    }
}

fn of_pod(fact: Fact, pod: &PodFacts) -> Result<Vec<String>, Actual> {
    let pod = match pod {
        PodFacts::Known { pod, .. } => pod,
        PodFacts::NotHere => return Err(Actual::PodNotHere),
        PodFacts::InNone | PodFacts::Pending => return Err(Actual::InNoPod),
    };
    let value = match fact {
        Fact::Namespace => pod.namespace.as_deref().map(str::to_owned),
        Fact::Pod => pod.name.as_deref().map(str::to_owned),
        Fact::Workload => pod
            .details
            .as_ref()
            .map(|PodDetails { workload, .. }| format!("{}/{}", workload.kind, workload.name)),
        _ => None,
    };
    value.map(|value| vec![value]).ok_or(Actual::NoSource)
}

fn label_miss(rule: &Rule, facts: &ProcessFacts) -> Miss {
    let whole = || rule.selectors().iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let missed = |actual, closest, distance| Miss { key: rule.key, actual, closest, distance };
    let pod = match &facts.pod {
        PodFacts::Known { pod, .. } => pod,
        PodFacts::NotHere => return missed(Actual::PodNotHere, whole(), usize::MAX),
        PodFacts::InNone | PodFacts::Pending => return missed(Actual::InNoPod, whole(), usize::MAX),
    };
    let Some(details) = &pod.details else { return missed(Actual::NoSource, whole(), usize::MAX) };
    let failing: Vec<_> =
        rule.selectors().iter().flat_map(|selector| selector.failing(&details.labels)).collect();
    let actual = |key: &str| match details.labels.get(key) {
        Some(value) => format!("{:?}", format!("{key}={value}")),
        None => format!("without {key:?}"),
    };
    let values = failing.iter().map(|requirement| actual(requirement.key())).collect();
    let closest = failing.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    missed(Actual::Values(values), closest, failing.len())
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fact = self.key.fact();
        let (name, is) = (fact.name(), if fact == Fact::Labels { "are" } else { "is" });
        match &self.actual {
            Actual::Values(values) if values.is_empty() => write!(f, "{name} {is} none")?,
            Actual::Values(values) => write!(f, "{name} {is} {}", values.join(", "))?,
            Actual::Unreadable => write!(f, "{name} {is} unknown")?,
            Actual::InNoPod => f.write_str("it is in no pod")?,
            Actual::PodNotHere => f.write_str("its pod is not on this node")?,
            Actual::NoSource => write!(f, "{name} {is} unknown, since no Kubernetes source is configured")?,
        }
        write!(f, ", closest rule {:?}", self.closest)
    }
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
        assert_eq!(edits("*", ""), 0);
        assert_eq!(edits("j?va", "java"), 0);
        assert_eq!(edits("j?va", "jva"), 1);
        assert_eq!(edits("abc", ""), 3);
        assert_eq!(edits("abcd", "bcde"), 2);
        assert_eq!(edits("ab", "ba"), 2);
        assert_eq!(edits("kitten", "sitting"), 3);
        assert_eq!(edits("a*c*e", "abcde"), 0);
        assert_eq!(edits("b*", "abc"), 1);
    }

    #[test]
    fn of_long_texts_the_beginning_counts() {
        let long = "a".repeat(256);
        assert_eq!(edits(&long, &(long.clone() + "b")), 0);
        assert_eq!(edits(&long[1..], &long), 1);
    }
}
