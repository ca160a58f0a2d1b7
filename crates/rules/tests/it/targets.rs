//! Named targets.

use crate::decisions::facts;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use telegen_model::{Pod, PodFacts, ProcessFacts};
use telegen_rules::{
    Decision, Key, MatchMode, PidChoice, PodAnnotations, Reason, RuleSet, RuleSpec, TargetId, TargetSpec,
    TargetingSpec, Verdict, Warning,
};

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.into()).collect()
}

fn by_name(list: &[&str]) -> RuleSpec {
    RuleSpec { process_names: names(list), ..RuleSpec::default() }
}

fn target(name: &str, rules: RuleSpec) -> TargetSpec {
    TargetSpec { name: name.into(), rules, ..TargetSpec::default() }
}

fn compile(targets: Vec<TargetSpec>, rules: RuleSpec) -> RuleSet {
    RuleSet::compile(&TargetingSpec { targets, rules, ..TargetingSpec::default() }).expect("valid rules")
}

/// Verdict, target and reason.
fn said(rules: &RuleSet, facts: &ProcessFacts) -> (Verdict, String, String) {
    let decision = rules.decide(facts, None, false);
    (decision.verdict, rules.target(decision).name.to_string(), rules.reason(decision))
}

fn process(comm: &str) -> ProcessFacts {
    facts(comm, &format!("/usr/bin/{comm}"), comm)
}

#[test]
fn the_first_that_says_yes_owns_the_process() {
    let rules = compile(
        vec![target("first", by_name(&["java", "go*"])), target("second", by_name(&["java", "ruby"]))],
        by_name(&["ruby", "perl"]),
    );
    let owner = |comm: &str| said(&rules, &process(comm));
    let yes = |name: &str, reason: &str| (Verdict::Profile, name.to_owned(), reason.to_owned());
    assert_eq!(owner("java"), yes("first", "targets[0].process_names[0] = \"java\""));
    assert_eq!(owner("gopher"), yes("first", "targets[0].process_names[1] = \"go*\""));
    assert_eq!(owner("ruby"), yes("second", "targets[1].process_names[1] = \"ruby\""));
    assert_eq!(owner("perl"), yes("default", "target_process_names[1] = \"perl\""));
    assert_eq!(owner("bash").0, Verdict::Skip);
    assert_eq!(owner("bash").2, "no target matches");
}

#[test]
fn exclusions_of_a_target_are_its_own_and_flat_ones_are_everybodys() {
    let rules = compile(
        vec![
            target("a", RuleSpec { exclude_process_names: names(&["java"]), ..by_name(&["j*"]) }),
            target("b", by_name(&["java"])),
        ],
        RuleSpec { exclude_process_names: names(&["jstack"]), ..RuleSpec::default() },
    );
    assert_eq!(said(&rules, &process("java")).1, "b");
    assert_eq!(said(&rules, &process("jcmd")).1, "a");
    assert_eq!(said(&rules, &process("jstack")).2, "exclude_process_names[0] = \"jstack\"");
    let only = compile(
        vec![target("a", RuleSpec { exclude_process_names: names(&["java"]), ..by_name(&["j*"]) })],
        RuleSpec::default(),
    );
    assert_eq!(said(&only, &process("java")).2, "targets[0].exclude_process_names[0] = \"java\"");
    assert_eq!(said(&only, &process("bash")).2, "no include rule matches");
}

#[test]
fn beside_named_targets_the_flat_keys_are_one_only_if_they_include() {
    let excluding = RuleSpec { exclude_process_names: names(&["x"]), ..RuleSpec::default() };
    let rules = compile(vec![target("a", by_name(&["java"]))], excluding);
    assert_eq!(said(&rules, &process("bash")).0, Verdict::Skip, "it does not take in all the rest");
    assert_eq!(rules.targets().count(), 1);
    let rules = compile(vec![target("a", by_name(&["java"]))], by_name(&["bash"]));
    assert_eq!(said(&rules, &process("bash")).1, "default");
    // A target without include rules takes what is left.
    let rules =
        compile(vec![target("a", by_name(&["java"])), target("rest", RuleSpec::default())], by_name(&[]));
    let rest = (Verdict::Profile, "rest".to_owned(), "targets[1] has no include rule".to_owned());
    assert_eq!(said(&rules, &process("bash")), rest);
}

#[test]
fn while_an_earlier_one_waits_a_later_one_owns() {
    let rules = compile(
        vec![
            target("prod", RuleSpec { namespaces: names(&["prod"]), ..RuleSpec::default() }),
            target("java", by_name(&["java"])),
        ],
        RuleSpec::default(),
    );
    let pending = |comm: &str| ProcessFacts { pod: PodFacts::Pending, ..process(comm) };
    assert_eq!(said(&rules, &pending("java")).1, "java");
    let awaiting = Decision::pending(Reason::Awaiting { key: Key::Namespaces }).of(TargetId::from_number(0));
    assert_eq!(rules.decide(&pending("bash"), None, false), awaiting);
    assert_eq!(said(&rules, &pending("bash")).2, "targets[0].namespaces waits for the pod's namespace");
    let pod = Pod { uid: "u".into(), namespace: Some("prod".into()), name: None, details: None };
    let known = PodFacts::Known { pod: Arc::new(pod), container: None };
    assert_eq!(said(&rules, &ProcessFacts { pod: known, ..process("java") }).1, "prod");
}

#[test]
fn a_pid_belongs_to_the_target_that_names_it() {
    let rules = compile(
        vec![
            target("a", by_name(&["java"])),
            target("b", RuleSpec { pids: vec![7, 10], ..RuleSpec::default() }),
        ],
        RuleSpec { pid: Some(10), exclude_process_names: names(&["bash"]), ..RuleSpec::default() },
    );
    let [_, b, flat]: [PidChoice; 3] = rules.pids().try_into().expect("three");
    let decision = rules.decide(&process("bash"), Some(b), false);
    assert_eq!((rules.reason(decision).as_str(), decision.target), ("targets[1].pids[1] = 10", b.target));
    assert_eq!(rules.reason(rules.decide(&process("bash"), Some(flat), false)), "target_pid = 10");
    let earlier = rules.decide(&process("java"), Some(b), false);
    assert_eq!((&*rules.target(earlier).name, earlier.is_by_pid()), ("a", false));
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn a_target_that_has_ended_selects_nothing_and_widens_nothing() {
    let ending = |name: &str, rules, until| TargetSpec { until: Some(at(until)), ..target(name, rules) };
    let rules = compile(
        vec![
            ending("short", RuleSpec { pid: Some(7), ..by_name(&["java"]) }, 100),
            ending("long", RuleSpec::default(), 200),
        ],
        RuleSpec::default(),
    );
    let owner = |rules: &RuleSet| said(rules, &process("java")).1;
    assert_eq!((owner(&rules), rules.next_end()), ("short".into(), Some(at(100))));
    let before = rules.at(at(99));
    assert_eq!((owner(&before), before.next_end(), before.pids().len()), ("short".into(), Some(at(100)), 1));
    let between = rules.at(at(100));
    assert_eq!(
        (owner(&between), between.next_end(), between.pids().len()),
        ("long".into(), Some(at(200)), 0)
    );
    let after = rules.at(at(200));
    let (verdict, _, reason) = said(&after, &process("java"));
    assert_eq!((verdict, reason.as_str()), (Verdict::Skip, "every target has ended"));
    assert_eq!(after.next_end(), None);
    assert!(after.has_filters());
    let ended = |warning: &Warning| matches!(warning, Warning::Ended { .. });
    assert_eq!(after.warnings().iter().filter(|warning| ended(warning)).count(), 2);
    // Should the clock be set back, they hold again.
    assert_eq!(owner(&after.at(at(1))), "short");
    assert!(after.kernel_rules().rules().is_empty());
}

#[test]
fn each_target_has_its_settings() {
    let rules = compile(
        vec![TargetSpec { sample_hz: Some(199), ..target("fast", by_name(&["java"])) }],
        by_name(&["bash"]),
    );
    let hz = |comm: &str| rules.target(rules.decide(&process(comm), None, false)).sample_hz;
    assert_eq!((hz("java"), hz("bash")), (Some(199), None));
    let other = Decision::profile(Reason::NoIncludeRules).of(TargetId::from_number(9));
    assert_eq!(&*rules.target(other).name, "default", "what other rules have decided");
}

#[test]
fn each_target_says_whether_it_may_not_be_meant_so() {
    let two = || RuleSpec { executables: names(&["/a"]), ..by_name(&["a"]) };
    let rules = compile(
        vec![target("a", two()), target("b", RuleSpec { match_mode: Some(MatchMode::All), ..two() })],
        two(),
    );
    let shown: Vec<String> = rules.warnings().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn the_summary_has_a_word_for_targets_and_their_keys() {
    let everything = RuleSpec {
        pid: Some(1),
        pids: vec![2],
        container_ids: names(&["0123456789ab"]),
        namespaces: names(&["prod-*"]),
        deployments: names(&["d"]),
        daemonsets: names(&["ds"]),
        statefulsets: names(&["ss"]),
        jobs: names(&["j"]),
        cronjobs: names(&["cj"]),
        pods: names(&["p"]),
        labels: vec![telegen_rules::LabelRule::Map(vec![("app".into(), "payments".into())])],
        exclude_namespaces: names(&["kube-system"]),
        exclude_labels: vec![telegen_rules::LabelRule::Selector("!x".into())],
        match_mode: Some(MatchMode::All),
        ..by_name(&["java"])
    };
    let named =
        TargetSpec { until: Some(at(1_796_126_400)), sample_hz: Some(199), ..target("payments", everything) };
    let rules = compile(vec![named, target("rest", RuleSpec::default())], by_name(&["x\n"]));
    insta::assert_snapshot!(rules.summary());
}

#[test]
fn errors_say_which_target_they_are_in() {
    let spec = TargetingSpec {
        targets: vec![target("a", by_name(&["ok", "x["])), target("a", RuleSpec::default())],
        rules: by_name(&["y["]),
        ..TargetingSpec::default()
    };
    let errors = RuleSet::compile(&spec).expect_err("three errors");
    let mut places: Vec<_> = errors.iter().map(telegen_rules::RuleError::place).collect();
    places.sort();
    let place = |path: &str, index| (path.to_owned(), index);
    assert_eq!(
        places,
        [
            place("target_process_names", Some(0)),
            place("targets[0].process_names", Some(1)),
            place("targets[1].name", None)
        ]
    );
    let many = (0..256).map(|n| target(&format!("t{n}"), RuleSpec::default())).collect();
    assert!(RuleSet::compile(&TargetingSpec { targets: many, ..TargetingSpec::default() }).is_err());
}

#[test]
fn of_several_targets_the_nearest_miss_comes_first() {
    let rules = compile(
        vec![target("a", by_name(&["postgres"])), target("b", by_name(&["jaba"]))],
        RuleSpec::default(),
    );
    let facts = process("java");
    let misses = rules.near_misses(&facts, rules.decide(&facts, None, false));
    let shown: Vec<String> = misses.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "targets[1].process_names does not: name is \"java\", closest rule \"jaba\"",
            "targets[0].process_names does not: name is \"java\", closest rule \"postgres\""
        ]
    );
}

#[test]
fn of_several_targets_that_exclude_or_wait_the_first_is_named() {
    let excluding = |name: &str| RuleSpec { exclude_process_names: names(&[name]), ..by_name(&["j*"]) };
    let targets = vec![target("a", excluding("java")), target("b", excluding("ja*"))];
    let rules = compile(targets, RuleSpec::default());
    assert_eq!(said(&rules, &process("java")).2, "targets[0].exclude_process_names[0] = \"java\"");
    assert_eq!(said(&rules, &process("jar")).1, "a");

    let waiting = |namespace: &str| RuleSpec { namespaces: names(&[namespace]), ..RuleSpec::default() };
    let rules = compile(vec![target("a", waiting("x")), target("b", waiting("y"))], RuleSpec::default());
    let decision = rules.decide(&ProcessFacts { pod: PodFacts::Pending, ..process("java") }, None, false);
    assert_eq!((decision.verdict, decision.target.place()), (Verdict::Pending, Some(0)));
}

#[test]
fn an_exclusion_is_awaited_as_one_of_the_target_or_of_everybody() {
    let by_pod = || RuleSpec { exclude_namespaces: names(&["x"]), ..RuleSpec::default() };
    let own = RuleSpec { process_names: names(&["java"]), ..by_pod() };
    let pending = |comm: &str| ProcessFacts { pod: PodFacts::Pending, ..process(comm) };
    let awaiting = Decision::pending(Reason::Awaiting { key: Key::ExcludeNamespaces });
    let rules = compile(vec![target("a", own)], RuleSpec::default());
    let decided = |comm: &str| rules.decide(&pending(comm), None, false);
    assert_eq!(decided("java"), awaiting.of(TargetId::from_number(0)));
    assert_eq!(decided("bash"), Decision::skip(Reason::NotIncluded));
    let rules = compile(vec![target("a", by_name(&["java"]))], by_pod());
    assert_eq!(rules.decide(&pending("java"), None, false), awaiting);
}

#[test]
fn where_a_pod_may_wish_but_does_not_the_reason_is_still_that_of_the_target() {
    let excluding = RuleSpec { exclude_process_names: names(&["java"]), ..by_name(&["j*"]) };
    let targets = vec![target("a", excluding)];
    let pod_annotations = PodAnnotations::Both;
    let rules = RuleSet::compile(TargetingSpec { targets, pod_annotations, ..TargetingSpec::default() });
    let reason = said(&rules.expect("valid rules"), &process("java")).2;
    assert_eq!(reason, "targets[0].exclude_process_names[0] = \"java\"");
}

#[test]
fn a_target_that_waits_outweighs_one_that_excludes() {
    let excluding = RuleSpec { exclude_process_names: names(&["java"]), ..by_name(&["j*"]) };
    let waiting = RuleSpec { namespaces: names(&["x"]), ..RuleSpec::default() };
    for order in [[&excluding, &waiting], [&waiting, &excluding]] {
        let targets = order.into_iter().enumerate();
        let targets = targets.map(|(place, rules)| target(&format!("t{place}"), rules.clone())).collect();
        let rules = compile(targets, RuleSpec::default());
        let pending = ProcessFacts { pod: PodFacts::Pending, ..process("java") };
        assert_eq!(said(&rules, &pending).0, Verdict::Pending, "the fact may still change the answer");
        assert_eq!(said(&rules, &process("java")).0, Verdict::Skip);
    }
}
