//! A second, naive implementation of the decision order, and random rules and processes to compare the two by.

use crate::decisions::facts;
use proptest::prelude::*;
use telegen_model::ProcessFacts;
use telegen_rules::{MatchMode, RuleSet, RuleSpec, Verdict};

/// A glob of `*`, `?` and plain characters only.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|skip| glob(rest, &text[skip..])),
        Some((b'?', rest)) => !text.is_empty() && glob(rest, &text[1..]),
        Some((byte, rest)) => text.first() == Some(byte) && glob(rest, &text[1..]),
    }
}

fn any_match(patterns: &[String], texts: &[&str]) -> bool {
    patterns.iter().any(|pattern| texts.iter().any(|text| glob(pattern.as_bytes(), text.as_bytes())))
}

fn naive(spec: &RuleSpec, facts: &ProcessFacts, chosen: bool, agent: bool) -> Verdict {
    let executable = facts.executable.as_deref().unwrap_or("");
    let argv0 = facts.argv0.as_deref().unwrap_or("");
    let names = [&*facts.comm, executable.rsplit('/').next().unwrap_or(""), argv0];
    let yes_or_no = |yes| if yes { Verdict::Profile } else { Verdict::Skip };
    if facts.kernel_thread || (agent && !spec.profile_self) {
        return Verdict::Skip;
    }
    if chosen {
        return Verdict::Profile;
    }
    if any_match(&spec.exclude_process_names, &names) || any_match(&spec.exclude_executables, &[executable]) {
        return Verdict::Skip;
    }
    let pids = spec.pid.is_some() || !spec.pids.is_empty();
    let mut types = Vec::new();
    if !spec.process_names.is_empty() {
        types.push(any_match(&spec.process_names, &names));
    }
    if !spec.executables.is_empty() {
        types.push(any_match(&spec.executables, &[executable]));
    }
    if types.is_empty() {
        return yes_or_no(!pids);
    }
    yes_or_no(match spec.match_mode {
        Some(MatchMode::All) => types.iter().all(|&matched| matched),
        _ => types.iter().any(|&matched| matched),
    })
}

fn names() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[ab*?]{1,3}", 0..3)
}

fn paths() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("/[ab/*]{1,4}", 0..3)
}

prop_compose! {
    fn specs()(
        pid in prop::option::of(1u32..3), pids in prop::collection::vec(1u32..3, 0..2),
        process_names in names(), executables in paths(),
        exclude_process_names in names(), exclude_executables in paths(),
        match_mode in prop::option::of(prop_oneof![Just(MatchMode::Any), Just(MatchMode::All)]),
        profile_self: bool, excluding in 0u8..3,
    ) -> RuleSpec {
        // Exclusions match often; most cases must get past them for the later steps to be tried.
        let keep = |list: Vec<String>| if excluding == 0 { list } else { Vec::new() };
        RuleSpec {
            pid, pids, process_names, executables,
            exclude_process_names: keep(exclude_process_names),
            exclude_executables: keep(exclude_executables),
            match_mode, profile_self,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn decisions_are_those_of_the_naive_reading(
        spec in specs(), comm in "[ab]{1,3}", executable in "/[ab/]{1,4}", argv0 in "[ab]{1,3}",
        kernel_thread in prop::bool::weighted(0.05), chosen in prop::bool::weighted(0.2), agent in prop::bool::weighted(0.1),
    ) {
        let mut facts = facts(&comm, &executable, &argv0);
        facts.kernel_thread = kernel_thread;
        let rules = RuleSet::compile(&spec).expect("valid patterns");
        let choice = rules.pids().first().copied().filter(|_| chosen);
        let decision = rules.decide(&facts, choice, agent);
        prop_assert_eq!(decision.verdict, naive(&spec, &facts, choice.is_some(), agent), "{}", rules.reason(decision));
    }
}
