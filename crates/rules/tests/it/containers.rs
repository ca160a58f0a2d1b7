//! Containers of which the kernel side may know that all their processes are one target's.

use crate::decisions::rules;
use crate::kernel::all_of;
use std::sync::Arc;
use telegen_model::{Container, ContainerId, PodFacts};
use telegen_rules::{MatchMode, RuleSet, RuleSpec, TargetId, TargetSpec, TargetingSpec};

#[test]
fn a_container_is_enough_where_nothing_else_counts() {
    let id = "0123456789ab0123456789ab0123456789ab0123456789ab0123456789ab0123";
    let container = Arc::new(Container { id: ContainerId::new(id).expect("an id"), pod_uid: None });
    let target = |rules: &RuleSet| rules.container_target(&container, &PodFacts::InNone);
    let of = |change: fn(&mut RuleSpec)| {
        rules(|spec| {
            spec.container_ids = vec!["0123456789ab".into()];
            change(spec);
        })
    };
    let yes = Some(TargetId::DEFAULT);
    assert_eq!(target(&of(|_| {})), yes);
    assert_eq!(target(&of(|spec| spec.process_names = vec!["java".into()])), yes, "any one is enough");
    assert_eq!(
        target(&of(|spec| spec.exclude_process_names = vec!["sh".into()])),
        yes,
        "the kernel sees that"
    );
    assert_eq!(target(&of(|spec| spec.exclude_namespaces = vec!["a".into()])), yes, "it is in none");
    let no: [fn(&mut RuleSpec); 5] = [
        |spec| (spec.process_names, spec.match_mode) = (vec!["java".into()], Some(MatchMode::All)),
        |spec| spec.exclude_process_names = vec!["s?".into()],
        |spec| spec.exclude_container_ids = vec!["0123456789ab0123".into()],
        |spec| spec.pids = vec![7],
        |spec| spec.container_ids = vec!["ba9876543210".into()],
    ];
    for change in no {
        assert_eq!(target(&of(change)), None);
    }
    assert_eq!(target(&rules(|_| {})), yes, "everything is in");
    let while_pending = |rules: RuleSet| rules.container_target(&container, &PodFacts::Pending);
    assert_eq!(while_pending(rules(|spec| spec.namespaces = vec!["prod".into()])), None);
    assert_eq!(while_pending(of(|spec| spec.namespaces = vec!["prod".into()])), yes, "any one is enough");
    assert_eq!(while_pending(of(|spec| spec.exclude_namespaces = vec!["a".into()])), None, "it may be in it");
}

#[test]
fn a_container_goes_to_the_first_target_that_surely_has_it() {
    let id = ContainerId::new(&"0123456789abcdef".repeat(4)).expect("an id");
    let container = Arc::new(Container { id, pod_uid: None });
    let rules = all_of(&[(&[], &[], &["ba9876543210"]), (&[], &[], &["0123456789ab"])]);
    assert_eq!(rules.container_target(&container, &PodFacts::InNone), TargetId::named(1));
    let hidden = all_of(&[(&["java"], &[], &["0123456789ab"]), (&[], &[], &["0123456789ab"])]);
    assert_eq!(hidden.container_target(&container, &PodFacts::InNone), None, "java is the first's");
    let other = RuleSpec { container_ids: vec!["ba9876543210".into()], ..RuleSpec::default() };
    let named = TargetSpec { name: "a".into(), rules: other, ..TargetSpec::default() };
    let flat = RuleSpec { container_ids: vec!["0123456789ab".into()], ..RuleSpec::default() };
    let spec = TargetingSpec { targets: vec![named], rules: flat, ..TargetingSpec::default() };
    let any = RuleSet::compile(spec).expect("valid rules");
    assert_eq!(any.container_target(&container, &PodFacts::InNone), Some(TargetId::DEFAULT));
}

/// The target of a container of which two targets have something to say: the first as it is given here, the second by
/// its id.
fn behind(first: RuleSpec, pod: &PodFacts) -> Option<TargetId> {
    let id = ContainerId::new(&"0123456789abcdef".repeat(4)).expect("an id");
    let container = Arc::new(Container { id, pod_uid: None });
    let second = RuleSpec { container_ids: vec!["0123456789ab".into()], ..RuleSpec::default() };
    let target = |(place, rules)| TargetSpec { name: format!("t{place}"), rules, ..TargetSpec::default() };
    let targets = [first, second].into_iter().enumerate().map(target).collect();
    let rules = RuleSet::compile(TargetingSpec { targets, ..TargetingSpec::default() });
    rules.expect("valid rules").container_target(&container, pod)
}

#[test]
fn what_an_earlier_target_may_still_have_of_a_container_is_not_given_to_a_later_one() {
    let list = |entry: &str| vec![entry.to_owned()];
    let another = RuleSpec { container_ids: list("ba9876543210"), ..RuleSpec::default() };
    let in_prod = RuleSpec { namespaces: list("prod"), ..another.clone() };
    assert_eq!(behind(another.clone(), &PodFacts::Pending), TargetId::named(1));
    assert_eq!(behind(in_prod.clone(), &PodFacts::InNone), TargetId::named(1));
    assert_eq!(behind(in_prod, &PodFacts::Pending), None, "its pod may be in the namespace");
    let java = RuleSpec { process_names: list("java"), ..another };
    assert_eq!(behind(java, &PodFacts::InNone), None, "java is the first's, wherever it runs");
}

#[test]
fn a_container_is_not_enough_while_its_pod_must_match_too_and_is_not_known() {
    let list = |entry: &str| vec![entry.to_owned()];
    let both = RuleSpec {
        container_ids: list("0123456789ab"),
        namespaces: list("prod"),
        match_mode: Some(MatchMode::All),
        ..RuleSpec::default()
    };
    assert_eq!(behind(both.clone(), &PodFacts::Pending), None);
    assert_eq!(behind(both, &PodFacts::InNone), TargetId::named(1), "it never can be");
}

#[test]
fn a_target_with_exclusions_of_its_own_has_no_container_as_a_whole() {
    let list = |entry: &str| vec![entry.to_owned()];
    let own = RuleSpec { container_ids: list("0123456789ab"), ..RuleSpec::default() };
    assert_eq!(behind(own.clone(), &PodFacts::InNone), TargetId::named(0));
    let by_name = RuleSpec { exclude_process_names: list("sh"), ..own.clone() };
    assert_eq!(behind(by_name, &PodFacts::InNone), None);
    let by_pod = RuleSpec { exclude_pods: list("x"), ..own };
    assert_eq!(behind(by_pod, &PodFacts::InNone), None);
}
