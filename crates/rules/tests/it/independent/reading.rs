//! The decision, read off the text step by step. Of the reasons that the text leaves open, all are given.

use super::known;
use super::labels;
use super::truth::Truth;
use std::time::SystemTime;
use telegen_model::ProcessFacts;
use telegen_rules::{Key, MatchMode, PodAnnotations, RuleSpec, TargetId, TargetingSpec, Verdict};

/// What of the decision order has decided.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Step {
    KernelThread,
    Agent,
    Pid,
    Excluded,
    NoIncludes,
    Included,
    AllIncluded,
    NotIncluded,
    Awaiting,
}

/// A reason that may be given for a decision.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Cause {
    pub(super) step: Step,
    pub(super) key: Option<Key>,
    /// Place in the key's list, where the text says which.
    pub(super) index: Option<usize>,
    /// The target whose rule it is.
    pub(super) target: TargetId,
}

/// What the text says of a process.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) verdict: Verdict,
    /// Who owns it, if it is profiled.
    pub(super) owner: Option<String>,
    pub(super) causes: Vec<Cause>,
    /// Whether an earlier target waits for a fact.
    pub(super) passed_over: bool,
}

/// A process, and what is known of it beside its facts.
#[derive(Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) facts: &'a ProcessFacts,
    pub(super) is_agent: bool,
    /// Whether a rule on its pid is bound to it, rather than spent on another.
    pub(super) is_bound: bool,
}

const INCLUDES: [Key; 11] = [
    Key::ProcessNames,
    Key::Executables,
    Key::ContainerIds,
    Key::Namespaces,
    Key::Deployments,
    Key::DaemonSets,
    Key::StatefulSets,
    Key::Jobs,
    Key::CronJobs,
    Key::Pods,
    Key::Labels,
];
const EXCLUSIONS: [Key; 11] = [
    Key::ExcludeProcessNames,
    Key::ExcludeExecutables,
    Key::ExcludeContainerIds,
    Key::ExcludeNamespaces,
    Key::ExcludeDeployments,
    Key::ExcludeDaemonSets,
    Key::ExcludeStatefulSets,
    Key::ExcludeJobs,
    Key::ExcludeCronJobs,
    Key::ExcludePods,
    Key::ExcludeLabels,
];
/// The include keys by the types that they are of.
const TYPES: [&[Key]; 7] = [
    &[Key::ProcessNames],
    &[Key::Executables],
    &[Key::ContainerIds],
    &[Key::Namespaces],
    &[Key::Deployments, Key::DaemonSets, Key::StatefulSets, Key::Jobs, Key::CronJobs],
    &[Key::Pods],
    &[Key::Labels],
];

struct Target<'a> {
    id: TargetId,
    name: &'a str,
    /// None for the flat keys' target where only annotations can put a pod into it.
    rules: Option<&'a RuleSpec>,
}

/// The decision about a process at a moment.
pub(super) fn read(spec: &TargetingSpec, moment: SystemTime, candidate: Candidate<'_>) -> Reading {
    // Step 1.
    if candidate.facts.kernel_thread {
        return Reading::no(vec![cause(Step::KernelThread)]);
    }
    if candidate.is_agent && !spec.profile_self {
        return Reading::no(vec![cause(Step::Agent)]);
    }

    let mut waiting = Vec::new();
    let mut refused = flat_exclusions(spec, candidate.facts, Truth::Yes);
    for target in targets(spec, moment) {
        let (answer, causes) = ask(&target, spec, candidate);
        match answer {
            Truth::Yes => {
                let owner = Some(target.name.to_owned());
                return Reading {
                    verdict: Verdict::Profile,
                    owner,
                    causes,
                    passed_over: !waiting.is_empty(),
                };
            }
            Truth::Unknown => waiting.extend(causes),
            Truth::No => refused.extend(causes),
        }
    }
    if !waiting.is_empty() {
        return Reading { verdict: Verdict::Pending, owner: None, causes: waiting, passed_over: false };
    }
    if refused.is_empty() {
        refused.push(cause(Step::NotIncluded));
    }
    Reading::no(refused)
}

fn targets(spec: &TargetingSpec, moment: SystemTime) -> Vec<Target<'_>> {
    let mut all = Vec::new();
    for (place, target) in spec.targets.iter().enumerate() {
        if target.until.is_none_or(|until| moment < until) {
            let id = TargetId::named(place).expect("few targets");
            all.push(Target { id, name: &target.name, rules: Some(&target.rules) });
        }
    }
    if spec.targets.is_empty() || has_includes(&spec.rules) {
        all.push(Target { id: TargetId::DEFAULT, name: "default", rules: Some(&spec.rules) });
    } else if spec.pod_annotations == PodAnnotations::Both {
        all.push(Target { id: TargetId::DEFAULT, name: "default", rules: None });
    }
    all
}

/// What one target says, by steps 2 to 6.
fn ask(target: &Target<'_>, spec: &TargetingSpec, candidate: Candidate<'_>) -> (Truth, Vec<Cause>) {
    let facts = candidate.facts;
    let of_target =
        |causes: Vec<Cause>| causes.into_iter().map(|c| Cause { target: target.id, ..c }).collect::<Vec<_>>();

    // Step 2.
    let by_pid = target.rules.map_or_else(Vec::new, |rules| pids(rules, facts.key.id.pid.0));
    if candidate.is_bound && !by_pid.is_empty() {
        return (Truth::Yes, of_target(by_pid));
    }

    // Step 3.
    let excluded = |truth| {
        let mut causes = flat_exclusions(spec, facts, truth);
        if target.id != TargetId::DEFAULT {
            causes.extend(of_target(exclusions(target.rules.expect("named"), facts, truth)));
        }
        causes
    };
    let mut by_exclusion = excluded(Truth::Yes);
    let may_be_excluded = excluded(Truth::Unknown);

    // Steps 4 to 6.
    let (mut included, mut causes) =
        target.rules.map_or((Truth::No, Vec::new()), |rules| include(rules, facts));
    if !by_exclusion.is_empty() {
        // A named target that does not ask for a process need not name what it would have kept out besides.
        if included != Truth::Yes && by_exclusion.iter().all(|cause| cause.target != TargetId::DEFAULT) {
            by_exclusion.push(Cause { target: target.id, ..cause(Step::NotIncluded) });
        }
        return (Truth::No, by_exclusion);
    }
    if target.id == TargetId::DEFAULT && spec.pod_annotations == PodAnnotations::Both {
        let wish = known::wish("true", facts);
        if wish > included {
            causes.clear();
        }
        if wish >= included && wish != Truth::No {
            let step = if wish == Truth::Yes { Step::Included } else { Step::Awaiting };
            causes.push(Cause { key: Some(Key::PodAnnotations), ..cause(step) });
        }
        included = included.or(wish);
    }
    let excluded = if may_be_excluded.is_empty() { Truth::No } else { Truth::Unknown };
    let answer = included.and(excluded.not());
    match (answer, included) {
        (Truth::No, _) => (answer, vec![Cause { target: target.id, ..cause(Step::NotIncluded) }]),
        (Truth::Yes, _) => (answer, of_target(causes)),
        (Truth::Unknown, Truth::Unknown) => (answer, [may_be_excluded, of_target(causes)].concat()),
        (Truth::Unknown, _) => (answer, may_be_excluded),
    }
}

/// Steps 4 to 6 for the include rules of one target.
fn include(rules: &RuleSpec, facts: &ProcessFacts) -> (Truth, Vec<Cause>) {
    if !has_includes(rules) {
        return (Truth::Yes, vec![cause(Step::NoIncludes)]);
    }
    let types: Vec<&[Key]> =
        TYPES.into_iter().filter(|keys| keys.iter().any(|&key| is_configured(rules, key))).collect();
    let of_type =
        |keys: &[Key]| keys.iter().map(|&key| truth_of(rules, key, facts)).fold(Truth::No, Truth::or);
    let all = rules.match_mode == Some(MatchMode::All);
    let answer = if types.is_empty() {
        // Pids alone: they are no type, and whom they do not name they do not bring in.
        Truth::No
    } else if all {
        types.iter().map(|keys| of_type(keys)).fold(Truth::Yes, Truth::and)
    } else {
        types.iter().map(|keys| of_type(keys)).fold(Truth::No, Truth::or)
    };
    let causes = match answer {
        Truth::No => vec![cause(Step::NotIncluded)],
        Truth::Yes if all && types.len() > 1 => vec![cause(Step::AllIncluded)],
        Truth::Yes => causes_of(rules, &INCLUDES, facts, Truth::Yes, Step::Included),
        Truth::Unknown => causes_of(rules, &INCLUDES, facts, Truth::Unknown, Step::Awaiting),
    };
    (answer, causes)
}

/// The flat exclusions that are so, the annotation among them.
fn flat_exclusions(spec: &TargetingSpec, facts: &ProcessFacts, truth: Truth) -> Vec<Cause> {
    let mut causes = exclusions(&spec.rules, facts, truth);
    if spec.pod_annotations != PodAnnotations::Off && known::wish("false", facts) == truth {
        let step = if truth == Truth::Yes { Step::Excluded } else { Step::Awaiting };
        causes.push(Cause { key: Some(Key::PodAnnotations), ..cause(step) });
    }
    causes
}

fn exclusions(rules: &RuleSpec, facts: &ProcessFacts, truth: Truth) -> Vec<Cause> {
    let step = if truth == Truth::Yes { Step::Excluded } else { Step::Awaiting };
    causes_of(rules, &EXCLUSIONS, facts, truth, step)
}

fn pids(rules: &RuleSpec, pid: u32) -> Vec<Cause> {
    let mut causes = Vec::new();
    if rules.pid == Some(pid) {
        causes.push(Cause { key: Some(Key::Pid), ..cause(Step::Pid) });
    }
    for (index, _) in rules.pids.iter().enumerate().filter(|&(_, &listed)| listed == pid) {
        causes.push(Cause { key: Some(Key::Pids), index: Some(index), ..cause(Step::Pid) });
    }
    causes
}

/// The rules under these keys that are as true as that, as reasons for a step.
fn causes_of(rules: &RuleSpec, keys: &[Key], facts: &ProcessFacts, truth: Truth, step: Step) -> Vec<Cause> {
    let mut causes = Vec::new();
    for &key in keys {
        if key == Key::Labels {
            if truth_of(rules, key, facts) == truth {
                causes.push(Cause { key: Some(key), ..cause(step) });
            }
        } else {
            for (index, entry) in entries(rules, key, facts).into_iter().enumerate() {
                if entry == truth {
                    causes.push(Cause { key: Some(key), index: Some(index), ..cause(step) });
                }
            }
        }
    }
    causes
}

fn truth_of(rules: &RuleSpec, key: Key, facts: &ProcessFacts) -> Truth {
    let entries = entries(rules, key, facts).into_iter();
    if !is_configured(rules, key) {
        Truth::No
    } else if key == Key::Labels {
        entries.fold(Truth::Yes, Truth::and)
    } else {
        entries.fold(Truth::No, Truth::or)
    }
}

/// How true each entry of a key's list is, but for those that count as absent.
fn entries(rules: &RuleSpec, key: Key, facts: &ProcessFacts) -> Vec<Truth> {
    let patterns = rules.patterns(key).iter().map(|pattern| known::pattern(key, pattern, facts));
    let label_rules = rules.label_rules(key).iter().filter(|rule| !labels::is_empty(rule));
    patterns.chain(label_rules.map(|rule| known::label_rule(rule, facts))).collect()
}

fn is_configured(rules: &RuleSpec, key: Key) -> bool {
    !rules.patterns(key).is_empty() || rules.label_rules(key).iter().any(|rule| !labels::is_empty(rule))
}

fn has_includes(rules: &RuleSpec) -> bool {
    rules.pid.is_some() || !rules.pids.is_empty() || INCLUDES.iter().any(|&key| is_configured(rules, key))
}

fn cause(step: Step) -> Cause {
    Cause { step, key: None, index: None, target: TargetId::DEFAULT }
}

impl Reading {
    fn no(causes: Vec<Cause>) -> Self {
        Self { verdict: Verdict::Skip, owner: None, causes, passed_over: false }
    }
}
