//! Scans are pictures taken a while ago: what events have said since is newer, and wins.

use crate::stories::{ends, handle, named, observed, selector, standings, starts};
use std::sync::Arc;
use telegen_model::{Container, ContainerId, Pid, PodFacts, ProcessId, StartTime, TargetNumber, Token};
use telegen_rules::{Reason, RuleSet, RuleSpec, Verdict};
use telegen_select::{Event, Limits, Rates, Repairs, Selector, Standing};

const FOLLOWED: Standing = Standing::Profile { by_pid: false, follow: true, target: TargetNumber(0) };

#[test]
fn a_process_that_died_during_the_scan_stays_dead() {
    let mut selector = selector(named(&["java"]));
    handle(&mut selector, Event::Execed(observed(5, 1, 0, 10, "java")));
    selector.begin_scan();
    assert_eq!(ends(&handle(&mut selector, Event::Exited { token: Token(10) })), [10]);
    assert!(handle(&mut selector, Event::Seen(observed(5, 1, 0, 10, "java"))).is_empty());
    let mut out = Vec::new();
    assert_eq!(selector.finish_scan(&mut out), Repairs::default());
    assert_eq!(selector.selection().counts(), (0, 0));
    assert_eq!(selector.selection().should_profile(Pid(5)).reason, Reason::Unknown);
}

#[test]
fn a_process_that_nobody_had_announced_may_die_during_the_scan_too() {
    let mut selector = selector(named(&["java"]));
    selector.begin_scan();
    // Its exec and its exit overtake the scan, which had found the image before.
    handle(&mut selector, Event::Execed(observed(5, 1, 1, 11, "java")));
    handle(&mut selector, Event::Exited { token: Token(11) });
    assert!(handle(&mut selector, Event::Seen(observed(5, 1, 0, 10, "java"))).is_empty());
    // And one of which nothing but the exit is heard.
    handle(&mut selector, Event::Exited { token: Token(20) });
    assert!(handle(&mut selector, Event::Seen(observed(6, 1, 0, 20, "java"))).is_empty());
    assert_eq!(selector.finish_scan(&mut Vec::new()), Repairs::default());
    assert_eq!(selector.selection().counts(), (0, 0));
}

#[test]
fn an_image_that_was_replaced_during_the_scan_does_not_come_back() {
    let mut selector = selector(named(&["java"]));
    handle(&mut selector, Event::Seen(observed(5, 1, 0, 10, "java")));
    selector.begin_scan();
    handle(&mut selector, Event::Execed(observed(5, 1, 1, 11, "java")));
    assert!(handle(&mut selector, Event::Seen(observed(5, 1, 0, 10, "java"))).is_empty());
    let mut out = Vec::new();
    assert_eq!((selector.finish_scan(&mut out), out.len()), (Repairs::default(), 0));
    assert_eq!(ends(&handle(&mut selector, Event::Exited { token: Token(11) })), [11]);
}

#[test]
fn a_process_whose_pid_was_given_away_during_the_scan_does_not_come_back() {
    let mut selector = selector(named(&["java"]));
    selector.begin_scan();
    let child = observed(5, 9, 0, 30, "bash");
    handle(&mut selector, Event::Forked { child, parent: Token(1) });
    assert!(handle(&mut selector, Event::Seen(observed(5, 1, 3, 10, "java"))).is_empty());
    assert_eq!(selector.selection().should_profile(Pid(5)).verdict, Verdict::Skip);
}

#[test]
fn news_that_is_older_than_what_the_scan_has_seen_changes_nothing() {
    let mut selector = selector(named(&["java"]));
    selector.begin_scan();
    assert_eq!(starts(&handle(&mut selector, Event::Seen(observed(5, 1, 1, 11, "java")))), [11]);
    selector.finish_scan(&mut Vec::new());
    let child = observed(5, 1, 0, 10, "bash");
    assert!(handle(&mut selector, Event::Forked { child, parent: Token(1) }).is_empty());
    assert!(handle(&mut selector, Event::Execed(observed(5, 1, 1, 11, "java"))).is_empty());
    assert!(selector.selection().should_profile(Pid(5)).is_profile());
}

#[test]
fn a_name_given_during_the_scan_is_kept() {
    let mut selector = selector(named(&["java"]));
    handle(&mut selector, Event::Seen(observed(5, 1, 0, 10, "bash")));
    selector.begin_scan();
    let renamed = Event::Renamed { token: Token(10), comm: "java".into() };
    assert_eq!(starts(&handle(&mut selector, renamed)), [10]);
    let mut stale = observed(5, 1, 0, 10, "bash");
    stale.standing = Standing::Profile { by_pid: false, follow: false, target: TargetNumber(0) };
    assert!(handle(&mut selector, Event::Seen(stale)).is_empty());
    selector.finish_scan(&mut Vec::new());
    // The next scan is believed again: a rename can be lost.
    selector.begin_scan();
    assert_eq!(ends(&handle(&mut selector, Event::Seen(observed(5, 1, 0, 10, "bash")))), [10]);
}

#[test]
fn where_a_process_was_put_during_the_scan_is_kept() {
    let mut selector = selector(named(&["java"]));
    let stale = observed(5, 1, 0, 10, "java");
    handle(&mut selector, Event::Seen(stale.clone()));
    selector.begin_scan();
    let id = ContainerId::new(&"ab".repeat(32)).unwrap();
    let moved = Event::Moved {
        token: Token(10),
        container: Some(Arc::new(Container { id, pod_uid: None })),
        pod: PodFacts::NotHere,
        standing: Standing::Undecided,
    };
    handle(&mut selector, moved);
    handle(&mut selector, Event::Seen(stale.clone()));
    selector.finish_scan(&mut Vec::new());
    let kept = selector.selection().all_processes().remove(0).facts;
    assert_eq!((kept.container.is_some(), &kept.pod), (true, &PodFacts::NotHere));
    // The next scan is believed again: a move can be lost.
    selector.begin_scan();
    handle(&mut selector, Event::Seen(stale));
    assert!(selector.selection().all_processes()[0].facts.container.is_none());
}

#[test]
fn descendants_of_the_recorded_command_are_followed_though_a_scan_saw_them_first() {
    let mut selector = selector(named(&["nothing"]));
    handle(&mut selector, Event::Seen(observed(5, 1, 0, 10, "sh")));
    assert!(selector.follow(ProcessId { pid: Pid(5), start: StartTime(1) }, &mut Vec::new()));
    selector.begin_scan();
    let mut child = observed(6, 2, 0, 11, "sh");
    child.standing = FOLLOWED;
    let out = handle(&mut selector, Event::Seen(child.clone()));
    assert_eq!((starts(&out), standings(&out)), (vec![11], vec![]));
    assert!(handle(&mut selector, Event::Forked { child, parent: Token(10) }).is_empty());
    let mut image = observed(6, 2, 1, 12, "ls");
    image.standing = FOLLOWED;
    let out = handle(&mut selector, Event::Seen(image));
    assert_eq!((ends(&out), starts(&out), standings(&out)), (vec![11], vec![12], vec![]));
    assert_eq!(selector.selection().should_profile(Pid(6)).reason, Reason::Followed);
}

#[test]
fn a_decision_that_the_kernel_did_not_take_is_repeated() {
    let mut selector = selector(named(&["java"]));
    handle(&mut selector, Event::Seen(observed(5, 1, 0, 10, "java")));
    selector.begin_scan();
    let out = handle(&mut selector, Event::Seen(observed(5, 1, 0, 10, "java")));
    assert_eq!(
        standings(&out),
        [Standing::Profile { by_pid: false, follow: false, target: TargetNumber(0) }]
    );
    assert!(starts(&out).is_empty() && ends(&out).is_empty());
}

#[test]
fn a_place_that_falls_free_goes_to_the_oldest_that_was_refused() {
    let mut selector = Selector::new(named(&["a"]), Pid(1), Limits { max_targets: 2 }, Rates::default());
    for pid in 5..9 {
        handle(&mut selector, Event::Seen(observed(pid, 1, 0, u64::from(pid), "a")));
    }
    assert_eq!(selector.selection().refused(), 2);
    // One that has given up waiting is passed over.
    handle(&mut selector, Event::Renamed { token: Token(8), comm: "b".into() });
    let out = handle(&mut selector, Event::Exited { token: Token(5) });
    assert_eq!((ends(&out), starts(&out)), (vec![5], vec![7]));
    // A target that runs another program keeps its place.
    let out = handle(&mut selector, Event::Execed(observed(6, 1, 1, 10, "a")));
    assert_eq!((ends(&out), starts(&out)), (vec![6], vec![10]));
    let selection = selector.selection();
    assert_eq!((selection.counts().1, selection.refused()), (2, 2), "each is counted once");
}

#[test]
fn a_scan_gives_the_places_of_those_that_are_gone_to_others() {
    let mut selector = Selector::new(named(&["a"]), Pid(1), Limits { max_targets: 1 }, Rates::default());
    for pid in [5, 6] {
        handle(&mut selector, Event::Seen(observed(pid, 1, 0, u64::from(pid), "a")));
    }
    selector.begin_scan();
    handle(&mut selector, Event::Seen(observed(6, 1, 0, 6, "a")));
    let mut out = Vec::new();
    assert_eq!(selector.finish_scan(&mut out), Repairs { found: 0, gone: 1 });
    assert_eq!((ends(&out), starts(&out)), (vec![5], vec![6]));
}

#[test]
fn what_happens_after_a_scan_is_held_against_no_picture() {
    let mut selector = selector(named(&["java"]));
    selector.begin_scan();
    selector.finish_scan(&mut Vec::new());
    handle(&mut selector, Event::Exited { token: Token(20) });
    assert_eq!(starts(&handle(&mut selector, Event::Seen(observed(6, 1, 0, 20, "java")))), [20]);
}

#[test]
fn a_pid_in_both_keys_is_named_by_the_first() {
    for (pid, reason) in [(None, "target_pids[0] = 5"), (Some(5), "target_pid = 5")] {
        let rules = RuleSpec { pid, pids: vec![5, 5], ..RuleSpec::default() };
        let mut selector = selector(RuleSet::compile(&rules).expect("valid"));
        handle(&mut selector, Event::Seen(observed(5, 1, 0, 10, "a")));
        let selection = selector.selection();
        assert_eq!(selection.reason(selection.should_profile(Pid(5))), reason);
    }
}

#[test]
fn a_rename_that_was_lost_is_found_though_the_kernel_still_stands_by_the_old_name() {
    let mut selector = selector(named(&["java"]));
    handle(&mut selector, Event::Seen(observed(5, 1, 0, 10, "java")));
    selector.begin_scan();
    let mut renamed = observed(5, 1, 0, 10, "bash");
    renamed.standing = Standing::Profile { by_pid: false, follow: false, target: TargetNumber(0) };
    let out = handle(&mut selector, Event::Seen(renamed));
    assert_eq!((ends(&out), standings(&out)), (vec![10], vec![Standing::Skip]));
}

#[test]
fn who_ceases_to_match_gives_its_place_to_another() {
    let mut selector = Selector::new(named(&["a"]), Pid(1), Limits { max_targets: 2 }, Rates::default());
    for pid in 5..9 {
        handle(&mut selector, Event::Seen(observed(pid, 1, 0, u64::from(pid), "a")));
    }
    for (leaver, heir) in [(5, 7), (6, 8)] {
        let mut elsewhere = observed(leaver, 1, 1, u64::from(leaver) + 100, "b");
        elsewhere.standing = Standing::Undecided;
        let out = handle(&mut selector, Event::Execed(elsewhere));
        assert_eq!((ends(&out), starts(&out)), (vec![u64::from(leaver)], vec![heir]));
        assert_eq!(selector.selection().counts(), (4, 2));
    }
    let out = handle(&mut selector, Event::Renamed { token: Token(7), comm: "b".into() });
    assert!(out.is_empty(), "it still has the name of its executable: {out:?}");
    let mut seen = observed(7, 1, 0, 7, "b");
    seen.standing = Standing::Profile { by_pid: false, follow: false, target: TargetNumber(0) };
    let out = handle(&mut selector, Event::Seen(seen));
    assert_eq!((ends(&out), selector.selection().counts()), (vec![7], (4, 1)), "by a scan, too");
    assert!(!selector.is_full());
}

#[test]
fn at_a_reload_those_who_leave_make_room_for_those_who_come() {
    let mut selector = Selector::new(named(&["b"]), Pid(1), Limits { max_targets: 1 }, Rates::default());
    for (pid, name) in [(5, "a"), (6, "b"), (7, "a")] {
        handle(&mut selector, Event::Seen(observed(pid, 1, 0, u64::from(pid), name)));
    }
    let mut out = Vec::new();
    selector.reload(named(&["a"]), Rates::default(), &mut out);
    assert_eq!((ends(&out), starts(&out)), (vec![6], vec![5]));
    let selection = selector.selection();
    assert_eq!(
        (selection.counts(), selection.refused()),
        ((3, 1), 1),
        "only the second of two is one too many"
    );
}
