//! What is known of a process when the kernel tells of it: its own words, completed from /proc where they are too long.

use super::kernel_policy::Groups;
use crate::containers::{Containers, container_of};
use crate::pods::PodSource;
use std::sync::Arc;
use telegen_bpf::{Event, EventKind, Scanned, State};
use telegen_model::{Container, PodFacts, ProcessFacts};
use telegen_process::ProcFs;
use telegen_rules::RuleSet;
use telegen_select::{Observed, Selector, Standing};

/// What is asked of every process about where it runs. Targets are labelled with their containers in any case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Asked {
    Nothing,
    Container,
    Pod,
}

impl Asked {
    /// What a rule needs to know; and the pod, where Kubernetes tells it without the process being asked.
    pub(super) fn of(rules: &RuleSet, pods: &PodSource) -> Self {
        match (rules.needs_pod() || matches!(pods, PodSource::Book(_)), rules.needs_container()) {
            (true, _) => Self::Pod,
            (false, true) => Self::Container,
            (false, false) => Self::Nothing,
        }
    }
}

/// What an event means to the selection; `None` for what it has no use for. Groups that are surely those of containers tell where
/// a process was that has gone.
pub(super) fn of_event(
    event: Event,
    selector: &Selector,
    asked: Asked,
    groups: &Groups,
    pods: &mut PodSource,
) -> Option<telegen_select::Event> {
    let token = event.token;
    let group = event.cgroup.and_then(|group| groups.get(&group));
    Some(match event.kind {
        EventKind::Forked { parent } => {
            let before = selector.facts(parent).cloned();
            let (executable, argv0) = match before.as_deref() {
                Some(facts) => (facts.executable.clone(), facts.argv0.clone()),
                None => (None, None),
            };
            let mut child = observed(&event, executable, argv0);
            if event.cgroup.is_some() {
                place(&mut child.facts, before.as_deref(), asked, group, pods);
            } else if let Some(parent) = before {
                (child.facts.container, child.facts.pod) = (parent.container.clone(), parent.pod.clone());
            }
            telegen_select::Event::Forked { child, parent }
        }
        EventKind::Execed { ref executable, ref argv0 } => {
            let before = selector.facts_of(event.process.id).cloned();
            let mut image = observed(&event, executable.clone(), argv0.clone());
            // A runtime has put itself into the container's control group before it becomes its program.
            place(&mut image.facts, before.as_deref(), asked, group, pods);
            telegen_select::Event::Execed(image)
        }
        EventKind::Moved => {
            let before = selector.facts(token)?.clone();
            let mut facts = (*before).clone();
            place(&mut facts, Some(&before), asked, group, pods);
            let (container, pod) = (facts.container, facts.pod);
            telegen_select::Event::Moved { token, container, pod, standing: standing(event.state) }
        }
        EventKind::Renamed => telegen_select::Event::Renamed { token, comm: event.comm },
        EventKind::Exited => telegen_select::Event::Exited { token },
        EventKind::FirstSample | EventKind::Remapped => return None,
    })
}

/// What a scan has found of a process of which this is known.
pub(super) fn of_scan(
    scanned: Scanned,
    known: Option<&ProcessFacts>,
    with_argv0: bool,
    asked: Asked,
    containers: &mut Containers,
    pods: &mut PodSource,
) -> Observed {
    let mut facts = scanned.facts.clone();
    if !with_argv0 || facts.argv0.is_none() {
        facts.argv0 = known.and_then(|known| known.argv0.clone());
    }
    complete(&mut facts, known, with_argv0);
    let (container, pod) = match known {
        Some(known) => (known.container.as_ref(), known.pod.clone()),
        None => (None, PodFacts::InNone),
    };
    facts.container = match asked {
        Asked::Nothing => container.cloned(),
        Asked::Container | Asked::Pod => containers.of(&scanned, container),
    };
    facts.pod = if asked == Asked::Pod { pods.again(&facts, known) } else { pod };
    Observed { facts, token: scanned.token, key: scanned.key, standing: standing(scanned.state) }
}

/// Where a process runs now, of which this was known before; or, if it has gone, where its control group says that it was.
fn place(
    facts: &mut ProcessFacts,
    before: Option<&ProcessFacts>,
    asked: Asked,
    group: Option<&Arc<Container>>,
    pods: &mut PodSource,
) {
    let (container, pod) = match before {
        Some(before) => (before.container.as_ref(), before.pod.clone()),
        None => (None, PodFacts::InNone),
    };
    facts.container = match asked {
        Asked::Nothing => container.cloned(),
        Asked::Container | Asked::Pod => container_of(facts.key.id.pid, group.or(container)),
    };
    facts.pod = if asked == Asked::Pod { pods.of(facts, &pod) } else { pod };
}

fn observed(event: &Event, executable: Option<Box<str>>, argv0: Option<Box<str>>) -> Observed {
    let mut facts = ProcessFacts {
        key: event.process,
        parent: event.parent,
        kernel_thread: false,
        comm: event.comm.clone(),
        executable,
        argv0,
        container: None,
        pod: PodFacts::InNone,
    };
    complete(&mut facts, None, true);
    Observed { facts, token: event.token, key: event.key, standing: standing(event.state) }
}

/// Takes from /proc what the kernel side could not tell: a path that is too long or too deep, arguments that are.
fn complete(facts: &mut ProcessFacts, known: Option<&ProcessFacts>, with_argv0: bool) {
    if let Some(known) = known {
        if facts.executable.is_none() {
            facts.executable.clone_from(&known.executable);
        }
        return;
    }
    let (proc, pid) = (ProcFs::default(), facts.key.id.pid);
    // A process that has gone meanwhile is decided on by what is known.
    if facts.executable.is_none() {
        facts.executable = proc.executable(pid).ok().flatten();
    }
    if facts.argv0.is_none() && with_argv0 {
        facts.argv0 = proc.argv0(pid).ok().flatten();
    }
}

fn standing(state: State) -> Standing {
    match state {
        State::Undecided | State::Exiting => Standing::Undecided,
        State::Profile { by_pid, follow, target } => Standing::Profile { by_pid, follow, target },
        State::Skip => Standing::Skip,
    }
}

/// What the kernel side calls it.
pub(super) fn state(standing: Standing) -> State {
    match standing {
        Standing::Undecided => State::Undecided,
        Standing::Profile { by_pid, follow, target } => State::Profile { by_pid, follow, target },
        Standing::Skip => State::Skip,
    }
}
