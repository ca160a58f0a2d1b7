//! Whole configurations as chance has them, each about one key that is meant to decide.

use super::dice::Dice;
use super::draw_process::{self, PIDS};
use super::draw_rule;
use std::time::{Duration, SystemTime};
use telegen_model::{PodFacts, ProcessFacts, WorkloadKind};
use telegen_rules::{Fact, Key, LabelRule, MatchMode, PodAnnotations, RuleSpec, TargetSpec, TargetingSpec};

/// What is meant to decide.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Aim {
    Key(Key),
    Annotation(&'static str),
    Until,
    KernelThread,
    Agent,
    AllTypes,
    NoIncludes,
    PassedOver,
    Waiting,
    Nothing,
}

/// Rules, a process, and a moment.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) spec: TargetingSpec,
    pub(super) facts: ProcessFacts,
    pub(super) is_agent: bool,
    pub(super) is_bound: bool,
    pub(super) moment: SystemTime,
}

const TARGET_NAMES: [&str; 3] = ["payments", "search", "rest"];
const ABOUT_A_POD: [&str; 2] = ["true", "false"];

fn moment() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

pub(super) fn case(dice: &mut Dice) -> Case {
    let aim = aim(dice);
    let mut case = Case {
        spec: TargetingSpec::default(),
        facts: draw_process::process(dice),
        is_agent: aim == Aim::Agent || dice.percent(2),
        is_bound: dice.percent(85),
        moment: moment(),
    };
    fit_process(dice, aim, &mut case);
    draw_spec(dice, aim, &mut case);
    add_aim(dice, aim, &mut case);
    case
}

fn aim(dice: &mut Dice) -> Aim {
    let others = [
        Aim::Annotation(ABOUT_A_POD[0]),
        Aim::Annotation(ABOUT_A_POD[1]),
        Aim::Until,
        Aim::KernelThread,
        Aim::Agent,
        Aim::AllTypes,
        Aim::NoIncludes,
        Aim::PassedOver,
        Aim::Waiting,
        Aim::Nothing,
    ];
    let place = dice.below(Key::ALL.len() + others.len());
    match Key::ALL.get(place) {
        Some(Key::PodAnnotations) => Aim::Nothing,
        Some(&key) => Aim::Key(key),
        None => others[place - Key::ALL.len()],
    }
}

/// Gives the process the facts that the aim needs.
fn fit_process(dice: &mut Dice, aim: Aim, case: &mut Case) {
    let facts = &mut case.facts;
    match aim {
        Aim::KernelThread => facts.kernel_thread = true,
        Aim::PassedOver | Aim::Waiting => facts.pod = PodFacts::Pending,
        Aim::Annotation(word) => facts.pod = annotated_pod(dice, word),
        Aim::Key(key) if key.fact().is_of_pod() => {
            let kind = workload_kind(key);
            facts.pod = draw_process::kubernetes_pod(dice, kind);
        }
        Aim::Key(Key::ContainerIds | Key::ExcludeContainerIds) => {
            facts.container = Some(std::sync::Arc::new(draw_process::container(dice)));
        }
        Aim::Key(Key::Pid | Key::Pids) => case.is_bound = true,
        _ => {}
    }
}

fn workload_kind(key: Key) -> Option<WorkloadKind> {
    (key.fact() == Fact::Workload).then_some(match key {
        Key::Deployments | Key::ExcludeDeployments => WorkloadKind::Deployment,
        Key::DaemonSets | Key::ExcludeDaemonSets => WorkloadKind::DaemonSet,
        Key::StatefulSets | Key::ExcludeStatefulSets => WorkloadKind::StatefulSet,
        Key::Jobs | Key::ExcludeJobs => WorkloadKind::Job,
        _ => WorkloadKind::CronJob,
    })
}

fn annotated_pod(dice: &mut Dice, word: &str) -> PodFacts {
    let PodFacts::Known { pod, container } = draw_process::kubernetes_pod(dice, None) else {
        unreachable!("a pod that is known")
    };
    let mut pod = (*pod).clone();
    let details = pod.details.as_mut().expect("of Kubernetes");
    details.annotations.insert("telegen.io/profile".into(), word.into());
    PodFacts::Known { pod: pod.into(), container }
}

fn draw_spec(dice: &mut Dice, aim: Aim, case: &mut Case) {
    let named = match aim {
        Aim::Until | Aim::PassedOver => 1 + dice.below(3),
        _ => dice.weighted(&[45, 25, 20, 10]),
    };
    let flat_includes = if named > 0 && dice.percent(50) { 0 } else { dice.weighted(&[25, 40, 35]) };
    let no_includes = aim == Aim::NoIncludes;
    let flat_exclusions = dice.weighted(&[55, 30, 15]);
    case.spec.rules = rules(dice, if no_includes { 0 } else { flat_includes }, flat_exclusions, &case.facts);
    for name in TARGET_NAMES.iter().take(named) {
        let includes = if no_includes { 0 } else { dice.weighted(&[6, 44, 30, 20]) };
        let exclusions = dice.weighted(&[70, 30]);
        let rules = rules(dice, includes, exclusions, &case.facts);
        let until = until(dice, case.moment);
        case.spec.targets.push(TargetSpec { name: (*name).to_owned(), rules, until, sample_hz: None });
    }
    case.spec.pod_annotations = *dice.pick(&[
        PodAnnotations::Off,
        PodAnnotations::Off,
        PodAnnotations::Off,
        PodAnnotations::OptOut,
        PodAnnotations::Both,
    ]);
    case.spec.profile_self = aim != Aim::Agent && dice.percent(50);
}

fn until(dice: &mut Dice, moment: SystemTime) -> Option<SystemTime> {
    match dice.weighted(&[75, 8, 4, 4, 9]) {
        0 => None,
        1 => Some(moment - Duration::from_secs(1)),
        2 => Some(moment),
        3 => Some(moment + Duration::from_nanos(1)),
        _ => Some(moment + Duration::from_secs(1_000_000)),
    }
}

fn rules(dice: &mut Dice, includes: usize, exclusions: usize, facts: &ProcessFacts) -> RuleSpec {
    let mut rules = RuleSpec::default();
    for _ in 0..includes {
        let key = *dice.pick(&Key::ALL[..13]);
        let aim = dice.percent(30).then_some(facts);
        add_rule(dice, &mut rules, key, aim);
    }
    for _ in 0..exclusions {
        let key = *dice.pick(&Key::ALL[13..24]);
        let aim = dice.percent(10).then_some(facts);
        add_rule(dice, &mut rules, key, aim);
    }
    if dice.percent(3) {
        rules.labels.push(empty(dice));
    }
    if dice.percent(3) {
        rules.exclude_labels.insert(0, empty(dice));
    }
    rules.match_mode =
        *dice.pick(&[None, None, Some(MatchMode::Any), Some(MatchMode::All), Some(MatchMode::All)]);
    rules
}

/// Adds what is meant to decide to the rules that are there already.
fn add_aim(dice: &mut Dice, aim: Aim, case: &mut Case) {
    let facts = case.facts.clone();
    let spec = &mut case.spec;
    match aim {
        Aim::Key(key) => {
            let named = (0..spec.targets.len()).rfind(|_| dice.percent(50));
            let rules = named.map_or(&mut spec.rules, |place| &mut spec.targets[place].rules);
            add_rule(dice, rules, key, Some(&facts));
        }
        Aim::Annotation("false") => {
            spec.pod_annotations = *dice.pick(&[PodAnnotations::OptOut, PodAnnotations::Both]);
        }
        Aim::Annotation(_) => spec.pod_annotations = PodAnnotations::Both,
        Aim::Until => {
            let place = dice.below(spec.targets.len());
            let target = &mut spec.targets[place];
            target.until = Some(case.moment);
            target.rules.match_mode = None;
            add_rule(dice, &mut target.rules, Key::ProcessNames, Some(&facts));
        }
        Aim::AllTypes => {
            let rules = spec.targets.first_mut().map_or(&mut spec.rules, |target| &mut target.rules);
            *rules = RuleSpec { match_mode: Some(MatchMode::All), ..RuleSpec::default() };
            for _ in 0..3 {
                let key = *dice.pick(&Key::ALL[2..13]);
                add_rule(dice, rules, key, Some(&facts));
            }
        }
        Aim::PassedOver => {
            let key = *dice.pick(&[Key::Namespaces, Key::Pods, Key::Labels, Key::Jobs]);
            add_rule(dice, &mut spec.targets[0].rules, key, None);
            let rules = spec.targets.get_mut(1).map_or(&mut spec.rules, |target| &mut target.rules);
            let key = *dice.pick(&[Key::ProcessNames, Key::Pids]);
            add_rule(dice, rules, key, Some(&facts));
        }
        Aim::Waiting => {
            let of_pods: Vec<Key> =
                Key::ALL[..24].iter().copied().filter(|key| key.fact().is_of_pod()).collect();
            let key = *dice.pick(&of_pods);
            spec.targets.truncate(1);
            let rules = spec.targets.first_mut().map_or(&mut spec.rules, |target| &mut target.rules);
            *rules = RuleSpec::default();
            add_rule(dice, rules, key, None);
        }
        Aim::KernelThread | Aim::Agent | Aim::NoIncludes | Aim::Nothing => {}
    }
}

/// Adds an entry, and at times others beside it, to a key's list.
fn add_rule(dice: &mut Dice, rules: &mut RuleSpec, key: Key, aim: Option<&ProcessFacts>) {
    let pid = |dice: &mut Dice| aim.map_or_else(|| *dice.pick(&PIDS), |facts| facts.key.id.pid.0);
    match key {
        Key::Pid => rules.pid = Some(pid(dice)),
        Key::Pids => rules.pids.push(pid(dice)),
        Key::Labels | Key::ExcludeLabels => {
            let rule = draw_rule::label_rule(dice, aim);
            label_rules(rules, key).push(rule);
        }
        key => {
            if dice.percent(20) {
                let other = draw_rule::pattern(dice, key, None);
                patterns(rules, key).push(other);
            }
            let pattern = draw_rule::pattern(dice, key, aim);
            patterns(rules, key).push(pattern);
        }
    }
}

/// What counts as absent.
fn empty(dice: &mut Dice) -> LabelRule {
    if dice.percent(50) { LabelRule::Map(Vec::new()) } else { LabelRule::Selector(" ".to_owned()) }
}

fn label_rules(rules: &mut RuleSpec, key: Key) -> &mut Vec<LabelRule> {
    if key == Key::Labels { &mut rules.labels } else { &mut rules.exclude_labels }
}

pub(super) fn patterns(rules: &mut RuleSpec, key: Key) -> &mut Vec<String> {
    match key {
        Key::ProcessNames => &mut rules.process_names,
        Key::Executables => &mut rules.executables,
        Key::ContainerIds => &mut rules.container_ids,
        Key::Namespaces => &mut rules.namespaces,
        Key::Deployments => &mut rules.deployments,
        Key::DaemonSets => &mut rules.daemonsets,
        Key::StatefulSets => &mut rules.statefulsets,
        Key::Jobs => &mut rules.jobs,
        Key::CronJobs => &mut rules.cronjobs,
        Key::Pods => &mut rules.pods,
        Key::ExcludeProcessNames => &mut rules.exclude_process_names,
        Key::ExcludeExecutables => &mut rules.exclude_executables,
        Key::ExcludeContainerIds => &mut rules.exclude_container_ids,
        Key::ExcludeNamespaces => &mut rules.exclude_namespaces,
        Key::ExcludeDeployments => &mut rules.exclude_deployments,
        Key::ExcludeDaemonSets => &mut rules.exclude_daemonsets,
        Key::ExcludeStatefulSets => &mut rules.exclude_statefulsets,
        Key::ExcludeJobs => &mut rules.exclude_jobs,
        Key::ExcludeCronJobs => &mut rules.exclude_cronjobs,
        Key::ExcludePods => &mut rules.exclude_pods,
        other => panic!("no patterns under {other:?}"),
    }
}
