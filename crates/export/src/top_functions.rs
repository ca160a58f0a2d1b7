//! Where the time went, by function.

use crate::Printable;
use std::collections::HashMap;
use std::fmt;
use telegen_model::{LocationKind, Profile, StringId};

/// A function's share of a profile.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopFunction {
    /// Its name, as the profile has it: escape it where it is shown.
    pub name: Box<str>,
    /// What kind of code it is. Functions of the same name, one the kernel's and one a program's, are two.
    pub kind: LocationKind,
    /// Samples with the function at the top of the stack.
    pub self_count: u64,
    /// Samples with the function anywhere on the stack; however often, a stack counts once.
    pub total_count: u64,
}

/// The functions of a profile with the most samples of their own, the first of them first.
///
/// Shown as a table, with names escaped and cut short.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopFunctions {
    /// The functions: those with the most samples of their own, then those with the most samples, then by name.
    pub functions: Vec<TopFunction>,
    /// Samples of the whole profile.
    pub total_count: u64,
}

impl TopFunctions {
    /// The first `limit` functions of a profile.
    pub fn new(profile: &Profile, limit: usize) -> Self {
        let mut functions = count(profile);
        functions.sort_unstable_by(|one, other| rank(one).cmp(&rank(other)));
        functions.truncate(limit);
        Self { functions, total_count: profile.total_count() }
    }
}

/// Sorts the most important first.
fn rank(function: &TopFunction) -> impl Ord + '_ {
    use std::cmp::Reverse;
    let counts = (function.self_count, function.total_count);
    (Reverse(counts), &function.name, function.kind == LocationKind::Kernel)
}

/// What is known of a function while samples are counted.
#[derive(Default)]
struct Counts {
    self_count: u64,
    total_count: u64,
    /// The last sample that counted for it, by its number from 1 on.
    last_sample: usize,
}

fn count(profile: &Profile) -> Vec<TopFunction> {
    let mut counts: HashMap<(StringId, LocationKind), Counts> = HashMap::new();
    for (number, sample) in (1..).zip(&profile.samples) {
        let stack = &profile.stacks[sample.stack.0 as usize];
        let mut is_leaf = true;
        for location in stack.iter().map(|location| &profile.locations[location.0 as usize]) {
            for line in &location.lines {
                let name = profile.functions[line.function.0 as usize].name;
                let function = counts.entry((name, location.kind)).or_default();
                if std::mem::take(&mut is_leaf) {
                    function.self_count += sample.count;
                }
                if std::mem::replace(&mut function.last_sample, number) != number {
                    function.total_count += sample.count;
                }
            }
        }
    }
    let function = |((name, kind), counts): (_, Counts)| TopFunction {
        name: profile.strings.get(name).into(),
        kind,
        self_count: counts.self_count,
        total_count: counts.total_count,
    };
    counts.into_iter().map(function).collect()
}

impl fmt::Display for TopFunctions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.functions.iter().map(|function| function.total_count.to_string().len()).max();
        let width = width.unwrap_or_default().max("total".len());
        writeln!(f, "{:>width$}  {:>6}  {:>width$}  {:>6}  function", "self", "self%", "total", "total%")?;
        for function in &self.functions {
            let TopFunction { self_count, total_count, .. } = function;
            let (own, all) = (self.percent(*self_count), self.percent(*total_count));
            let name = Printable(&function.name).shortened();
            let suffix = if function.kind == LocationKind::Kernel { " [kernel]" } else { "" };
            writeln!(
                f,
                "{self_count:>width$}  {own:>5.1}%  {total_count:>width$}  {all:>5.1}%  {name}{suffix}"
            )?;
        }
        Ok(())
    }
}

impl TopFunctions {
    /// A count in percent of the samples of the whole profile.
    pub fn percent(&self, count: u64) -> f64 {
        if self.total_count == 0 { 0.0 } else { count as f64 * 100.0 / self.total_count as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_profile::{Stacks, any_profile};
    use proptest::prelude::*;

    #[test]
    fn recursion_counts_once_and_the_leaf_has_itself() {
        let profile = Stacks::new()
            .add("app", "main;f;f;g", 6)
            .add("app", "main;f;f", 3)
            .add("app", "main;f;k:g", 1)
            .finish();
        let top = TopFunctions::new(&profile, 10);
        let rows = top.functions.iter().map(|f| (&*f.name, f.kind, f.self_count, f.total_count));
        let expected = [
            ("g", LocationKind::User, 6, 6),
            ("f", LocationKind::User, 3, 10),
            ("g", LocationKind::Kernel, 1, 1),
            ("main", LocationKind::User, 0, 10),
        ];
        assert_eq!(rows.collect::<Vec<_>>(), expected);
        assert_eq!(TopFunctions::new(&profile, 1).functions.len(), 1);
    }

    #[test]
    fn the_table_is_lined_up_and_harmless() {
        let long = "x".repeat(300);
        let profile = Stacks::new()
            .add("app", "main;evil\u{1b}[31m", 1_000_000)
            .add("app", "main;k:schedule", 500_000)
            .add("app", &format!("main;{long}"), 1)
            .finish();
        let table = TopFunctions::new(&profile, 3).to_string();
        let expected = [
            "   self   self%    total  total%  function".to_owned(),
            "1000000   66.7%  1000000   66.7%  evil\\x1b[31m".to_owned(),
            " 500000   33.3%   500000   33.3%  schedule [kernel]".to_owned(),
            format!("      1    0.0%        1    0.0%  {}…", "x".repeat(99)),
        ];
        assert_eq!(table, expected.join("\n") + "\n");
    }

    #[test]
    fn a_profile_without_samples_has_a_table_without_rows() {
        assert_eq!(TopFunctions::new(&Stacks::new().finish(), 5).to_string().lines().count(), 1);
    }

    proptest! {
        #[test]
        fn samples_with_frames_have_one_leaf_each(profile in any_profile()) {
            let top = TopFunctions::new(&profile, usize::MAX);
            let with_frames = profile.samples.iter().filter(|s| !profile.stacks[s.stack.0 as usize].is_empty());
            prop_assert_eq!(
                top.functions.iter().map(|f| f.self_count).sum::<u64>(),
                with_frames.map(|sample| sample.count).sum::<u64>()
            );
            for function in &top.functions {
                prop_assert!(function.self_count <= function.total_count && function.total_count <= top.total_count);
            }
        }
    }
}
