//! Rules on pods, and what holds while nothing is known of one.

use crate::decisions::{decide, facts, rules};
use std::sync::Arc;
use telegen_model::{Pod, PodDetails, PodFacts, ProcessFacts, Workload, WorkloadKind};
use telegen_rules::{
    Decision, Key, LabelRule, MatchMode, PROFILE_ANNOTATION, PodAnnotations, Reason, RuleSet, RuleSpec,
    TargetingSpec, Verdict,
};

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.into()).collect()
}

/// A pod of the Deployment `web` in the namespace `prod`, labelled `app=web`.
fn web(wish: Option<&str>) -> PodFacts {
    let details = PodDetails {
        node: "node-1".into(),
        labels: [("app".into(), "web".into())].into(),
        annotations: wish.map(|wish| (PROFILE_ANNOTATION.into(), wish.into())).into_iter().collect(),
        workload: Workload { kind: WorkloadKind::Deployment, name: "web".into() },
    };
    pod(Some("prod"), Some("web-1"), Some(details))
}

fn pod(namespace: Option<&str>, name: Option<&str>, details: Option<PodDetails>) -> PodFacts {
    let pod =
        Pod { uid: "u".into(), namespace: namespace.map(Into::into), name: name.map(Into::into), details };
    PodFacts::Known { pod: Arc::new(pod), container: Some("main".into()) }
}

fn java(pod: PodFacts) -> ProcessFacts {
    ProcessFacts { pod, ..facts("java", "/usr/bin/java", "java") }
}

fn explained(rules: &RuleSet, facts: &ProcessFacts) -> String {
    let decision = decide(rules, facts);
    let misses: Vec<String> =
        rules.near_misses(facts, decision).iter().map(|miss| format!(" | {miss}")).collect();
    format!("{}: {}{}", decision.verdict.name(), rules.reason(decision), misses.concat())
}

#[test]
fn each_key_matches_its_fact() {
    let matching: [fn(&mut RuleSpec); 5] = [
        |spec| spec.namespaces = names(&["dev", "pr*"]),
        |spec| spec.deployments = names(&["web"]),
        |spec| spec.pods = names(&["web-[0-9]"]),
        |spec| spec.labels = vec![LabelRule::Selector("app in (web,db)".into())],
        |spec| spec.labels = vec![LabelRule::Map(vec![("app".into(), "web".into())])],
    ];
    for configure in matching {
        let rules = rules(configure);
        assert!(rules.needs_pod() && rules.needs_container());
        assert!(decide(&rules, &java(web(None))).is_profile(), "{}", rules.summary());
        for other in [PodFacts::InNone, PodFacts::NotHere, pod(Some("dev2"), Some("x"), None)] {
            assert_eq!(decide(&rules, &java(other)), Decision::skip(Reason::NotIncluded));
        }
        assert_eq!(decide(&rules, &java(PodFacts::Pending)).verdict, Verdict::Pending);
    }
    for configure in [
        (|spec| spec.daemonsets = names(&["web"])) as fn(&mut RuleSpec),
        |spec| spec.statefulsets = names(&["web"]),
        |spec| spec.jobs = names(&["*"]),
        |spec| spec.cronjobs = names(&["*"]),
    ] {
        assert!(!decide(&rules(configure), &java(web(None))).is_profile(), "it is a deployment's");
    }
}

#[test]
fn processes_of_the_host_are_neither_in_nor_out_by_facts_of_pods() {
    let rules = rules(|spec| spec.exclude_namespaces = names(&["*"]));
    assert!(decide(&rules, &java(PodFacts::InNone)).is_profile());
    assert!(decide(&rules, &java(PodFacts::NotHere)).is_profile());
    assert!(!decide(&rules, &java(web(None))).is_profile());
}

#[test]
fn the_kinds_of_workload_are_one_type_of_match_all() {
    let rules = rules(|spec| {
        spec.process_names = names(&["java"]);
        spec.deployments = names(&["web"]);
        spec.statefulsets = names(&["db"]);
        spec.match_mode = Some(MatchMode::All);
    });
    let decision = decide(&rules, &java(web(None)));
    assert_eq!(decision, Decision::profile(Reason::AllIncluded));
    assert_eq!(rules.warnings(), []);
}

#[test]
fn a_process_is_pending_only_while_the_pod_could_change_the_answer() {
    let any = |mode| {
        rules(|spec| {
            spec.process_names = names(&["java"]);
            spec.namespaces = names(&["prod"]);
            spec.match_mode = Some(mode);
        })
    };
    let pending = java(PodFacts::Pending);
    assert!(decide(&any(MatchMode::Any), &pending).is_profile(), "its name is enough");
    let decision = decide(&any(MatchMode::All), &pending);
    assert_eq!(decision, Decision::pending(Reason::Awaiting { key: Key::Namespaces }));
    let two = rules(|spec| {
        spec.namespaces = names(&["prod"]);
        spec.pods = names(&["web-*"]);
        spec.match_mode = Some(MatchMode::All);
    });
    assert_eq!(decide(&two, &pending), decision, "the first that waits is named");
    let bash = ProcessFacts { comm: "bash".into(), executable: None, argv0: None, ..pending.clone() };
    assert_eq!(decide(&any(MatchMode::All), &bash), Decision::skip(Reason::NotIncluded));
    let excluding = rules(|spec| {
        spec.process_names = names(&["java"]);
        spec.exclude_namespaces = names(&["kube-system"]);
    });
    let decision = decide(&excluding, &pending);
    assert_eq!(decision, Decision::pending(Reason::Awaiting { key: Key::ExcludeNamespaces }));
    assert!(!decide(&excluding, &bash).is_profile());
    assert_eq!(decide(&excluding, &bash).verdict, Verdict::Skip);
}

#[test]
fn what_is_awaited_and_what_is_missing_is_said() {
    let rules = rules(|spec| {
        spec.process_names = names(&["java"]);
        spec.namespaces = names(&["staging"]);
        spec.labels = vec![LabelRule::Selector("app=db".into())];
        spec.exclude_pods = names(&["x"]);
        spec.match_mode = Some(MatchMode::All);
    });
    let lines = [
        PodFacts::Pending,
        web(None),
        PodFacts::InNone,
        PodFacts::NotHere,
        pod(Some("prod"), None, None),
        pod(None, None, None),
    ]
    .map(|pod| explained(&rules, &java(pod)));
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn all_label_rules_of_an_inclusion_and_one_of_an_exclusion() {
    let rule = |text: &str| LabelRule::Selector(text.into());
    let both = rules(|spec| spec.labels = vec![rule("app=web"), rule("!canary")]);
    assert_eq!(explained(&both, &java(web(None))), "profile: target_labels = \"app=web\" and \"!canary\"");
    assert!(
        !decide(&rules(|spec| spec.labels = vec![rule("app=web"), rule("x")]), &java(web(None))).is_profile()
    );
    let out = rules(|spec| spec.exclude_labels = vec![rule("x"), rule("app")]);
    assert_eq!(explained(&out, &java(web(None))), "skip: exclude_labels[1] = \"app\"");
}

#[test]
fn an_empty_rule_on_labels_is_none_rather_than_one_that_every_pod_fulfils() {
    for empty in [LabelRule::Map(Vec::new()), LabelRule::Selector(" ".into())] {
        let rules_of = |configure: &dyn Fn(&mut RuleSpec)| rules(|spec| configure(spec));
        let excluding = rules_of(&|spec| spec.exclude_labels = vec![empty.clone()]);
        assert_eq!(decide(&excluding, &java(web(None))), Decision::profile(Reason::NoIncludeRules));
        assert!(!excluding.has_filters());
        let including = rules_of(&|spec| {
            spec.labels = vec![empty.clone()];
            spec.pods = names(&["other"]);
        });
        assert_eq!(decide(&including, &java(web(None))), Decision::skip(Reason::NotIncluded));
    }
}

#[test]
fn a_pod_can_be_taken_out_or_put_in_by_its_annotation() {
    let spec = |pod_annotations, exclude: &[&str]| TargetingSpec {
        rules: RuleSpec {
            process_names: names(&["ruby"]),
            exclude_process_names: names(exclude),
            ..RuleSpec::default()
        },
        pod_annotations,
        ..TargetingSpec::default()
    };
    let compile = |pod_annotations, exclude: &[&str]| {
        RuleSet::compile(spec(pod_annotations, exclude)).expect("valid rules")
    };
    let ruby = |pod| ProcessFacts { pod, ..facts("ruby", "/ruby", "") };
    for (mode, out, inside) in [
        (PodAnnotations::Off, false, false),
        (PodAnnotations::OptOut, true, false),
        (PodAnnotations::Both, true, true),
    ] {
        let rules = compile(mode, &[]);
        assert_eq!(decide(&rules, &ruby(web(Some("false")))).is_profile(), !out, "{mode:?}");
        assert_eq!(decide(&rules, &java(web(Some("true")))).is_profile(), inside, "{mode:?}");
        assert!(
            decide(&rules, &ruby(web(None))).is_profile() && !decide(&rules, &java(web(None))).is_profile()
        );
        assert_eq!(rules.needs_pod(), mode != PodAnnotations::Off);
    }
    let both = compile(PodAnnotations::Both, &["java"]);
    assert_eq!(explained(&both, &java(web(Some("true")))), "skip: exclude_process_names[0] = \"java\"");
    assert_eq!(
        explained(&compile(PodAnnotations::Both, &[]), &java(web(Some("true")))),
        "profile: pod_annotations: both, and the pod's annotation telegen.io/profile says so"
    );
    // A pid is for debugging, and wins.
    let by_pid = TargetingSpec {
        rules: RuleSpec { pid: Some(10), ..RuleSpec::default() },
        pod_annotations: PodAnnotations::OptOut,
        ..TargetingSpec::default()
    };
    let by_pid = RuleSet::compile(&by_pid).expect("valid rules");
    let choice = by_pid.pids().first().copied();
    assert!(by_pid.decide(&java(web(Some("false"))), choice, false).is_profile());
}

#[test]
fn a_process_waits_for_the_wish_of_its_pod() {
    let (waits, out) = (
        Decision::pending(Reason::Awaiting { key: Key::PodAnnotations }),
        Decision::skip(Reason::NotIncluded),
    );
    let inside = Decision::profile(Reason::Included { key: Key::ProcessNames, index: 0 });
    for (pod_annotations, ruby, java) in [
        (PodAnnotations::Off, inside, out),
        (PodAnnotations::OptOut, waits, out),
        (PodAnnotations::Both, waits, waits),
    ] {
        let rules = RuleSpec { process_names: names(&["ruby"]), ..RuleSpec::default() };
        let rules = RuleSet::compile(TargetingSpec { rules, pod_annotations, ..TargetingSpec::default() });
        let rules = rules.expect("valid rules");
        let of = |name: &str, pod| decide(&rules, &ProcessFacts { pod, ..facts(name, "/x", "") });
        let pending = (of("ruby", PodFacts::Pending), of("java", PodFacts::Pending));
        assert_eq!(pending, (ruby, java), "{pod_annotations:?}");
        for nobody in [PodFacts::InNone, PodFacts::NotHere] {
            assert_eq!(
                (of("ruby", nobody.clone()), of("java", nobody)),
                (inside, out),
                "{pod_annotations:?}"
            );
        }
    }
}

#[test]
fn bad_rules_on_labels_are_named() {
    let spec = RuleSpec {
        labels: vec![LabelRule::Selector("tier in a".into())],
        exclude_labels: vec![LabelRule::Map(vec![("a b".into(), "c".into())])],
        ..RuleSpec::default()
    };
    let errors = RuleSet::compile(&spec).expect_err("two errors");
    let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn so_many_rules_on_labels_and_no_more() {
    let rules_of = |count| {
        let labels = vec![LabelRule::Selector("app=web".into()); count];
        RuleSet::compile(&RuleSpec { labels, ..RuleSpec::default() })
    };
    assert!(rules_of(256).is_ok());
    let errors = rules_of(257).expect_err("one too many");
    assert_eq!(errors.len(), 1);
    assert!(errors[0].to_string().starts_with("target_labels[256]"), "{}", errors[0]);
}
