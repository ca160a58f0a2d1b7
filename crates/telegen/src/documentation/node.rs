//! The node of the examples, as its page has it.

use super::book::Page;
use std::collections::BTreeSet;
use std::sync::Arc;
use telegen_model::{
    Container, ContainerId, Generation, Pid, Pod, PodDetails, PodFacts, ProcessFacts, ProcessId, ProcessKey,
    StartTime, Workload, WorkloadKind,
};
use telegen_rules::RuleSet;

/// A process of it, by the name that the page has for it.
pub(super) struct Process {
    name: String,
    pub(super) facts: ProcessFacts,
}

/// Targets, and the processes that they own.
pub(super) type Selection = BTreeSet<(String, String)>;

/// Who tells of pods.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Kubernetes,
    /// The processes themselves, which know namespace and name.
    Themselves,
}

/// The processes in the table.
pub(super) fn node(page: &Page, source: Source) -> Vec<Process> {
    let rows = page.table("## The node of the examples");
    rows.iter().map(|row| process(row.as_slice(), source)).collect()
}

fn process(row: &[String], source: Source) -> Process {
    let [name, pid, names, executable, container, pod, workload, labels] = row else {
        panic!("a row of eight cells: {row:?}")
    };
    let (comm, argv0) = names.split_once(", ").unwrap_or((names, names));
    let kernel_thread = executable == "(kernel thread)";
    let id = ProcessId { pid: Pid(pid.parse().unwrap()), start: StartTime(1) };
    let container = (!container.is_empty()).then(|| {
        let id = ContainerId::new(&format!("{container:0<64}")).expect("digits of a container's id");
        Arc::new(Container { id, pod_uid: Some(pod.as_str().into()) })
    });
    let facts = ProcessFacts {
        key: ProcessKey { id, generation: Generation(0) },
        parent: Pid(1),
        kernel_thread,
        comm: comm.into(),
        executable: (!kernel_thread).then(|| executable.as_str().into()),
        argv0: (!kernel_thread).then(|| argv0.into()),
        container,
        pod: pod.split_once('/').map_or(PodFacts::InNone, |(namespace, name)| PodFacts::Known {
            pod: Arc::new(Pod {
                uid: pod.as_str().into(),
                namespace: Some(namespace.into()),
                name: Some(name.into()),
                details: (source == Source::Kubernetes).then(|| details(workload, labels)),
            }),
            container: None,
        }),
    };
    Process { name: name.clone(), facts }
}

fn details(workload: &str, labels: &str) -> PodDetails {
    let (kind, name) = workload.split_once('/').expect("KIND/NAME");
    let label = |label: &str| label.split_once('=').map(|(key, value)| (key.into(), value.into()));
    PodDetails {
        node: "node-1".into(),
        labels: labels.split(", ").map(|text| label(text).expect("KEY=VALUE")).collect(),
        annotations: [].into(),
        workload: Workload { kind: WorkloadKind::new(kind), name: name.into() },
    }
}

/// Whom the rules select.
pub(super) fn selected(rules: &RuleSet, node: &[Process]) -> Selection {
    let target = |process: &Process| {
        let facts = &process.facts;
        let choice = rules.pids().iter().copied().find(|choice| choice.pid == facts.key.id.pid);
        let decision = rules.decide(facts, choice, false);
        decision.is_profile().then(|| rules.target(decision).name.to_string())
    };
    node.iter().filter_map(|process| Some((target(process)?, process.name.clone()))).collect()
}

/// `payments: a, b; default: c`, or `a, b` of the target `default`, or `nothing`.
pub(super) fn selection(text: &str) -> Selection {
    let mut found = Selection::new();
    if text == "nothing" {
        return found;
    }
    for part in text.split("; ") {
        let (target, processes) = part.split_once(": ").unwrap_or(("default", part));
        found.extend(processes.split(", ").map(|process| (target.to_owned(), process.to_owned())));
    }
    found
}
