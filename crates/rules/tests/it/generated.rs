//! Random rules, and random processes of which many match them.

use crate::decisions::facts;
use proptest::prelude::*;
use std::sync::Arc;
use telegen_model::{
    Container, ContainerId, Pod, PodDetails, PodFacts, ProcessFacts, Workload, WorkloadKind,
};
use telegen_rules::{
    LabelRule, MatchMode, PROFILE_ANNOTATION, PodAnnotations, PodLabels, RuleSpec, TargetSpec, TargetingSpec,
};

/// Patterns of pieces, most of which match something that [`processes`] makes.
pub(crate) fn patterns(start: &'static str) -> impl Strategy<Value = Vec<String>> {
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

/// Mostly nothing, so that rules of several types come together but seldom all.
fn seldom(list: impl Strategy<Value = Vec<String>> + Clone + 'static) -> impl Strategy<Value = Vec<String>> {
    prop_oneof![3 => Just(Vec::new()), 1 => list]
}

fn words() -> impl Strategy<Value = Vec<String>> + Clone {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "a*", "?"]).prop_map(str::to_owned), 1..3)
}

/// Ids, whole or cut short, of few enough containers that many match.
fn container_ids() -> impl Strategy<Value = Vec<String>> + Clone {
    let id = (0usize..3, prop_oneof![Just(12usize), Just(13), Just(64)]);
    prop::collection::vec(id.prop_map(|(which, digits)| CONTAINERS[which][..digits].to_owned()), 1..3)
}

const CONTAINERS: [&str; 3] = [
    "aaaaaaaaaaaa1111aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "aaaaaaaaaaaa2222aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "bbbbbbbbbbbb0000bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
];

const SELECTORS: [&str; 6] = ["x=1", "x!=1", "x", "!x", "x in (1,2),y", "x notin (1)"];

fn label_rules() -> impl Strategy<Value = Vec<LabelRule>> {
    let map = prop::sample::select(vec![vec![("x", "1")], vec![("x", "1"), ("y", "2")]]).prop_map(|pairs| {
        LabelRule::Map(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    });
    let selector = prop::sample::select(SELECTORS.to_vec()).prop_map(|text| LabelRule::Selector(text.into()));
    let rules = prop::collection::vec(prop_oneof![map, selector], 1..3);
    prop_oneof![3 => Just(Vec::new()), 1 => rules]
}

/// What each of the rules means, written out.
pub(crate) fn labels_match(rule: &LabelRule, labels: &PodLabels) -> bool {
    let get = |key: &str| labels.get(key).map(|value| &**value);
    match rule {
        LabelRule::Map(pairs) => pairs.iter().all(|(key, value)| get(key) == Some(value)),
        LabelRule::Selector(text) => match text.as_str() {
            "x=1" => get("x") == Some("1"),
            "x!=1" | "x notin (1)" => get("x") != Some("1"),
            "x" => get("x").is_some(),
            "!x" => get("x").is_none(),
            _ => matches!(get("x"), Some("1" | "2")) && get("y").is_some(),
        },
    }
}

const NAME: &str = "[abé*,{]{1,4}";

prop_compose! {
    fn workloads()(
        deployments in seldom(words()), daemonsets in seldom(words()), statefulsets in seldom(words()),
        jobs in seldom(words()), cronjobs in seldom(words()),
    ) -> [Vec<String>; 5] {
        [deployments, daemonsets, statefulsets, jobs, cronjobs]
    }
}

prop_compose! {
    /// Rules of one target.
    pub(crate) fn rules()(
        pid in prop::option::weighted(0.1, 1u32..3), pids in prop_oneof![4 => Just(vec![]), 1 => Just(vec![1, 2])],
        process_names in patterns(""), executables in patterns("/"), container_ids in seldom(container_ids()),
        namespaces in seldom(words()), pods in seldom(words()), workloads in workloads(), labels in label_rules(),
        match_mode in prop::option::of(prop_oneof![Just(MatchMode::Any), Just(MatchMode::All)]),
        none in prop::bool::weighted(0.1),
    ) -> RuleSpec {
        if none {
            return RuleSpec::default();
        }
        let [deployments, daemonsets, statefulsets, jobs, cronjobs] = workloads;
        RuleSpec {
            pid, pids, process_names, executables, container_ids, namespaces, pods, deployments, daemonsets,
            statefulsets, jobs, cronjobs, labels, match_mode, ..RuleSpec::default()
        }
    }
}

prop_compose! {
    /// The same with exclusions. They match often: most cases must get past them for the later steps to be tried.
    fn rules_and_exclusions()(
        rules in rules(), exclude in rules(), excluding in prop::bool::weighted(0.3),
    ) -> RuleSpec {
        if !excluding {
            return rules;
        }
        RuleSpec {
            exclude_process_names: exclude.process_names, exclude_executables: exclude.executables,
            exclude_container_ids: exclude.container_ids, exclude_namespaces: exclude.namespaces,
            exclude_deployments: exclude.deployments, exclude_daemonsets: exclude.daemonsets,
            exclude_statefulsets: exclude.statefulsets, exclude_jobs: exclude.jobs, exclude_cronjobs: exclude.cronjobs,
            exclude_pods: exclude.pods, exclude_labels: exclude.labels, ..rules
        }
    }
}

prop_compose! {
    pub(crate) fn specs()(
        rules in rules_and_exclusions(), named in prop::collection::vec(rules_and_exclusions(), 0..3),
        pod_annotations in prop_oneof![
            4 => Just(PodAnnotations::Off), 1 => Just(PodAnnotations::OptOut), 1 => Just(PodAnnotations::Both),
        ],
        profile_self: bool,
    ) -> TargetingSpec {
        let target = |(place, rules)| TargetSpec { name: format!("t{place}"), rules, ..TargetSpec::default() };
        TargetingSpec { rules, targets: named.into_iter().enumerate().map(target).collect(), pod_annotations, profile_self }
    }
}

fn workload_kinds() -> impl Strategy<Value = WorkloadKind> {
    let kinds = ["Deployment", "DaemonSet", "StatefulSet", "Job", "CronJob", "Pod", "Rollout"];
    prop::sample::select(kinds.to_vec()).prop_map(WorkloadKind::new)
}

prop_compose! {
    fn details()(
        kind in workload_kinds(), name in "[ab]", x in prop::option::of("[12]"), y in prop::option::of("[12]"),
        wish in prop::option::weighted(0.3, prop_oneof![Just("true"), Just("false"), Just("no")]),
    ) -> PodDetails {
        let label = |key: &str, value: Option<String>| value.map(|value| (key.into(), value.into()));
        PodDetails {
            node: "node".into(),
            labels: [label("x", x), label("y", y)].into_iter().flatten().collect(),
            annotations: wish.map(|wish| (PROFILE_ANNOTATION.into(), wish.into())).into_iter().collect(),
            workload: Workload { kind, name: name.into() },
        }
    }
}

fn pods() -> impl Strategy<Value = PodFacts> {
    let known = (
        prop::option::weighted(0.8, "[ab]"),
        prop::option::weighted(0.8, "[ab]"),
        prop::option::weighted(0.7, details()),
    );
    let known = known.prop_map(|(namespace, name, details)| {
        let pod = Pod {
            uid: "uid".into(),
            namespace: namespace.map(Into::into),
            name: name.map(Into::into),
            details,
        };
        PodFacts::Known { pod: Arc::new(pod), container: None }
    });
    prop_oneof![2 => Just(PodFacts::InNone), 2 => Just(PodFacts::Pending), 1 => Just(PodFacts::NotHere), 4 => known]
}

prop_compose! {
    pub(crate) fn processes()(
        comm in NAME, executable in prop_oneof![1 => Just(String::new()), 4 => "/[abé/]{1,4}"],
        argv0 in prop_oneof![1 => Just(String::new()), 2 => NAME], container in 0usize..4, pod in pods(),
        kernel_thread in prop::bool::weighted(0.05),
    ) -> ProcessFacts {
        let container = CONTAINERS.get(container).map(|id| {
            Arc::new(Container { id: ContainerId::new(id).expect("an id"), pod_uid: None })
        });
        ProcessFacts { kernel_thread, container, pod, ..facts(&comm, &executable, &argv0) }
    }
}
