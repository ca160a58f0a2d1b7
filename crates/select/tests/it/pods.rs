//! What is learned of a process's pod and container, after the process was seen.

use crate::stories::{ends, handle, observed, selector, standings, starts};
use std::sync::Arc;
use telegen_model::{Container, ContainerId, Pid, Pod, PodFacts, ProcessId, StartTime, TargetNumber, Token};
use telegen_rules::{Decision, Key, Reason, RuleSet, RuleSpec, Verdict};
use telegen_select::{Event, Observed, Operation, Selector, Standing};

const PROFILE: Standing = Standing::Profile { by_pid: false, follow: false, target: TargetNumber(0) };

fn in_namespace(namespace: &str) -> Selector {
    let spec = RuleSpec { namespaces: vec![namespace.into()], ..RuleSpec::default() };
    selector(RuleSet::compile(&spec).expect("valid"))
}

fn pod(namespace: &str) -> PodFacts {
    let pod =
        Pod { uid: "u".into(), namespace: Some(namespace.into()), name: Some("p".into()), details: None };
    PodFacts::Known { pod: Arc::new(pod), container: None }
}

fn waiting(token: u64) -> Observed {
    let mut observed = observed(7, 1, 0, token, "java");
    observed.facts.pod = PodFacts::Pending;
    observed
}

fn container(digit: &str) -> Option<Arc<Container>> {
    let id = ContainerId::new(&digit.repeat(ContainerId::DIGITS)).expect("an id");
    Some(Arc::new(Container { id, pod_uid: None }))
}

fn moved(token: u64, pod: PodFacts, standing: Standing) -> Event {
    Event::Moved { token: Token(token), container: None, pod, standing }
}

#[test]
fn a_process_waits_for_its_pod_and_is_decided_the_moment_it_arrives() {
    let mut selector = in_namespace("prod");
    let selection = selector.selection();
    assert!(handle(&mut selector, Event::Seen(waiting(1))).is_empty(), "the kernel has not decided either");
    let awaiting = Decision::pending(Reason::Awaiting { key: Key::Namespaces });
    assert_eq!(selection.should_profile(Pid(7)), awaiting);
    assert_eq!(selector.process(Token(1)).map(|process| process.decision), Some(awaiting));

    let out = handle(&mut selector, moved(1, pod("prod"), Standing::Undecided));
    assert_eq!((starts(&out), standings(&out)), (vec![1], vec![PROFILE]), "{out:?}");
    assert_eq!(selection.should_profile(Pid(7)).verdict, Verdict::Profile);
    assert_eq!(selector.facts(Token(1)).map(|facts| facts.pod.clone()), Some(pod("prod")));

    let out = handle(&mut selector, moved(1, pod("dev"), PROFILE));
    assert_eq!((ends(&out), standings(&out)), (vec![1], vec![Standing::Skip]), "{out:?}");
    let out = handle(&mut selector, moved(1, PodFacts::Pending, Standing::Skip));
    assert_eq!(standings(&out), [Standing::Undecided], "what it was decided by is gone");
}

#[test]
fn a_decision_that_a_move_has_made_the_kernel_forget_is_repeated() {
    let mut selector = in_namespace("prod");
    handle(&mut selector, Event::Seen(waiting(1)));
    handle(&mut selector, moved(1, pod("prod"), Standing::Undecided));
    let out = handle(&mut selector, moved(1, pod("prod"), Standing::Undecided));
    assert!(matches!(out[..], [Operation::Set { standing: PROFILE, token: Token(1), .. }]), "{out:?}");
    assert!(handle(&mut selector, moved(1, pod("prod"), PROFILE)).is_empty());
    assert!(handle(&mut selector, moved(2, pod("prod"), Standing::Undecided)).is_empty(), "nobody");
}

#[test]
fn a_process_that_is_moved_into_a_container_is_decided_by_it() {
    let spec = RuleSpec { container_ids: vec!["a".repeat(12)], ..RuleSpec::default() };
    let mut selector = selector(RuleSet::compile(&spec).expect("valid"));
    handle(&mut selector, Event::Seen(observed(7, 1, 0, 1, "java")));
    let into =
        |container, standing| Event::Moved { token: Token(1), container, pod: PodFacts::InNone, standing };
    assert_eq!(starts(&handle(&mut selector, into(container("a"), Standing::Skip))), [1]);
    assert_eq!(ends(&handle(&mut selector, into(container("b"), PROFILE))), [1]);
}

#[test]
fn the_facts_of_a_process_are_those_of_the_image_that_it_runs() {
    let mut selector = in_namespace("prod");
    handle(&mut selector, Event::Seen(observed(7, 1, 0, 1, "bash")));
    handle(&mut selector, Event::Execed(observed(7, 1, 1, 2, "java")));
    let facts_of = |pid, start| selector.facts_of(ProcessId { pid: Pid(pid), start: StartTime(start) });
    assert_eq!(facts_of(7, 1).map(|facts| &*facts.comm), Some("java"));
    assert_eq!(facts_of(7, 2), None, "another process had or will have the pid");
    assert_eq!(facts_of(8, 1), None);
    assert!(selector.facts(Token(1)).is_none() && selector.process(Token(1)).is_none());
}

#[test]
fn processes_are_found_by_the_pod_of_their_container() {
    let mut selector = in_namespace("prod");
    for (pid, digit, uid) in
        [(5, "a", Some("u1")), (6, "b", Some("u1")), (7, "c", Some("u2")), (8, "d", None)]
    {
        let mut observed = observed(pid, 1, 0, u64::from(pid), "java");
        let id = ContainerId::new(&digit.repeat(ContainerId::DIGITS)).expect("an id");
        observed.facts.container = Some(Arc::new(Container { id, pod_uid: uid.map(Into::into) }));
        handle(&mut selector, Event::Seen(observed));
    }
    handle(&mut selector, Event::Seen(observed(9, 1, 0, 9, "java")));
    let found = |uid: &str| {
        let mut found: Vec<_> = selector.in_pods(|one| one == uid).into_iter().collect();
        found.sort_by_key(|(token, _)| *token);
        found.into_iter().map(|(token, facts)| (token.0, facts.key.id.pid.0)).collect::<Vec<_>>()
    };
    assert_eq!(found("u1"), [(5, 5), (6, 6)]);
    assert_eq!(found("u2"), [(7, 7)]);
    assert_eq!(found("u3"), []);
}

#[test]
fn what_arrives_of_a_pod_decides_and_is_passed_on_once() {
    let mut selector = in_namespace("prod");
    handle(&mut selector, Event::Seen(waiting(1)));
    let mut change = |pod| {
        let out = handle(&mut selector, Event::PodChanged { token: Token(1), pod });
        let facts = out.iter().filter(|one| matches!(one, Operation::Facts { token: Token(1), .. })).count();
        (starts(&out), ends(&out), facts)
    };
    assert_eq!(change(pod("dev")), (vec![], vec![], 0));
    assert_eq!(change(pod("prod")), (vec![1], vec![], 0), "the start says it all");
    assert_eq!(change(pod("prod")), (vec![], vec![], 0), "no news");
    let renamed =
        Pod { uid: "u".into(), namespace: Some("prod".into()), name: Some("q".into()), details: None };
    let renamed = PodFacts::Known { pod: Arc::new(renamed), container: None };
    assert_eq!(change(renamed.clone()), (vec![], vec![], 1));
    assert_eq!(change(pod("dev")), (vec![], vec![1], 0));
    change(renamed.clone());
    assert_eq!(selector.facts(Token(1)).map(|facts| &facts.pod), Some(&renamed));
    assert!(handle(&mut selector, Event::PodChanged { token: Token(2), pod: renamed }).is_empty(), "nobody");
}
