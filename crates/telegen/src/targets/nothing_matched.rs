//! What came closest, where nothing matches.

use super::{Decided, decide_all, find};
use crate::failure::{Failure, Status};
use crate::output::shown;
use crate::pods::{Look, Need};
use std::time::SystemTime;
use telegen_model::Pid;
use telegen_rules::{Reason, RuleSet};

/// The same rules with everything in that is excluded, to tell what only an exclusion keeps out.
fn without_exclusions(rules: &RuleSet) -> Option<RuleSet> {
    Some(RuleSet::compile(rules.spec().without_exclusions()).ok()?.at(SystemTime::now()))
}

/// How near a process comes, the nearest first.
///
/// What has no name to compare, such as the namespace of what is in no pod, is as far away as can be: then it counts how
/// many kinds of rules do match.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Nearness {
    edits: usize,
    /// Kinds of rules that do not match.
    kinds: usize,
    pid: Pid,
}

/// What `record` says when nothing matches: how many were looked at, and what came closest.
pub(crate) fn nothing_matched(
    rules: &RuleSet,
    kubernetes: Option<telegen_k8s::Options>,
    flags: &str,
) -> Failure {
    const SHOWN: usize = 5;
    let mut look = Look::new(kubernetes);
    if let Err(missing) = look.wait(Need::of(rules)) {
        tracing::debug!(%missing, "pods are not known");
    }
    let decided = match find(rules, look.pods()) {
        Ok(found) => decide_all(rules, found.processes),
        Err(failure) => return failure,
    };
    let included = without_exclusions(rules);
    let miss = |process: &Decided| -> Option<(Nearness, String)> {
        let facts = &process.facts;
        let excluded = matches!(process.decision.reason, Reason::Excluded { .. })
            && included.as_ref().is_some_and(|rules| rules.decide(facts, None, false).is_profile());
        let (edits, kinds, why) = if excluded {
            (0, 0, format!("excluded by {}", rules.reason(process.decision)))
        } else {
            let misses = rules.near_misses(facts, process.decision);
            let miss = misses.first()?;
            (miss.distance(), miss.missed.len(), miss.to_string())
        };
        let (pid, name) = (facts.key.id.pid, shown(facts.display_name()));
        Some((Nearness { edits, kinds, pid }, format!("  {pid} {name}: {}", shown(&why))))
    };
    let mut misses: Vec<(Nearness, String)> = decided.iter().filter_map(miss).collect();
    misses.sort();
    let mut text = format!("no process matches; {} were looked at ({})", decided.len(), rules.summary());
    for choice in rules.pids() {
        text.push_str(&format!("\n  there is no process {} to profile", choice.pid));
    }
    if !misses.is_empty() {
        text.push_str("\nnearest misses:");
    }
    for (_, miss) in misses.into_iter().take(SHOWN) {
        text.push('\n');
        text.push_str(&miss);
    }
    text.push_str(&format!(
        "\nto see why each process is left out: telegen targets {flags} --all --explain\nto wait for the first match: --wait"
    ));
    Failure::message(Status::NothingMatched, text)
}
