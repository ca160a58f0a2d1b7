//! A process in the list, as programs read it.

use super::Decided;
use serde::Serialize;
use std::collections::BTreeMap;
use telegen_model::PodFacts;
use telegen_rules::{NearMiss, RuleSet};

/// A process in the list. What is not known is null, or empty.
#[derive(Serialize)]
pub(super) struct Entry {
    pid: u32,
    start_time: u64,
    name: String,
    exe: Option<String>,
    container_id: Option<String>,
    namespace: Option<String>,
    pod: Option<String>,
    /// The name of its container in the pod.
    container: Option<String>,
    workload: Option<WorkloadEntry>,
    labels: BTreeMap<String, String>,
    decision: &'static str,
    /// The target that has selected it.
    target: Option<String>,
    reason: String,
}

#[derive(Serialize)]
struct WorkloadEntry {
    kind: String,
    name: String,
}

impl Entry {
    pub(super) fn new(rules: &RuleSet, process: &Decided) -> Self {
        let facts = &process.facts;
        let pod = facts.pod.pod();
        let details = pod.and_then(|pod| pod.details.as_ref());
        let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        let workload = details.map(|details| &details.workload);
        let labels = details.map(|details| &details.labels).into_iter().flatten();
        Self {
            pid: facts.key.id.pid.0,
            start_time: facts.key.id.start.0,
            name: facts.comm.to_string(),
            exe: text(&facts.executable),
            container_id: facts.container.as_ref().map(|container| container.id.to_string()),
            namespace: pod.and_then(|pod| text(&pod.namespace)),
            pod: pod.and_then(|pod| text(&pod.name)),
            container: facts.pod.container().map(ToString::to_string),
            workload: workload.map(|workload| WorkloadEntry {
                kind: workload.kind.to_string(),
                name: workload.name.to_string(),
            }),
            labels: labels.map(|(key, value)| (key.to_string(), value.to_string())).collect(),
            decision: process.decision.verdict.name(),
            target: target_name(rules, process).map(str::to_owned),
            reason: explanation(rules, process),
        }
    }
}

/// The name of the target that has selected a process.
pub(super) fn target_name<'a>(rules: &'a RuleSet, process: &Decided) -> Option<&'a str> {
    process.decision.is_profile().then(|| &*rules.target(process.decision).name)
}

/// A pod by its namespace and name, as far as they are known.
pub(super) fn pod_name(pod: &PodFacts) -> String {
    match pod {
        PodFacts::InNone => "-".into(),
        PodFacts::Pending | PodFacts::NotHere => "?".into(),
        PodFacts::Known { pod, .. } => {
            let part = |part: &Option<Box<str>>| part.as_deref().unwrap_or("?").to_owned();
            format!("{}/{}", part(&pod.namespace), part(&pod.name))
        }
    }
}

/// The deciding rule, or what is missing for one to match.
pub(super) fn explanation(rules: &RuleSet, process: &Decided) -> String {
    /// More targets than these are too many to read of.
    const SHOWN: usize = 3;
    let reason = rules.reason(process.decision);
    let misses = rules.near_misses(&process.facts, process.decision);
    if misses.is_empty() {
        return reason;
    }
    let misses: Vec<String> = misses.iter().take(SHOWN).map(NearMiss::to_string).collect();
    format!("{reason}: {}", misses.join("; "))
}
