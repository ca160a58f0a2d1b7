//! A second, naive implementation of the decision order, by numbers: 0 is no, 1 unknown, 2 yes; "and" is the least of
//! them, "or" the greatest.

use crate::generated::{labels_match, processes, specs};
use crate::naive_glob::first_match;
use proptest::prelude::*;
use std::sync::Arc;
use telegen_model::{Pod, PodFacts, ProcessFacts};
use telegen_rules::{
    Decision, Key, MatchMode, PROFILE_ANNOTATION, PidChoice, PodAnnotations, Reason, RuleSet, RuleSpec,
    TargetId, TargetingSpec, Verdict,
};

const NO: u8 = 0;
const UNKNOWN: u8 = 1;
const YES: u8 = 2;

fn of(found: Option<u16>) -> (u8, u16) {
    found.map_or((NO, 0), |index| (YES, index))
}

/// What the list under a key says, and which entry does.
fn list(spec: &RuleSpec, key: Key, facts: &ProcessFacts) -> (u8, u16) {
    let mut names = vec![&*facts.comm];
    names.extend(facts.executable.as_deref().and_then(|path| path.rsplit('/').next()));
    names.extend(facts.argv0.as_deref());
    let executable: Vec<&str> = facts.executable.as_deref().into_iter().collect();
    let container: Option<&str> = facts.container.as_ref().map(|container| container.id.as_str());
    let patterns = spec.patterns(key);
    match key {
        Key::ProcessNames | Key::ExcludeProcessNames => of(first_match(patterns, &names)),
        Key::Executables | Key::ExcludeExecutables => of(first_match(patterns, &executable)),
        Key::ContainerIds | Key::ExcludeContainerIds => {
            let begins = |id: &String| container.is_some_and(|full| full[..id.len()] == **id);
            of(patterns.iter().position(begins).map(|at| at as u16))
        }
        _ => match &facts.pod {
            PodFacts::Pending => (UNKNOWN, 0),
            PodFacts::Known { pod, .. } => of(list_of_pod(spec, key, pod)),
            PodFacts::InNone | PodFacts::NotHere => (NO, 0),
        },
    }
}

fn list_of_pod(spec: &RuleSpec, key: Key, pod: &Pod) -> Option<u16> {
    let patterns = spec.patterns(key);
    let workload = |kind: &str| {
        let workload = &pod.details.as_ref()?.workload;
        (workload.kind.name() == kind).then(|| first_match(patterns, &[&workload.name]))?
    };
    match key {
        Key::Namespaces | Key::ExcludeNamespaces => first_match(patterns, &[pod.namespace.as_deref()?]),
        Key::Pods | Key::ExcludePods => first_match(patterns, &[pod.name.as_deref()?]),
        Key::Deployments | Key::ExcludeDeployments => workload("Deployment"),
        Key::DaemonSets | Key::ExcludeDaemonSets => workload("DaemonSet"),
        Key::StatefulSets | Key::ExcludeStatefulSets => workload("StatefulSet"),
        Key::Jobs | Key::ExcludeJobs => workload("Job"),
        Key::CronJobs | Key::ExcludeCronJobs => workload("CronJob"),
        Key::Labels => {
            let labels = &pod.details.as_ref()?.labels;
            spec.labels.iter().all(|rule| labels_match(rule, labels)).then_some(0)
        }
        Key::ExcludeLabels => {
            let labels = &pod.details.as_ref()?.labels;
            spec.exclude_labels.iter().position(|rule| labels_match(rule, labels)).map(|at| at as u16)
        }
        _ => None,
    }
}

fn annotated(facts: &ProcessFacts, wish: &str) -> u8 {
    match &facts.pod {
        PodFacts::Pending => UNKNOWN,
        PodFacts::Known { pod, .. } => {
            let details = pod.details.as_ref();
            let found = details.and_then(|details| details.annotations.get(PROFILE_ANNOTATION));
            if found.is_some_and(|value| **value == *wish) { YES } else { NO }
        }
        PodFacts::InNone | PodFacts::NotHere => NO,
    }
}

const WORKLOADS: [Key; 5] = [Key::Deployments, Key::DaemonSets, Key::StatefulSets, Key::Jobs, Key::CronJobs];

fn includes(spec: &RuleSpec, facts: &ProcessFacts) -> (u8, Reason) {
    let keys: Vec<Key> = Key::ALL.iter().copied().filter(|key| key.name().starts_with("target_")).collect();
    let configured: Vec<Key> = keys.into_iter().filter(|&key| spec.has(key)).collect();
    if configured.is_empty() {
        return (YES, Reason::NoIncludeRules);
    }
    let lists: Vec<Key> = configured.into_iter().filter(|key| !matches!(key, Key::Pid | Key::Pids)).collect();
    let said: Vec<(Key, u8, u16)> = lists
        .iter()
        .map(|&key| {
            let (value, index) = list(spec, key, facts);
            (key, value, index)
        })
        .collect();
    let first = said.iter().find(|said| said.1 == YES);
    let first = first.map_or(Reason::NotIncluded, |&(key, _, index)| Reason::Included { key, index });
    if spec.match_mode != Some(MatchMode::All) {
        return (said.iter().map(|said| said.1).max().unwrap_or(NO), first);
    }
    let workload = said.iter().filter(|said| WORKLOADS.contains(&said.0)).map(|said| said.1).max();
    let others = said.iter().filter(|said| !WORKLOADS.contains(&said.0)).map(|said| said.1);
    let types: Vec<u8> = others.chain(workload).collect();
    let reason = if types.len() > 1 { Reason::AllIncluded } else { first };
    (types.into_iter().min().unwrap_or(NO), reason)
}

fn exclusions(spec: &RuleSpec, facts: &ProcessFacts) -> (u8, Reason) {
    let keys = Key::ALL.iter().copied().filter(|key| key.name().starts_with("exclude_") && spec.has(*key));
    let mut all = (NO, Reason::Unknown);
    for key in keys {
        let (value, index) = list(spec, key, facts);
        if value > all.0 {
            all = (value, Reason::Excluded { key, index });
        }
    }
    all
}

/// The decision, as far as it is settled; of what is not profiled nothing but that.
enum Naive {
    Exactly(Decision),
    Only(Verdict),
}

fn naive(spec: &TargetingSpec, facts: &ProcessFacts, chosen: Option<PidChoice>, agent: bool) -> Naive {
    if facts.kernel_thread {
        return Naive::Exactly(Decision::skip(Reason::KernelThread));
    }
    if agent && !spec.profile_self {
        return Naive::Exactly(Decision::skip(Reason::Agent));
    }
    let (flat_excluded, flat_reason) = exclusions(&spec.rules, facts);
    let wish_excluded =
        if spec.pod_annotations == PodAnnotations::Off { NO } else { annotated(facts, "false") };
    let mut best = NO;
    let flat = (!spec.targets.is_empty() && spec.rules.has_includes()) || spec.targets.is_empty();
    let named = spec
        .targets
        .iter()
        .enumerate()
        .map(|(place, target)| (TargetId::from_number(place as u8), &target.rules));
    for (id, rules) in named.chain(flat.then_some((TargetId::DEFAULT, &spec.rules))) {
        if let Some(PidChoice { key, index, .. }) = chosen.filter(|choice| choice.target == id) {
            return Naive::Exactly(Decision::profile(Reason::Pid { key, index }).of(id));
        }
        let (own_excluded, _) =
            if id == TargetId::DEFAULT { (NO, Reason::Unknown) } else { exclusions(rules, facts) };
        let (included, reason) = includes(rules, facts);
        let value = included.min(YES - flat_excluded).min(YES - wish_excluded).min(YES - own_excluded);
        if value == YES {
            return Naive::Exactly(Decision::profile(reason).of(id));
        }
        best = best.max(value);
    }
    if flat_excluded == YES {
        return Naive::Exactly(Decision::skip(flat_reason));
    }
    if spec.pod_annotations == PodAnnotations::Both {
        let value = annotated(facts, "true").min(YES - flat_excluded).min(YES - wish_excluded);
        if value == YES {
            let reason = Reason::Included { key: Key::PodAnnotations, index: 0 };
            return Naive::Exactly(Decision::profile(reason));
        }
        best = best.max(value);
    }
    Naive::Only(if best == UNKNOWN { Verdict::Pending } else { Verdict::Skip })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn decisions_are_those_of_the_naive_reading(
        spec in specs(), facts in processes(), chosen in prop::option::weighted(0.2, any::<prop::sample::Index>()),
        agent in prop::bool::weighted(0.1),
    ) {
        let rules = RuleSet::compile(&spec).expect("valid rules");
        let choice = chosen.filter(|_| !rules.pids().is_empty()).map(|index| *index.get(rules.pids()));
        let decision = rules.decide(&facts, choice, agent);
        match naive(&spec, &facts, choice, agent) {
            Naive::Exactly(wanted) => prop_assert_eq!(decision, wanted, "{}", rules.reason(decision)),
            Naive::Only(verdict) => prop_assert_eq!(decision.verdict, verdict, "{}", rules.reason(decision)),
        }
        prop_assert_eq!(Decision::from_bits(decision.to_bits()), Some(decision));
        // There are words for everything.
        prop_assert!(!rules.reason(decision).is_empty());
        rules.near_misses(&facts, decision).iter().for_each(|miss| drop(miss.to_string()));
        prop_assert!(!rules.summary().is_empty());
    }

    #[test]
    fn what_is_decided_without_the_pod_holds_whatever_the_pod_is(
        spec in specs(), facts in processes(), pod in processes(),
    ) {
        let rules = RuleSet::compile(&spec).expect("valid rules");
        let before = rules.decide(&ProcessFacts { pod: PodFacts::Pending, ..facts.clone() }, None, false);
        let after = rules.decide(&ProcessFacts { pod: pod.pod, ..facts }, None, false);
        if after.verdict != Verdict::Pending && before.verdict != Verdict::Pending {
            prop_assert_eq!(before.verdict, after.verdict);
        }
    }

    #[test]
    fn without_a_rule_on_pods_nothing_ever_waits_for_one(spec in specs(), facts in processes()) {
        let rules = RuleSet::compile(&spec).expect("valid rules");
        let facts = ProcessFacts { pod: PodFacts::Pending, ..facts };
        if !rules.needs_pod() {
            prop_assert_ne!(rules.decide(&facts, None, false).verdict, Verdict::Pending);
        }
        let same = Arc::new(facts.clone());
        prop_assert_eq!(rules.decide(&same, None, false), rules.decide(&facts, None, false));
    }
}
