//! What readers are shown: lists, counts, and what is decided again for them.

use crate::stories::{handle, named, observed, selector};
use telegen_model::{Pid, Token};
use telegen_rules::{RuleSet, RuleSpec, TargetSpec, TargetingSpec, Verdict};
use telegen_select::{Event, Rates, SelectedProcess};

#[test]
fn all_processes_are_listed_and_those_of_each_target_counted() {
    let target = |name: &str, process: &str| TargetSpec {
        name: name.into(),
        rules: RuleSpec { process_names: vec![process.into()], ..RuleSpec::default() },
        ..TargetSpec::default()
    };
    let targets = vec![target("first", "a"), target("second", "b"), target("third", "c")];
    let rules = RuleSet::compile(TargetingSpec { targets, ..TargetingSpec::default() }).expect("valid");
    let mut selector = selector(rules);
    for (pid, name) in [(9, "a"), (5, "x"), (7, "b"), (6, "a")] {
        handle(&mut selector, Event::Seen(observed(pid, 1, 0, u64::from(pid), name)));
    }
    let selection = selector.selection();
    let pids = |list: Vec<SelectedProcess>| list.iter().map(|one| one.facts.key.id.pid.0).collect::<Vec<_>>();
    assert_eq!(pids(selection.all_processes()), [5, 6, 7, 9]);
    assert_eq!(pids(selection.filtered_processes()), [6, 7, 9]);
    let counts: Vec<_> = selection.counts_by_target().into_iter().collect();
    assert_eq!(counts, [("first".into(), 2), ("second".into(), 1), ("third".into(), 0)]);
    assert_eq!(selection.rules().targets().count(), 3);
}

#[test]
fn answers_and_decisions_are_counted() {
    let mut selector = selector(named(&["a"]));
    let selection = selector.selection();
    for pid in 5..8 {
        handle(&mut selector, Event::Seen(observed(pid, 1, 0, u64::from(pid), "a")));
    }
    assert_eq!(selection.cache_figures(), (0, 3));
    for pid in 4..7 {
        selection.should_profile(Pid(pid));
    }
    assert_eq!(selection.cache_figures(), (2, 3), "one is not there");
    handle(&mut selector, Event::Renamed { token: Token(5), comm: "b".into() });
    assert_eq!(selection.cache_figures(), (2, 4));
    assert!(handle(&mut selector, Event::Renamed { token: Token(5), comm: "b".into() }).is_empty());
    assert_eq!(selection.cache_figures(), (2, 4), "the same name again is no news");
}

#[test]
fn so_many_pids_wait_to_be_decided_again_and_no_more() {
    let mut selector = selector(named(&["a"]));
    let selection = selector.selection();
    for pid in [5, 6] {
        handle(&mut selector, Event::Seen(observed(pid, 1, 0, u64::from(pid), "a")));
    }
    for pid in 100..100 + 65_535 {
        selection.forget(Pid(pid));
    }
    selection.forget(Pid(5));
    assert_eq!(selection.should_profile(Pid(5)).verdict, Verdict::Pending);
    selection.forget(Pid(6));
    assert_eq!(selection.should_profile(Pid(6)).verdict, Verdict::Profile, "there is no room");
    handle(&mut selector, Event::Exited { token: Token(99) });
    assert_eq!(selection.should_profile(Pid(5)).verdict, Verdict::Profile);
    selection.forget(Pid(6));
    assert_eq!(selection.should_profile(Pid(6)).verdict, Verdict::Pending, "now there is");
}

#[test]
fn rules_and_reasons_are_told_by_the_rules_that_hold() {
    let mut selector = selector(named(&["a"]));
    let selection = selector.selection();
    handle(&mut selector, Event::Seen(observed(5, 1, 0, 5, "a")));
    assert_eq!(selection.summary(), "Active filters: ProcessNames=[a]");
    assert_eq!(selection.reason(selection.should_profile(Pid(5))), "target_process_names[0] = \"a\"");
    selector.reload(named(&["b", "a"]), Rates::default(), &mut Vec::new());
    assert_eq!(selection.summary(), "Active filters: ProcessNames=[b,a]");
    assert_eq!(selection.reason(selection.should_profile(Pid(5))), "target_process_names[1] = \"a\"");
}
