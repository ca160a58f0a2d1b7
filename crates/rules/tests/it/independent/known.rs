//! What is known of a process, in the three values.

use super::glob::glob;
use super::labels;
use super::truth::Truth;
use telegen_model::{PodDetails, PodFacts, ProcessFacts};
use telegen_rules::{Key, LabelRule};

/// A fact that may not have arrived yet.
pub(super) enum Known<T> {
    Is(T),
    IsNot,
    NotYet,
}

impl<T> Known<T> {
    fn satisfies(self, rule: impl Fn(T) -> bool) -> Truth {
        match self {
            Self::Is(fact) => Truth::of(rule(fact)),
            Self::IsNot => Truth::No,
            Self::NotYet => Truth::Unknown,
        }
    }
}

/// Whether one entry of a list of patterns matches.
pub(super) fn pattern(key: Key, pattern: &str, facts: &ProcessFacts) -> Truth {
    match key {
        Key::ProcessNames | Key::ExcludeProcessNames => {
            let of_executable = facts.executable.as_deref().and_then(|path| path.split('/').next_back());
            let names = [Some(&*facts.comm), of_executable, facts.argv0.as_deref()];
            Truth::of(names.into_iter().flatten().any(|name| glob(pattern, name)))
        }
        Key::Executables | Key::ExcludeExecutables => {
            Truth::of(facts.executable.as_deref().is_some_and(|path| glob(pattern, path)))
        }
        Key::ContainerIds | Key::ExcludeContainerIds => Truth::of(
            facts.container.as_ref().is_some_and(|container| container.id.as_str().starts_with(pattern)),
        ),
        Key::Namespaces | Key::ExcludeNamespaces => namespace(facts).satisfies(|name| glob(pattern, name)),
        Key::Pods | Key::ExcludePods => pod_name(facts).satisfies(|name| glob(pattern, name)),
        key => details(facts).satisfies(|details| {
            let workload = &details.workload;
            workload.kind.name() == kind(key) && glob(pattern, &workload.name)
        }),
    }
}

/// Whether a rule on labels matches.
pub(super) fn label_rule(rule: &LabelRule, facts: &ProcessFacts) -> Truth {
    details(facts).satisfies(|details| labels::matches(rule, &details.labels))
}

/// Whether the pod says this of itself.
pub(super) fn wish(word: &str, facts: &ProcessFacts) -> Truth {
    details(facts).satisfies(|details| {
        details.annotations.iter().any(|(key, value)| &**key == "telegen.io/profile" && &**value == word)
    })
}

fn kind(key: Key) -> &'static str {
    match key {
        Key::Deployments | Key::ExcludeDeployments => "Deployment",
        Key::DaemonSets | Key::ExcludeDaemonSets => "DaemonSet",
        Key::StatefulSets | Key::ExcludeStatefulSets => "StatefulSet",
        Key::Jobs | Key::ExcludeJobs => "Job",
        Key::CronJobs | Key::ExcludeCronJobs => "CronJob",
        other => panic!("{other:?} is not about a workload"),
    }
}

fn namespace(facts: &ProcessFacts) -> Known<&str> {
    match &facts.pod {
        PodFacts::Pending => Known::NotYet,
        PodFacts::InNone | PodFacts::NotHere => Known::IsNot,
        PodFacts::Known { pod, .. } => pod.namespace.as_deref().map_or(Known::IsNot, Known::Is),
    }
}

fn pod_name(facts: &ProcessFacts) -> Known<&str> {
    match &facts.pod {
        PodFacts::Pending => Known::NotYet,
        PodFacts::InNone | PodFacts::NotHere => Known::IsNot,
        PodFacts::Known { pod, .. } => pod.name.as_deref().map_or(Known::IsNot, Known::Is),
    }
}

/// Where processes tell of themselves there is no source, and what only it could tell never arrives.
fn details(facts: &ProcessFacts) -> Known<&PodDetails> {
    match &facts.pod {
        PodFacts::Pending => Known::NotYet,
        PodFacts::InNone | PodFacts::NotHere => Known::IsNot,
        PodFacts::Known { pod, .. } => pod.details.as_ref().map_or(Known::IsNot, Known::Is),
    }
}
