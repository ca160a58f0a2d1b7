//! What is known of a process when the kernel tells of it: its own words, completed from /proc where they are too long.

use crate::containers::Containers;
use crate::pods::{pod_again, pod_of};
use telegen_bpf::{Event, EventKind, Scanned, State};
use telegen_model::{ControlGroup, PodFacts, ProcessFacts};
use telegen_process::ProcFs;
use telegen_rules::RuleSet;
use telegen_select::{Observed, Selector, Standing};

/// Whether processes are asked for their pods.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pods {
    Asked,
    NotAsked,
}

impl Pods {
    /// Only where a rule needs to know.
    pub(super) fn of(rules: &RuleSet) -> Self {
        if rules.needs_pod() { Self::Asked } else { Self::NotAsked }
    }
}

/// What an event means to the selection; `None` for what it has no use for.
pub(super) fn of_event(
    event: Event,
    selector: &Selector,
    pods: Pods,
    containers: &mut Containers,
) -> Option<telegen_select::Event> {
    let token = event.token;
    Some(match event.kind {
        EventKind::Forked { parent } => {
            let before = selector.facts(parent).cloned();
            let (executable, argv0) = match before.as_deref() {
                Some(facts) => (facts.executable.clone(), facts.argv0.clone()),
                None => (None, None),
            };
            let mut child = observed(&event, executable, argv0);
            // A child begins in its parent's control group, unless it was cloned into another.
            place(&mut child.facts, event.cgroup, before.as_deref(), Asked::Again(pods), containers);
            telegen_select::Event::Forked { child, parent }
        }
        EventKind::Execed { ref executable, ref argv0 } => {
            let before = selector.facts_of(event.process.id).cloned();
            let mut image = observed(&event, executable.clone(), argv0.clone());
            // A runtime has put itself into the container's control group before it becomes its program.
            place(&mut image.facts, event.cgroup, before.as_deref(), Asked::Anew(pods), containers);
            telegen_select::Event::Execed(image)
        }
        EventKind::Moved => {
            let before = selector.facts(token)?.clone();
            let mut facts = (*before).clone();
            place(&mut facts, event.cgroup, Some(&before), Asked::Again(pods), containers);
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
    pods: Pods,
    containers: &mut Containers,
) -> Observed {
    let mut facts = scanned.facts;
    if !with_argv0 || facts.argv0.is_none() {
        facts.argv0 = known.and_then(|known| known.argv0.clone());
    }
    complete(&mut facts, known, with_argv0);
    place(&mut facts, scanned.cgroup, known, Asked::Again(pods), containers);
    Observed { facts, token: scanned.token, key: scanned.key, standing: standing(scanned.state) }
}

/// Whether a process is asked for its pod, and whether what it has said before will do.
#[derive(Clone, Copy)]
enum Asked {
    Anew(Pods),
    Again(Pods),
}

/// Where a process runs, of which this was known before.
fn place(
    facts: &mut ProcessFacts,
    group: Option<ControlGroup>,
    before: Option<&ProcessFacts>,
    asked: Asked,
    containers: &mut Containers,
) {
    let container = before.and_then(|before| before.container.as_ref());
    facts.container = containers.of(group, facts.key.id.pid, container);
    facts.pod = match (asked, before) {
        (Asked::Anew(Pods::Asked), before) => {
            pod_of(facts, before.map_or(&PodFacts::InNone, |before| &before.pod))
        }
        (Asked::Again(Pods::Asked), before) => pod_again(facts, before),
        (_, before) => before.map(|before| before.pod.clone()).unwrap_or_default(),
    };
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
