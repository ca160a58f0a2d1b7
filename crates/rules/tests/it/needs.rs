//! Which facts a set of rules is in want of, and whether there are rules at all.

use crate::decisions::rules;
use std::time::{Duration, SystemTime};
use telegen_rules::{Fact, Key, LabelRule, PodAnnotations, RuleSet, RuleSpec, TargetSpec, TargetingSpec};

/// Rules with one entry under a key.
pub(crate) fn only(key: Key) -> RuleSpec {
    let mut spec = RuleSpec::default();
    let list = match key {
        Key::Pid => {
            spec.pid = Some(7);
            return spec;
        }
        Key::Pids => {
            spec.pids = vec![7];
            return spec;
        }
        Key::Labels | Key::ExcludeLabels => {
            let labels = if key == Key::Labels { &mut spec.labels } else { &mut spec.exclude_labels };
            labels.push(LabelRule::Selector("app=web".into()));
            return spec;
        }
        Key::ProcessNames => &mut spec.process_names,
        Key::Executables => &mut spec.executables,
        Key::ContainerIds => &mut spec.container_ids,
        Key::Namespaces => &mut spec.namespaces,
        Key::Deployments => &mut spec.deployments,
        Key::DaemonSets => &mut spec.daemonsets,
        Key::StatefulSets => &mut spec.statefulsets,
        Key::Jobs => &mut spec.jobs,
        Key::CronJobs => &mut spec.cronjobs,
        Key::Pods => &mut spec.pods,
        Key::ExcludeProcessNames => &mut spec.exclude_process_names,
        Key::ExcludeExecutables => &mut spec.exclude_executables,
        Key::ExcludeContainerIds => &mut spec.exclude_container_ids,
        Key::ExcludeNamespaces => &mut spec.exclude_namespaces,
        Key::ExcludeDeployments => &mut spec.exclude_deployments,
        Key::ExcludeDaemonSets => &mut spec.exclude_daemonsets,
        Key::ExcludeStatefulSets => &mut spec.exclude_statefulsets,
        Key::ExcludeJobs => &mut spec.exclude_jobs,
        Key::ExcludeCronJobs => &mut spec.exclude_cronjobs,
        Key::ExcludePods => &mut spec.exclude_pods,
        _ => return spec,
    };
    list.push("0123456789ab".into());
    spec
}

fn keys() -> impl Iterator<Item = Key> {
    Key::ALL.iter().copied().filter(|&key| key != Key::PodAnnotations)
}

/// `argv[0]`, the container, the pod, what only Kubernetes can tell of it.
fn needs(rules: &RuleSet) -> [bool; 4] {
    [rules.needs_argv0(), rules.needs_container(), rules.needs_pod(), rules.needs_pod_details()]
}

fn needs_of(key: Key) -> [bool; 4] {
    match key.fact() {
        Fact::Name => [true, false, false, false],
        Fact::Container => [false, true, false, false],
        Fact::Namespace | Fact::Pod => [false, true, true, false],
        Fact::Workload | Fact::Labels | Fact::Annotation => [false, true, true, true],
        _ => [false; 4],
    }
}

#[test]
fn facts_are_needed_for_the_rules_that_look_at_them() {
    let ended = SystemTime::UNIX_EPOCH + Duration::from_secs(1);
    for key in keys() {
        let flat = rules(|spec| *spec = only(key));
        assert_eq!(needs(&flat), needs_of(key), "{key:?}");
        let target =
            TargetSpec { name: "a".into(), rules: only(key), until: Some(ended), ..TargetSpec::default() };
        let named = TargetingSpec { targets: vec![target], ..TargetingSpec::default() };
        let named = RuleSet::compile(named).expect("valid rules");
        assert_eq!(needs(&named), needs_of(key), "{key:?} of a target");
        assert_eq!(needs(&named.at(ended)), needs_of(key), "{key:?} of one that has ended");
    }
    assert_eq!(needs(&RuleSet::nothing()), [false; 4]);
}

#[test]
fn facts_are_needed_for_the_wish_of_a_pod() {
    for (pod_annotations, expected) in [
        (PodAnnotations::Off, [false; 4]),
        (PodAnnotations::OptOut, needs_of(Key::PodAnnotations)),
        (PodAnnotations::Both, needs_of(Key::PodAnnotations)),
    ] {
        let rules = RuleSet::compile(TargetingSpec { pod_annotations, ..TargetingSpec::default() });
        let rules = rules.expect("valid rules");
        assert_eq!((needs(&rules), rules.has_filters()), (expected, pod_annotations != PodAnnotations::Off));
    }
}

#[test]
fn any_rule_at_all_is_a_filter() {
    assert!(!rules(|_| {}).has_filters());
    for key in keys() {
        let spec = only(key);
        assert!(rules(|own| *own = spec.clone()).has_filters(), "{key:?}");
        assert_eq!(spec.has_includes(), !key.is_exclusion(), "{key:?}");
        assert!(keys().all(|other| spec.has(other) == (other == key)), "{key:?}");
    }
    // One that takes everything in has a name to give.
    let rest = TargetSpec { name: "rest".into(), ..TargetSpec::default() };
    let named = TargetingSpec { targets: vec![rest], ..TargetingSpec::default() };
    assert!(RuleSet::compile(named).expect("valid rules").has_filters());
}

#[test]
fn without_exclusions_everything_else_is_left() {
    for key in keys() {
        let target = TargetSpec {
            name: "a".into(),
            rules: only(key),
            sample_hz: Some(9),
            until: Some(SystemTime::UNIX_EPOCH),
        };
        let spec = TargetingSpec {
            rules: only(key),
            targets: vec![target.clone()],
            pod_annotations: PodAnnotations::Both,
            profile_self: true,
        };
        let left = if key.is_exclusion() { RuleSpec::default() } else { only(key) };
        let expected = TargetingSpec {
            rules: left.clone(),
            targets: vec![TargetSpec { rules: left, ..target }],
            pod_annotations: PodAnnotations::Off,
            profile_self: true,
        };
        assert_eq!(spec.without_exclusions(), expected, "{key:?}");
    }
}

#[test]
fn so_many_targets_and_no_more() {
    let compile = |count: usize| {
        let target = |place| TargetSpec { name: format!("t{place}"), ..TargetSpec::default() };
        let targets = (0..count).map(target).collect();
        RuleSet::compile(TargetingSpec { targets, ..TargetingSpec::default() })
    };
    assert_eq!(compile(254).map(|rules| rules.targets().count()), Ok(254));
    let errors = compile(255).expect_err("one too many");
    let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(said, ["targets: there may be 254 of them, but these are 255"]);
    assert_eq!(errors[0].message(), "there may be 254 named targets, but these are 255");
    assert_eq!(errors[0].place(), ("targets[254].name".to_owned(), None));
}
