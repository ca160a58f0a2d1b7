//! What is said of decisions, errors and near misses, word for word.

use crate::decisions::{decide, facts, rules};
use crate::needs::only;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use telegen_model::{
    Container, ContainerId, Pod, PodDetails, PodFacts, ProcessFacts, Workload, WorkloadKind,
};
use telegen_rules::{
    Decision, Key, LabelRule, MatchMode, PodAnnotations, Reason, RuleSet, RuleSpec, TargetId, TargetSpec,
    TargetingSpec,
};

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.into()).collect()
}

fn named(targets: Vec<RuleSpec>, flat: RuleSpec) -> TargetingSpec {
    let target = |(place, rules)| TargetSpec { name: format!("t{place}"), rules, ..TargetSpec::default() };
    TargetingSpec {
        targets: targets.into_iter().enumerate().map(target).collect(),
        rules: flat,
        ..TargetingSpec::default()
    }
}

fn compile(spec: TargetingSpec) -> RuleSet {
    RuleSet::compile(spec).expect("valid rules")
}

#[test]
fn every_reason_has_its_words() {
    let rules = compile(named(vec![only(Key::ProcessNames)], RuleSpec::default()));
    let first = TargetId::from_number(0);
    for (reason, flat, of_target) in [
        (Reason::KernelThread, "kernel thread", "kernel thread"),
        (Reason::Agent, "the agent itself (profile_self: false)", "the agent itself (profile_self: false)"),
        (Reason::NoIncludeRules, "no include rule is configured", "targets[0] has no include rule"),
        (
            Reason::AllIncluded,
            "every configured include type matches (match: all)",
            "every include type of targets[0] matches (match: all)",
        ),
        (Reason::Followed, "descendant of the recorded command", "descendant of the recorded command"),
        (
            Reason::TooManyTargets,
            "matches, but limits.max_targets is reached",
            "matches, but limits.max_targets is reached",
        ),
        (Reason::Unknown, "not looked at yet", "not looked at yet"),
        (Reason::NotIncluded, "no include rule matches", "no include rule matches"),
        (
            Reason::Awaiting { key: Key::Pods },
            "target_pods waits for the pod",
            "targets[0].pods waits for the pod",
        ),
        (
            Reason::Awaiting { key: Key::ExcludeJobs },
            "exclude_jobs waits for the pod's workload",
            "targets[0].exclude_jobs waits for the pod's workload",
        ),
        (
            Reason::Included { key: Key::ProcessNames, index: 0 },
            "target_process_names[0]",
            "targets[0].process_names[0] = \"0123456789ab\"",
        ),
        (
            Reason::Included { key: Key::ProcessNames, index: 1 },
            "target_process_names[1]",
            "targets[0].process_names[1]",
        ),
        (Reason::Pid { key: Key::Pids, index: 0 }, "target_pids", "targets[0].pids"),
    ] {
        let decision = Decision::skip(reason);
        assert_eq!(
            (rules.reason(decision), rules.reason(decision.of(first))),
            (flat.into(), of_target.into())
        );
    }
    let gone =
        Decision::skip(Reason::Included { key: Key::ProcessNames, index: 0 }).of(TargetId::from_number(9));
    assert_eq!(rules.reason(gone), "targets[9].process_names", "other rules may have had it");
}

#[test]
fn why_nothing_has_included_it_depends_on_what_there_is() {
    let said = |rules: &RuleSet| rules.reason(decide(rules, &facts("java", "/java", "")));
    let all = RuleSpec { match_mode: Some(MatchMode::All), ..only(Key::ProcessNames) };
    let names = only(Key::ProcessNames);
    for (targets, flat, expected) in [
        (vec![], names.clone(), "no include rule matches"),
        (vec![], all.clone(), "not every configured include type matches (match: all)"),
        (vec![names.clone()], RuleSpec::default(), "no include rule matches"),
        (vec![all.clone()], RuleSpec::default(), "not every configured include type matches (match: all)"),
        (vec![all.clone(), names.clone()], RuleSpec::default(), "no target matches"),
        (vec![all.clone(), all.clone(), all.clone()], RuleSpec::default(), "no target matches"),
        (vec![names.clone()], names, "no target matches"),
    ] {
        assert_eq!(said(&compile(named(targets, flat))), expected);
    }
    assert_eq!(said(&RuleSet::nothing()), "no include rule matches");
    let end = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    let mut ended = named(vec![all], RuleSpec::default());
    ended.targets[0].until = Some(end);
    assert_eq!(said(&compile(ended).at(end)), "every target has ended");
}

#[test]
fn rules_are_named_as_they_were_written() {
    let label = |text: &str| LabelRule::Selector(text.into());
    let map = LabelRule::Map(vec![("a".into(), "b".into()), ("c".into(), "d".into())]);
    let spec = RuleSpec {
        pid: Some(3),
        pids: vec![4, 5],
        labels: vec![map, label("x")],
        exclude_labels: vec![label("y"), label("z")],
        ..RuleSpec::default()
    };
    let rules =
        compile(TargetingSpec { pod_annotations: PodAnnotations::OptOut, ..TargetingSpec::from(&spec) });
    let reason = |reason| rules.reason(Decision::skip(reason));
    assert_eq!(reason(Reason::Pid { key: Key::Pid, index: 0 }), "target_pid = 3");
    assert_eq!(reason(Reason::Pid { key: Key::Pids, index: 1 }), "target_pids[1] = 5");
    assert_eq!(reason(Reason::Pid { key: Key::Pids, index: 2 }), "target_pids");
    let by_labels = reason(Reason::Included { key: Key::Labels, index: 0 });
    assert_eq!(by_labels, "target_labels = \"a=b,c=d\" and \"x\"");
    let excluded = |index| reason(Reason::Excluded { key: Key::ExcludeLabels, index });
    assert_eq!((excluded(1), excluded(2)), ("exclude_labels[1] = \"z\"".into(), "exclude_labels[2]".into()));
    assert_eq!(
        reason(Reason::Excluded { key: Key::PodAnnotations, index: 0 }),
        "pod_annotations: opt_out, and the pod's annotation telegen.io/profile says so"
    );
    assert_eq!(
        rules.summary(),
        "Active filters: PID=[3], PIDs=[4,5], Labels=[a=b,c=d,x], ExcludeLabels=[y,z], PodAnnotations=opt_out"
    );
}

#[test]
fn the_only_rule_on_labels_needs_no_place() {
    for key in [Key::Labels, Key::ExcludeLabels] {
        let rules = rules(|own| *own = only(key));
        let reason = if key.is_exclusion() {
            Reason::Excluded { key, index: 0 }
        } else {
            Reason::Included { key, index: 0 }
        };
        assert_eq!(rules.reason(Decision::skip(reason)), format!("{} = \"app=web\"", key.name()));
    }
}

#[test]
fn what_is_wrong_is_said_with_and_without_its_place() {
    let spec = RuleSpec {
        process_names: names(&["a["]),
        container_ids: names(&["abc"]),
        exclude_container_ids: names(&["xyz"]),
        labels: vec![LabelRule::Selector("a b".into())],
        exclude_labels: vec![LabelRule::Map(vec![("a".into(), "-".into())])],
        ..RuleSpec::default()
    };
    let mut all = named(vec![RuleSpec::default()], spec);
    all.targets[0].name = "a b".into();
    let errors = RuleSet::compile(all).expect_err("six errors");
    let shown: Vec<String> =
        errors.iter().map(|error| format!("{:?} {}\n  {error}", error.place(), error.message())).collect();
    insta::assert_snapshot!(shown.join("\n"));
}

/// In a container of a pod of the job `nightly`, in the namespace `prod`.
fn in_pod() -> ProcessFacts {
    let details = PodDetails {
        node: "n".into(),
        labels: [("app".into(), "web".into()), ("tier".into(), "a".into())].into(),
        annotations: Default::default(),
        workload: Workload { kind: WorkloadKind::Job, name: "nightly".into() },
    };
    let pod = Pod {
        uid: "u".into(),
        namespace: Some("prod".into()),
        name: Some("nightly-x".into()),
        details: Some(details),
    };
    let id = ContainerId::new(&"0123456789abcdef".repeat(4)).expect("an id");
    ProcessFacts {
        container: Some(Arc::new(Container { id, pod_uid: None })),
        pod: PodFacts::Known { pod: Arc::new(pod), container: None },
        ..facts("java", "/usr/bin/java", "server")
    }
}

#[test]
fn of_each_key_it_is_said_what_comes_closest() {
    let label = |text: &str| LabelRule::Selector(text.into());
    let misses = |facts: &ProcessFacts, spec: RuleSpec| -> Vec<String> {
        let rules = rules(|own| *own = spec);
        let near = rules.near_misses(facts, decide(&rules, facts));
        near.iter().map(|near| format!("{} {near}", near.distance())).collect()
    };
    let spec = |mode| RuleSpec {
        process_names: names(&["postgres", "jav", "servr", "lava?"]),
        executables: names(&["/usr/bin/jav", "/opt/*"]),
        container_ids: names(&["abcdefabcdef"]),
        namespaces: names(&["pro", "production"]),
        deployments: names(&["nightly"]),
        jobs: names(&["nightl", "daily"]),
        pods: names(&["nightly-*y"]),
        labels: vec![label("app=db,tier"), label("tier=b,!app,x")],
        match_mode: Some(mode),
        ..RuleSpec::default()
    };
    let bare = facts("java", "", "");
    let mut lines = Vec::new();
    for mode in [MatchMode::Any, MatchMode::All] {
        lines.extend(misses(&in_pod(), spec(mode)));
        lines.extend(misses(&bare, spec(mode)));
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn a_type_that_one_of_its_keys_has_matched_is_missing_nothing() {
    let rules = rules(|spec| {
        spec.deployments = names(&["x"]);
        spec.jobs = names(&["nightly"]);
        spec.process_names = names(&["none"]);
        spec.match_mode = Some(MatchMode::All);
    });
    let near = rules.near_misses(&in_pod(), decide(&rules, &in_pod())).remove(0);
    assert_eq!(near.matched, [Key::Jobs]);
    assert_eq!(near.missed.iter().map(|miss| miss.key).collect::<Vec<_>>(), [Key::ProcessNames]);
    assert_eq!(near.awaited, []);
}

#[test]
fn only_what_may_still_be_is_a_near_miss() {
    let rules = rules(|spec| {
        spec.process_names = names(&["ruby"]);
        spec.exclude_process_names = names(&["java"]);
    });
    let java = facts("java", "/java", "");
    assert!(rules.near_misses(&java, decide(&rules, &java)).is_empty(), "it is excluded");
    let ruby = facts("ruby", "/ruby", "");
    assert!(rules.near_misses(&ruby, decide(&rules, &ruby)).is_empty(), "it is included");
    let bash = facts("bash", "/bash", "");
    assert_eq!(rules.near_misses(&bash, decide(&rules, &bash)).len(), 1);
}
