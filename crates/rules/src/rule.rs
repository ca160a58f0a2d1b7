//! What stands under one key, compiled.

use crate::container_ids::ContainerIds;
use crate::error::{Errors, RuleError};
use crate::outcome::Outcome;
use crate::patterns::Patterns;
use crate::{Fact, Key, LabelRule, RuleSpec, Selector, TargetId};
use telegen_model::{Pod, PodFacts, ProcessFacts, WorkloadKind};

/// What stands under one key, compiled.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) key: Key,
    matcher: Matcher,
}

#[derive(Clone, Debug)]
enum Matcher {
    Names(Patterns),
    Executables(Patterns),
    Containers(ContainerIds),
    Namespaces(Patterns),
    Workloads(WorkloadKind, Patterns),
    Pods(Patterns),
    /// All of them.
    EveryLabelRule(Vec<Selector>),
    /// One of them.
    AnyLabelRule(Vec<Selector>),
}

impl Rule {
    /// Rules on labels that may stand under one key.
    const MOST_LABEL_RULES: usize = 256;

    /// All that stands under include keys, or under exclude keys, but for the pids; in the order of [`Key::ALL`].
    pub(crate) fn compile_all(
        target: TargetId,
        spec: &RuleSpec,
        wanted: impl Fn(Key) -> bool,
        errors: &mut Vec<RuleError>,
    ) -> Vec<Self> {
        let keys = Key::ALL.iter().copied().filter(|&key| wanted(key) && spec.has(key));
        keys.filter_map(|key| Self::compile(key, spec, &mut Errors { target, key, list: errors })).collect()
    }

    fn compile(key: Key, spec: &RuleSpec, errors: &mut Errors<'_>) -> Option<Self> {
        let patterns = spec.patterns(key);
        let matcher = match key.fact() {
            Fact::Name => Matcher::Names(Patterns::compile(patterns, errors)),
            Fact::Executable => Matcher::Executables(Patterns::compile(patterns, errors)),
            Fact::Container => Matcher::Containers(ContainerIds::compile(patterns, errors)),
            Fact::Namespace => Matcher::Namespaces(Patterns::compile(patterns, errors)),
            Fact::Workload => Matcher::Workloads(key.workload_kind()?, Patterns::compile(patterns, errors)),
            Fact::Pod => Matcher::Pods(Patterns::compile(patterns, errors)),
            Fact::Labels => {
                let selectors = compile_labels(spec.label_rules(key), errors);
                if key.is_exclusion() {
                    Matcher::AnyLabelRule(selectors)
                } else {
                    Matcher::EveryLabelRule(selectors)
                }
            }
            Fact::Pid | Fact::Annotation => return None,
        };
        Some(Self { key, matcher })
    }

    /// Whether the process matches, and by which entry of the list.
    pub(crate) fn matches(&self, facts: &ProcessFacts) -> Outcome<u16> {
        let found = match &self.matcher {
            Matcher::Names(patterns) => match_names(patterns, facts),
            Matcher::Executables(patterns) => {
                facts.executable.as_deref().and_then(|path| patterns.first_match(path))
            }
            Matcher::Containers(ids) => {
                facts.container.as_deref().and_then(|container| ids.first_match(&container.id))
            }
            _ => match &facts.pod {
                PodFacts::InNone | PodFacts::NotHere => None,
                PodFacts::Pending => return Outcome::Unknown(0),
                PodFacts::Known { pod, .. } => self.matches_pod(pod),
            },
        };
        found.map_or(Outcome::No, Outcome::Yes)
    }

    /// What the source of the facts does not have is not there.
    fn matches_pod(&self, pod: &Pod) -> Option<u16> {
        match &self.matcher {
            Matcher::Names(_) | Matcher::Executables(_) | Matcher::Containers(_) => None,
            Matcher::Namespaces(patterns) => patterns.first_match(pod.namespace.as_deref()?),
            Matcher::Pods(patterns) => patterns.first_match(pod.name.as_deref()?),
            Matcher::Workloads(kind, patterns) => {
                let workload = &pod.details.as_ref()?.workload;
                if workload.kind == *kind { patterns.first_match(&workload.name) } else { None }
            }
            Matcher::EveryLabelRule(selectors) => {
                let labels = &pod.details.as_ref()?.labels;
                selectors.iter().all(|selector| selector.matches(labels)).then_some(0)
            }
            Matcher::AnyLabelRule(selectors) => {
                let labels = &pod.details.as_ref()?.labels;
                selectors.iter().position(|selector| selector.matches(labels)).map(|index| index as u16)
            }
        }
    }

    /// The rules on labels, compiled; none if it is about something else.
    pub(crate) fn selectors(&self) -> &[Selector] {
        match &self.matcher {
            Matcher::EveryLabelRule(selectors) | Matcher::AnyLabelRule(selectors) => selectors,
            _ => &[],
        }
    }
}

fn compile_labels(rules: &[LabelRule], errors: &mut Errors<'_>) -> Vec<Selector> {
    if rules.len() > Rule::MOST_LABEL_RULES {
        let message = format!("there may be {} rules on labels", Rule::MOST_LABEL_RULES);
        errors.push(Rule::MOST_LABEL_RULES, rules[Rule::MOST_LABEL_RULES].to_string(), message);
    }
    let mut selectors = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        let compiled = match rule {
            LabelRule::Map(labels) => Selector::of_labels(labels),
            LabelRule::Selector(text) => Selector::parse(text).map_err(|error| error.to_string()),
        };
        match compiled {
            Ok(selector) => selectors.push(selector),
            Err(message) => errors.push(index, rule.to_string(), message),
        }
    }
    selectors
}

fn match_names(patterns: &Patterns, facts: &ProcessFacts) -> Option<u16> {
    // Mostly the three are one, and need not be tried again.
    let mut before = [None; 2];
    let mut first = None;
    for (at, name) in facts.names().enumerate() {
        if !before.contains(&Some(name)) {
            first = [first, patterns.first_match(name)].into_iter().flatten().min();
        }
        if let Some(slot) = before.get_mut(at) {
            *slot = Some(name);
        }
    }
    first
}
