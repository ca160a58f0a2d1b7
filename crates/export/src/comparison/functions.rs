//! What has changed, by function.

use super::Change;
use crate::Printable;
use crate::stack_tree::{FrameKind, StackTree};
use std::collections::HashMap;
use std::fmt;

/// A function in two profiles.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangedFunction {
    /// Its name, as the profiles have it: escape it where it is shown.
    pub name: Box<str>,
    /// Whether it is one of the kernel's.
    pub is_kernel: bool,
    /// Its own value.
    pub own: Change,
    /// The value of all stacks that it is on.
    pub total: Change,
}

/// The functions whose own share has changed most, the first of them first.
///
/// Shown as a table, with names escaped and cut short.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChangedFunctions {
    /// The functions.
    pub functions: Vec<ChangedFunction>,
    /// All of both profiles.
    pub whole: Change,
}

impl ChangedFunctions {
    pub(super) fn new(tree: &StackTree<'_, Change>, limit: usize) -> Self {
        let whole = tree.whole();
        let mut functions = count(tree);
        let distance = |change: Change| change.growth(whole).abs();
        functions.sort_unstable_by(|one, other| {
            let [by_own, by_total] = [
                distance(other.own).total_cmp(&distance(one.own)),
                distance(other.total).total_cmp(&distance(one.total)),
            ];
            by_own
                .then(by_total)
                .then_with(|| (&one.name, one.is_kernel).cmp(&(&other.name, other.is_kernel)))
        });
        functions.truncate(limit);
        Self { functions, whole }
    }
}

/// Sums up by function. Of a function that calls itself, the outermost call has all the others in it.
fn count(tree: &StackTree<'_, Change>) -> Vec<ChangedFunction> {
    let mut counts: HashMap<(&str, bool), (Change, Change)> = HashMap::new();
    // What is called by what, down to the node at hand, and how often each function is among it.
    let mut way: Vec<Option<(&str, bool)>> = Vec::new();
    let mut calls: HashMap<(&str, bool), usize> = HashMap::new();
    for step in tree.walk() {
        for left in way.drain(step.depth..).flatten() {
            *calls.entry(left).or_default() -= 1;
        }
        let node = tree.node(step.node);
        let is_function = !matches!(node.kind, FrameKind::Root | FrameKind::Process);
        let key = is_function.then(|| (tree.name(step.node), node.kind == FrameKind::Kernel));
        way.push(key);
        let Some(key) = key else { continue };
        let (own, total) = counts.entry(key).or_default();
        *own += node.own;
        let depth = calls.entry(key).or_default();
        if *depth == 0 {
            *total += node.total;
        }
        *depth += 1;
    }
    let function = |((name, is_kernel), (own, total)): ((&str, bool), (Change, Change))| ChangedFunction {
        name: name.into(),
        is_kernel,
        own,
        total,
    };
    counts.into_iter().map(function).collect()
}

impl fmt::Display for ChangedFunctions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:^25}   {:>15}", "self", "total")?;
        let side = format!("{:>7}  {:>7}  {:>7}", "before", "after", "change");
        writeln!(f, "{side}   {side}  function")?;
        for function in &self.functions {
            let [own, total] = [function.own, function.total].map(|change| self.row(change));
            let name = Printable(&function.name).shortened();
            let suffix = if function.is_kernel { " [kernel]" } else { "" };
            writeln!(f, "{own}   {total}  {name}{suffix}")?;
        }
        Ok(())
    }
}

impl ChangedFunctions {
    fn row(&self, change: Change) -> String {
        let [before, after] = change.shares(self.whole).map(|share| share * 100.0);
        let growth = change.growth(self.whole) * 100.0;
        format!("{before:>6.2}%  {after:>6.2}%  {growth:>+6.2}%")
    }
}
