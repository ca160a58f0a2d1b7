//! A second, naive implementation of the decision order, and random rules and processes to compare the two by.

use crate::decisions::facts;
use proptest::prelude::*;
use std::sync::Arc;
use telegen_model::{Container, ContainerId, ProcessFacts};
use telegen_rules::{Decision, Key, MatchMode, Reason, RuleSet, RuleSpec};

/// All patterns without braces that a pattern stands for.
fn expand(pattern: &[char]) -> Vec<Vec<char>> {
    let Some(open) = unescaped(pattern, 0, |c| c == '{') else { return vec![pattern.to_vec()] };
    let (mut depth, mut cuts, mut at) = (0, vec![open], open + 1);
    while let Some(next) = unescaped(pattern, at, |c| matches!(c, '{' | ',' | '}')) {
        at = next + 1;
        match pattern[next] {
            '{' => depth += 1,
            ',' if depth == 0 => cuts.push(next),
            '}' if depth == 0 => {
                cuts.push(next);
                break;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    let alternatives = cuts.windows(2).map(|cut| &pattern[cut[0] + 1..cut[1]]);
    let whole = |alternative: &[char]| [&pattern[..open], alternative, &pattern[at..]].concat();
    alternatives.flat_map(|alternative| expand(&whole(alternative))).collect()
}

/// The first such character from `at` that no backslash stands before, and that is in no class.
fn unescaped(pattern: &[char], mut at: usize, wanted: impl Fn(char) -> bool) -> Option<usize> {
    while at < pattern.len() {
        match pattern[at] {
            c if wanted(c) => return Some(at),
            '\\' => at += 2,
            '[' => at += pattern[at..].iter().position(|&c| c == ']').expect("classes are closed") + 1,
            _ => at += 1,
        }
    }
    None
}

fn glob(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['*', rest @ ..] => (0..=text.len()).any(|skip| glob(rest, &text[skip..])),
        ['?', rest @ ..] => !text.is_empty() && glob(rest, &text[1..]),
        ['[', '!', a, ']', rest @ ..] => text.first().is_some_and(|c| c != a) && glob(rest, &text[1..]),
        ['[', a, '-', b, ']', rest @ ..] => {
            text.first().is_some_and(|c| a <= c && c <= b) && glob(rest, &text[1..])
        }
        ['[', a, b, ']', rest @ ..] => {
            text.first().is_some_and(|c| c == a || c == b) && glob(rest, &text[1..])
        }
        ['\\', c, rest @ ..] | [c, rest @ ..] => text.first() == Some(c) && glob(rest, &text[1..]),
    }
}

fn first_match(patterns: &[String], texts: &[&str]) -> Option<u16> {
    let matches = |pattern: &String| {
        let globs = expand(&pattern.chars().collect::<Vec<_>>());
        let texts = texts.iter().map(|text| text.chars().collect::<Vec<_>>());
        texts.into_iter().any(|text| globs.iter().any(|pattern| glob(pattern, &text)))
    };
    patterns.iter().position(matches).map(|index| index as u16)
}

fn naive(spec: &RuleSpec, facts: &ProcessFacts, chosen: Option<(Key, u16)>, agent: bool) -> Decision {
    let mut names = vec![&*facts.comm];
    names.extend(facts.executable.as_deref().and_then(|path| path.rsplit('/').next()));
    names.extend(facts.argv0.as_deref());
    let executable: Vec<&str> = facts.executable.as_deref().into_iter().collect();
    if facts.kernel_thread {
        return Decision::skip(Reason::KernelThread);
    }
    if agent && !spec.profile_self {
        return Decision::skip(Reason::Agent);
    }
    if let Some((key, index)) = chosen {
        return Decision::profile(Reason::Pid { key, index });
    }
    if let Some(index) = first_match(&spec.exclude_process_names, &names) {
        return Decision::skip(Reason::Excluded { key: Key::ExcludeProcessNames, index });
    }
    if let Some(index) = first_match(&spec.exclude_executables, &executable) {
        return Decision::skip(Reason::Excluded { key: Key::ExcludeExecutables, index });
    }
    let container: Option<&str> = facts.container.as_ref().map(|container| container.id.as_str());
    let begins = |ids: &[String]| {
        ids.iter().position(|id| container.is_some_and(|full| full[..id.len()] == **id)).map(|at| at as u16)
    };
    if let Some(index) = begins(&spec.exclude_container_ids) {
        return Decision::skip(Reason::Excluded { key: Key::ExcludeContainerIds, index });
    }
    let mut types = Vec::new();
    if !spec.process_names.is_empty() {
        types.push((Key::ProcessNames, first_match(&spec.process_names, &names)));
    }
    if !spec.executables.is_empty() {
        types.push((Key::Executables, first_match(&spec.executables, &executable)));
    }
    if !spec.container_ids.is_empty() {
        types.push((Key::ContainerIds, begins(&spec.container_ids)));
    }
    if types.is_empty() && spec.pid.is_none() && spec.pids.is_empty() {
        return Decision::profile(Reason::NoIncludeRules);
    }
    let matching: Vec<Reason> =
        types.iter().filter_map(|&(key, index)| index.map(|index| Reason::Included { key, index })).collect();
    let all = spec.match_mode == Some(MatchMode::All);
    match matching.first() {
        Some(_) if all && matching.len() < types.len() => Decision::skip(Reason::NotIncluded),
        Some(_) if all && types.len() > 1 => Decision::profile(Reason::AllIncluded),
        Some(&reason) => Decision::profile(reason),
        None => Decision::skip(Reason::NotIncluded),
    }
}

/// Patterns of pieces, most of which match something that [`texts`] makes.
fn patterns(start: &'static str) -> impl Strategy<Value = Vec<String>> {
    let piece = prop::sample::select(vec![
        "a",
        "b",
        "é",
        "*",
        "*",
        "?",
        "[ab]",
        "[!a]",
        "[a-é]",
        "{a,b}",
        "{,a*}",
        "{b,{é,?},}",
        "\\*",
        "\\{",
        "**",
        ",",
    ]);
    let pattern =
        prop::collection::vec(piece, 1..4).prop_map(move |pieces| start.to_owned() + &pieces.concat());
    prop::collection::vec(pattern, 0..3)
}

/// Ids, whole or cut short, of few enough containers that many match.
fn container_ids() -> impl Strategy<Value = Vec<String>> {
    let id = (0usize..3, prop_oneof![Just(12usize), Just(13), Just(64)]);
    prop::collection::vec(id.prop_map(|(which, digits)| CONTAINERS[which][..digits].to_owned()), 0..3)
}

const CONTAINERS: [&str; 3] = [
    "aaaaaaaaaaaa1111aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "aaaaaaaaaaaa2222aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "bbbbbbbbbbbb0000bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
];

const NAME: &str = "[abé*,{]{1,4}";

prop_compose! {
    fn specs()(
        pid in prop::option::weighted(0.3, 1u32..3), pids in prop::collection::vec(1u32..3, 0..2),
        process_names in patterns(""), executables in patterns("/"), container_ids in container_ids(),
        exclude_process_names in patterns(""), exclude_executables in patterns("/"),
        exclude_container_ids in container_ids(), in_containers in 0u8..3,
        match_mode in prop::option::of(prop_oneof![Just(MatchMode::Any), Just(MatchMode::All)]),
        profile_self: bool, excluding in 0u8..3,
    ) -> RuleSpec {
        // Exclusions match often; most cases must get past them for the later steps to be tried.
        let keep = |list: Vec<String>| if excluding == 0 { list } else { Vec::new() };
        RuleSpec {
            pid, pids, process_names, executables,
            container_ids: if in_containers == 0 { container_ids } else { Vec::new() },
            exclude_process_names: keep(exclude_process_names),
            exclude_executables: keep(exclude_executables),
            exclude_container_ids: keep(exclude_container_ids),
            match_mode, profile_self,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn decisions_are_those_of_the_naive_reading(
        spec in specs(), comm in NAME, executable in prop_oneof![1 => Just(String::new()), 4 => "/[abé/]{1,4}"],
        argv0 in prop_oneof![1 => Just(String::new()), 2 => NAME],
        container in 0usize..4,
        kernel_thread in prop::bool::weighted(0.05), chosen in prop::bool::weighted(0.2), agent in prop::bool::weighted(0.1),
    ) {
        let mut facts = facts(&comm, &executable, &argv0);
        facts.kernel_thread = kernel_thread;
        facts.container = CONTAINERS.get(container).map(|id| {
            Arc::new(Container { id: ContainerId::new(id).expect("an id"), pod_uid: None })
        });
        let rules = RuleSet::compile(&spec).expect("valid patterns");
        let choice = rules.pids().first().copied().filter(|_| chosen);
        let decision = rules.decide(&facts, choice, agent);
        let wanted = naive(&spec, &facts, choice.map(|choice| (choice.key, choice.index)), agent);
        prop_assert_eq!(decision, wanted, "{}", rules.reason(decision));
    }
}
