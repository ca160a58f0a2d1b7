use telegen_model::{
    Generation, KernelKey, Pid, PodFacts, ProcessFacts, ProcessId, ProcessKey, StartTime, TargetNumber, Token,
};
use telegen_rules::{Reason, RuleSet, RuleSpec, TargetId, TargetSpec, TargetingSpec, Verdict};
use telegen_select::{Event, Limits, Observed, Operation, Rates, Selector, Standing};

pub(crate) fn observed(pid: u32, start: u64, generation: u32, token: u64, name: &str) -> Observed {
    let id = ProcessId { pid: Pid(pid), start: StartTime(start) };
    let facts = ProcessFacts {
        key: ProcessKey { id, generation: Generation(generation) },
        parent: Pid(1),
        kernel_thread: false,
        comm: name.into(),
        executable: Some(format!("/bin/{name}").into()),
        argv0: None,
        container: None,
        pod: PodFacts::InNone,
    };
    Observed { facts, token: Token(token), key: KernelKey(pid), standing: Standing::Undecided }
}

pub(crate) fn named(names: &[&str]) -> RuleSet {
    let process_names = names.iter().map(|&name| name.into()).collect();
    RuleSet::compile(&RuleSpec { process_names, ..RuleSpec::default() }).expect("valid")
}

pub(crate) fn pids(pids: &[u32]) -> RuleSet {
    RuleSet::compile(&RuleSpec { pids: pids.to_vec(), ..RuleSpec::default() }).expect("valid")
}

pub(crate) fn selector(rules: RuleSet) -> Selector {
    Selector::new(rules, Pid(1), Limits::default(), Rates::default())
}

pub(crate) fn handle(selector: &mut Selector, event: Event) -> Vec<Operation> {
    let mut out = Vec::new();
    selector.handle(event, &mut out);
    out
}

pub(crate) fn starts(out: &[Operation]) -> Vec<u64> {
    let start = |operation: &Operation| match operation {
        Operation::Start { token, .. } => Some(token.0),
        _ => None,
    };
    out.iter().filter_map(start).collect()
}

pub(crate) fn ends(out: &[Operation]) -> Vec<u64> {
    let end = |operation: &Operation| match operation {
        Operation::End { token } => Some(token.0),
        _ => None,
    };
    out.iter().filter_map(end).collect()
}

pub(crate) fn standings(out: &[Operation]) -> Vec<Standing> {
    let set = |operation: &Operation| match operation {
        Operation::Set { standing, .. } => Some(*standing),
        _ => None,
    };
    out.iter().filter_map(set).collect()
}

#[test]
fn exec_ends_one_image_and_starts_the_next() {
    let mut selector = selector(named(&["java"]));
    assert_eq!(starts(&handle(&mut selector, Event::Execed(observed(5, 1, 0, 10, "java")))), [10]);
    let out = handle(&mut selector, Event::Execed(observed(5, 1, 1, 11, "java")));
    assert_eq!((ends(&out), starts(&out)), (vec![10], vec![11]));
    let out = handle(&mut selector, Event::Execed(observed(5, 1, 2, 12, "bash")));
    assert_eq!((ends(&out), starts(&out)), (vec![11], vec![]));
    assert_eq!(standings(&out), [Standing::Skip]);
}

#[test]
fn a_child_that_the_kernel_has_already_let_in_is_not_set_again() {
    let mut selector = selector(named(&["java"]));
    handle(&mut selector, Event::Seen(observed(5, 1, 0, 10, "java")));
    let mut child = observed(6, 2, 0, 11, "java");
    child.standing = Standing::Profile { by_pid: false, follow: false, target: TargetNumber(0) };
    let out = handle(&mut selector, Event::Forked { child, parent: Token(10) });
    assert_eq!((standings(&out).len(), starts(&out)), (0, vec![11]));
}

#[test]
fn a_program_that_the_kernel_has_already_left_out_is_not_set_again_but_told() {
    let mut selector = selector(named(&["java"]));
    let mut left_out = observed(5, 1, 0, 10, "bash");
    left_out.standing = Standing::Skip;
    let out = handle(&mut selector, Event::Execed(left_out));
    assert!(matches!(out[..], [Operation::LeftOut { token: Token(10) }]), "{out:?}");
    assert_eq!(selector.selection().should_profile(Pid(5)).verdict, Verdict::Skip);
    let mut too_early = observed(6, 1, 0, 11, "java");
    too_early.standing = Standing::Skip;
    let out = handle(&mut selector, Event::Execed(too_early));
    assert_eq!((starts(&out), standings(&out).len()), (vec![11], 1), "user space has the last word");
}

#[test]
fn a_recycled_pid_inherits_nothing() {
    let mut selector = selector(pids(&[5]));
    let selection = selector.selection();
    assert_eq!(starts(&handle(&mut selector, Event::Seen(observed(5, 1, 0, 10, "a")))), [10]);
    assert_eq!(ends(&handle(&mut selector, Event::Exited { token: Token(10) })), [10]);
    assert_eq!(selection.should_profile(Pid(5)).verdict, Verdict::Pending);
    assert_eq!(starts(&handle(&mut selector, Event::Seen(observed(5, 2, 0, 11, "a")))), Vec::<u64>::new());
    assert_eq!(selection.should_profile(Pid(5)).verdict, Verdict::Skip);
}

#[test]
fn a_recycled_pid_is_noticed_though_the_exit_was_lost() {
    let mut selector = selector(pids(&[5]));
    handle(&mut selector, Event::Seen(observed(5, 1, 0, 10, "a")));
    let out = handle(&mut selector, Event::Execed(observed(5, 2, 0, 11, "a")));
    assert_eq!((ends(&out), starts(&out)), (vec![10], vec![]));
    // The late news of the first one's exit must not touch the second.
    assert!(handle(&mut selector, Event::Exited { token: Token(10) }).is_empty());
    assert_eq!(selector.selection().should_profile(Pid(5)).verdict, Verdict::Skip);
}

#[test]
fn children_of_a_process_chosen_by_pid_are_not_chosen_and_exec_keeps_it() {
    let mut selector = selector(pids(&[5]));
    let out = handle(&mut selector, Event::Seen(observed(5, 1, 0, 10, "a")));
    assert_eq!(standings(&out), [Standing::Profile { by_pid: true, follow: false, target: TargetNumber(0) }]);
    let out = handle(&mut selector, Event::Forked { child: observed(6, 2, 0, 11, "a"), parent: Token(10) });
    assert_eq!((starts(&out), standings(&out)), (vec![], vec![Standing::Skip]));
    assert_eq!(starts(&handle(&mut selector, Event::Execed(observed(5, 1, 1, 12, "b")))), [12]);
}

#[test]
fn a_pid_that_is_not_there_yet_waits_and_widens_nothing() {
    let mut selector = selector(pids(&[5]));
    assert!(starts(&handle(&mut selector, Event::Seen(observed(4, 1, 0, 10, "a")))).is_empty());
    assert_eq!(starts(&handle(&mut selector, Event::Seen(observed(5, 2, 0, 11, "a")))), [11]);
}

#[test]
fn a_reload_makes_a_spent_pid_rule_good_again() {
    let mut selector = selector(pids(&[5]));
    handle(&mut selector, Event::Seen(observed(5, 1, 0, 10, "a")));
    handle(&mut selector, Event::Exited { token: Token(10) });
    handle(&mut selector, Event::Seen(observed(5, 2, 0, 11, "a")));
    let mut out = Vec::new();
    selector.reload(pids(&[5]), Rates::default(), &mut out);
    assert_eq!(starts(&out), [11]);
    out.clear();
    selector.reload(pids(&[]), Rates::default(), &mut out);
    selector.reload(named(&["nothing"]), Rates::default(), &mut out);
    assert_eq!(ends(&out), [11], "the pid can be revoked");
}

#[test]
fn the_recorded_command_is_followed_through_fork_and_exec() {
    let mut selector = selector(named(&["nothing"]));
    handle(&mut selector, Event::Seen(observed(5, 1, 0, 10, "sh")));
    let mut out = Vec::new();
    assert!(selector.follow(ProcessId { pid: Pid(5), start: StartTime(1) }, &mut out));
    assert_eq!(standings(&out), [Standing::Profile { by_pid: false, follow: true, target: TargetNumber(0) }]);
    let out = handle(&mut selector, Event::Forked { child: observed(6, 2, 0, 11, "sh"), parent: Token(10) });
    assert_eq!(starts(&out), [11]);
    assert_eq!(starts(&handle(&mut selector, Event::Execed(observed(6, 2, 1, 12, "ls")))), [12]);
    let decision = selector.selection().should_profile(Pid(6));
    assert_eq!(decision.reason, Reason::Followed);
    assert!(
        !selector.follow(ProcessId { pid: Pid(5), start: StartTime(99) }, &mut Vec::new()),
        "another process"
    );
}

#[test]
fn a_rename_decides_again() {
    let mut selector = selector(named(&["java"]));
    handle(&mut selector, Event::Seen(observed(5, 1, 0, 10, "sh")));
    let out = handle(&mut selector, Event::Renamed { token: Token(10), comm: "java".into() });
    assert_eq!(starts(&out), [10]);
    let out = handle(&mut selector, Event::Renamed { token: Token(10), comm: "sh".into() });
    assert_eq!(ends(&out), [10]);
}

#[test]
fn beyond_the_limit_the_newest_are_refused() {
    let mut selector = Selector::new(named(&["a"]), Pid(1), Limits { max_targets: 2 }, Rates::default());
    for pid in 5..8 {
        handle(&mut selector, Event::Seen(observed(pid, 1, 0, u64::from(pid), "a")));
    }
    let selection = selector.selection();
    assert_eq!(selection.counts(), (3, 2));
    assert_eq!(selection.should_profile(Pid(7)).reason, Reason::TooManyTargets);
    assert_eq!(selection.refused(), 1);
}

#[test]
fn a_lower_limit_lets_the_newest_go_and_a_higher_one_takes_them_back() {
    let mut selector = selector(named(&["a"]));
    for pid in 5..9 {
        handle(&mut selector, Event::Seen(observed(pid, 1, 0, u64::from(pid), "a")));
    }
    let mut out = Vec::new();
    selector.set_max_targets(2, &mut out);
    assert_eq!((ends(&out), standings(&out)), (vec![7, 8], vec![Standing::Skip; 2]));
    let selection = selector.selection();
    assert_eq!(selection.should_profile(Pid(8)).reason, Reason::TooManyTargets);
    assert_eq!((selection.refused(), selection.filtered_processes().len()), (2, 2));
    out.clear();
    selector.set_max_targets(3, &mut out);
    assert_eq!((starts(&out), ends(&out)), (vec![7], vec![]));
    let profile = Standing::Profile { by_pid: false, follow: false, target: TargetNumber(0) };
    assert_eq!(standings(&out), [profile], "the kernel is told again");
}

#[test]
fn a_lower_limit_counts_nobody_but_targets() {
    let mut selector = selector(named(&["a"]));
    for (pid, name) in [(5, "b"), (6, "a"), (7, "b"), (8, "a"), (9, "a")] {
        handle(&mut selector, Event::Seen(observed(pid, 1, 0, u64::from(pid), name)));
    }
    let mut out = Vec::new();
    selector.set_max_targets(2, &mut out);
    assert_eq!(ends(&out), [9]);
}

#[test]
fn a_pid_rule_is_spent_by_a_descendant_of_the_recorded_command_too() {
    let mut selector = selector(pids(&[6]));
    handle(&mut selector, Event::Seen(observed(5, 1, 0, 10, "sh")));
    assert!(selector.follow(ProcessId { pid: Pid(5), start: StartTime(1) }, &mut Vec::new()));
    handle(&mut selector, Event::Forked { child: observed(6, 2, 0, 11, "sh"), parent: Token(10) });
    assert_eq!(ends(&handle(&mut selector, Event::Exited { token: Token(11) })), [11]);
    let another = handle(&mut selector, Event::Seen(observed(6, 3, 0, 12, "ls")));
    assert_eq!((starts(&another), standings(&another)), (vec![], vec![Standing::Skip]));
}

#[test]
fn a_scan_repairs_what_was_lost() {
    let mut selector = selector(named(&["a"]));
    handle(&mut selector, Event::Seen(observed(5, 1, 0, 10, "a")));
    selector.begin_scan();
    handle(&mut selector, Event::Seen(observed(6, 1, 0, 11, "a")));
    let mut out = Vec::new();
    let repairs = selector.finish_scan(&mut out);
    assert_eq!((repairs.found, repairs.gone, ends(&out)), (1, 1, vec![10]));
    assert_eq!(selector.selection().should_profile(Pid(5)).reason, Reason::Unknown, "it is gone");
    selector.begin_scan();
    handle(&mut selector, Event::Seen(observed(6, 1, 0, 11, "a")));
    let repairs = selector.finish_scan(&mut out);
    assert_eq!((repairs.found, repairs.gone), (0, 0));
}

#[test]
fn what_is_forgotten_is_decided_again() {
    let mut selector = selector(named(&["a"]));
    let selection = selector.selection();
    handle(&mut selector, Event::Seen(observed(5, 1, 0, 10, "a")));
    selection.forget(Pid(5));
    assert_eq!(selection.should_profile(Pid(5)).verdict, Verdict::Pending);
    let out = handle(&mut selector, Event::Seen(observed(6, 1, 0, 11, "b")));
    assert!(starts(&out).is_empty(), "and not interrupted");
    assert_eq!(selection.should_profile(Pid(5)).verdict, Verdict::Profile);
}

#[test]
fn it_is_full_while_there_are_as_many_targets_as_there_may_be() {
    let mut selector = Selector::new(named(&["a"]), Pid(1), Limits { max_targets: 2 }, Rates::default());
    handle(&mut selector, Event::Seen(observed(5, 1, 0, 5, "a")));
    assert!(!selector.is_full());
    handle(&mut selector, Event::Seen(observed(6, 1, 0, 6, "a")));
    assert!(selector.is_full());
    handle(&mut selector, Event::Exited { token: Token(5) });
    assert!(!selector.is_full());
}

#[test]
fn an_image_that_is_known_by_another_token_now_is_not_there_twice() {
    let mut selector = selector(named(&["a"]));
    handle(&mut selector, Event::Seen(observed(5, 1, 0, 10, "a")));
    let out = handle(&mut selector, Event::Seen(observed(5, 1, 0, 11, "a")));
    assert_eq!((ends(&out), starts(&out)), (vec![10], vec![11]));
    assert_eq!(selector.selection().counts(), (1, 1));
}

#[test]
fn the_targets_are_those_that_are_profiled() {
    let mut selector = selector(named(&["a"]));
    for (pid, name) in [(5, "a"), (6, "b"), (7, "a")] {
        handle(&mut selector, Event::Seen(observed(pid, 1, 0, u64::from(pid), name)));
    }
    handle(&mut selector, Event::Exited { token: Token(7) });
    let targets: Vec<_> =
        selector.targets().map(|(token, process)| (token, process.decision.verdict)).collect();
    assert_eq!(targets, [(Token(5), Verdict::Profile)]);
}

#[test]
fn the_agent_is_known_by_its_pid() {
    let mut selector = selector(named(&["a"]));
    assert!(starts(&handle(&mut selector, Event::Seen(observed(1, 1, 0, 10, "a")))).is_empty());
    assert_eq!(selector.selection().should_profile(Pid(1)).reason, Reason::Agent);
}

#[test]
fn targets_are_named_with_their_rates_before_anything_happens() {
    let fast = TargetSpec { name: "fast".into(), sample_hz: Some(199), ..TargetSpec::default() };
    let rules = TargetingSpec { targets: vec![fast], ..TargetingSpec::default() };
    let rules = RuleSet::compile(rules).expect("valid");
    let mut out = Vec::new();
    let rates = Rates { default_hz: 99, clock_hz: 199 };
    let mut selector = Selector::new(rules, Pid(1), Limits::default(), rates);
    selector.name_targets(&mut out);
    let [Operation::Name { number, settings }] = &out[..] else { panic!("{out:?}") };
    assert_eq!(*number, selector.target_number(TargetId::from_number(0)));
    assert_eq!((&*settings.name, settings.sample_hz, settings.clock_hz), ("fast", 199, 199));
    out.clear();
    selector.name_targets(&mut out);
    assert!(out.is_empty(), "once is enough");
    let rates = Rates { default_hz: 49, clock_hz: 299 };
    selector.reload(named(&["a"]), rates, &mut out);
    let [Operation::Name { settings, .. }] = &out[..] else { panic!("{out:?}") };
    assert_eq!((&*settings.name, settings.sample_hz, settings.clock_hz), ("default", 49, 299));
}
