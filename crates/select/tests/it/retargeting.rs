//! Targets that have names, and an end.

use crate::stories::{ends, handle, observed, selector, standings, starts};
use std::time::{Duration, SystemTime};
use telegen_model::Pid;
use telegen_rules::{RuleSet, RuleSpec, TargetId, TargetSpec, TargetingSpec};
use telegen_select::{Event, Operation, Rates, Standing};

fn target(name: &str, rules: RuleSpec) -> TargetSpec {
    TargetSpec { name: name.into(), rules, ..TargetSpec::default() }
}

fn by_name(name: &str) -> RuleSpec {
    RuleSpec { process_names: vec![name.into()], ..RuleSpec::default() }
}

fn compile(targets: Vec<TargetSpec>) -> RuleSet {
    RuleSet::compile(TargetingSpec { targets, ..TargetingSpec::default() }).expect("valid")
}

fn retargets(out: &[Operation]) -> Vec<(u64, usize)> {
    let retarget = |operation: &Operation| match operation {
        Operation::Retarget { token, decision, .. } => Some((token.0, decision.target.place()?)),
        _ => None,
    };
    out.iter().filter_map(retarget).collect()
}

#[test]
fn another_target_takes_a_process_over_without_interrupting_it() {
    let mut selector = selector(compile(vec![target("a", by_name("java"))]));
    let out = handle(&mut selector, Event::Seen(observed(7, 1, 0, 1, "java")));
    assert_eq!(starts(&out), [1]);
    let mut out = Vec::new();
    let both = vec![target("b", by_name("ruby")), target("c", by_name("java"))];
    selector.reload(compile(both.clone()), Rates::default(), &mut out);
    assert_eq!((retargets(&out), starts(&out), ends(&out)), (vec![(1, 1)], vec![], vec![]), "{out:?}");
    let standing = |number| Standing::Profile { by_pid: false, follow: false, target: number };
    let number = selector.target_number(TargetId::named(1).expect("a place"));
    assert_eq!(standings(&out), [standing(number)]);
    out.clear();
    selector.reload(compile(both), Rates::default(), &mut out);
    assert!(out.is_empty(), "nothing has changed: {out:?}");
    let renamed = vec![target("b", by_name("ruby")), target("d", by_name("java"))];
    selector.reload(compile(renamed), Rates::default(), &mut out);
    assert_eq!(retargets(&out), [(1, 1)], "in the same place there is one of another name");
}

#[test]
fn the_end_of_a_target_does_not_bring_a_spent_pid_back() {
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
    let by_pid = RuleSpec { pids: vec![7], ..RuleSpec::default() };
    let ending = TargetSpec { until: Some(end), ..target("ending", by_name("java")) };
    let rules = compile(vec![ending, target("debugged", by_pid)]);
    let mut selector = selector(rules.clone());
    handle(&mut selector, Event::Seen(observed(7, 1, 0, 1, "bash")));
    handle(&mut selector, Event::Seen(observed(8, 1, 0, 2, "java")));
    handle(&mut selector, Event::Exited { token: telegen_model::Token(1) });
    handle(&mut selector, Event::Seen(observed(7, 2, 0, 3, "ruby")));
    let selection = selector.selection();
    assert!(selection.should_profile(Pid(8)).is_profile() && !selection.should_profile(Pid(7)).is_profile());
    let mut out = Vec::new();
    selector.renew(rules.at(end), &mut out);
    assert_eq!((ends(&out), starts(&out)), (vec![2], vec![]), "another process has the pid now");
    selector.reload(rules.at(end), Rates::default(), &mut out);
    assert!(selection.should_profile(Pid(7)).is_profile(), "a reload means whoever is there");
}

#[test]
fn another_place_or_rate_of_a_target_is_told() {
    let mut selector = selector(compile(vec![target("a", by_name("java"))]));
    handle(&mut selector, Event::Seen(observed(7, 1, 0, 1, "java")));
    let mut out = Vec::new();
    let behind = vec![target("b", by_name("ruby")), target("a", by_name("java"))];
    selector.reload(compile(behind.clone()), Rates::default(), &mut out);
    assert_eq!(retargets(&out), [(1, 1)], "its place is another");
    out.clear();
    let faster = TargetSpec { sample_hz: Some(199), ..behind[1].clone() };
    selector.reload(compile(vec![behind[0].clone(), faster]), Rates::default(), &mut out);
    assert_eq!((retargets(&out), ends(&out)), (vec![(1, 1)], vec![]), "its rate is another");
}

#[test]
fn with_the_end_of_its_target_a_pid_no_longer_outweighs_an_exclusion() {
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
    let by_pid = RuleSpec { pids: vec![7], ..RuleSpec::default() };
    let targets = vec![TargetSpec { until: Some(end), ..target("debugged", by_pid) }];
    let rules = RuleSpec { exclude_process_names: vec!["java".into()], ..RuleSpec::default() };
    let rules = RuleSet::compile(TargetingSpec { targets, rules, ..TargetingSpec::default() });
    let rules = rules.expect("valid");
    let mut selector = selector(rules.clone());
    assert_eq!(starts(&handle(&mut selector, Event::Seen(observed(7, 1, 0, 1, "java")))), [1]);
    let mut out = Vec::new();
    selector.renew(rules.at(end), &mut out);
    assert_eq!((ends(&out), standings(&out)), (vec![1], vec![Standing::Skip]));
}
