//! What is known of a process when the kernel tells of it: its own words, completed from /proc where they are too long.

use crate::containers::Containers;
use std::sync::Arc;
use telegen_bpf::{Event, EventKind, Scanned, State};
use telegen_model::{Container, PodFacts, ProcessFacts};
use telegen_process::ProcFs;
use telegen_select::{Observed, Selector, Standing};

/// What an event means to the selection; `None` for what it has no use for.
pub(super) fn of_event(
    event: Event,
    selector: &Selector,
    containers: &mut Containers,
) -> Option<telegen_select::Event> {
    let (token, pid) = (event.token, event.process.id.pid);
    Some(match event.kind {
        EventKind::Forked { parent } => {
            let of_parent = selector.facts(parent).cloned();
            let (executable, argv0, before) = match of_parent.as_deref() {
                Some(facts) => (facts.executable.clone(), facts.argv0.clone(), facts.container.clone()),
                None => (None, None, None),
            };
            let container = containers.of(event.cgroup, pid, before.as_ref());
            let child = observed(&event, executable, argv0, container);
            telegen_select::Event::Forked { child, parent }
        }
        EventKind::Execed { ref executable, ref argv0 } => {
            let before = selector.facts_of(event.process.id).and_then(|facts| facts.container.clone());
            // A runtime has put itself into the container's control group before it becomes its program.
            let container = containers.of(event.cgroup, pid, before.as_ref());
            telegen_select::Event::Execed(observed(&event, executable.clone(), argv0.clone(), container))
        }
        EventKind::Moved => {
            let before = selector.facts(token).and_then(|facts| facts.container.clone());
            let container = containers.of(event.cgroup, pid, before.as_ref());
            telegen_select::Event::Moved { token, container, standing: standing(event.state) }
        }
        EventKind::Renamed => telegen_select::Event::Renamed { token, comm: event.comm },
        EventKind::Exited => telegen_select::Event::Exited { token },
        EventKind::FirstSample | EventKind::Remapped => return None,
    })
}

/// What a scan has found of a process.
pub(super) fn of_scan(
    scanned: Scanned,
    with_argv0: bool,
    selector: &Selector,
    containers: &mut Containers,
) -> Observed {
    let mut facts = scanned.facts;
    let known = selector.facts(scanned.token);
    if !with_argv0 || facts.argv0.is_none() {
        facts.argv0 = known.and_then(|known| known.argv0.clone());
    }
    complete(&mut facts, known.map(|known| &**known), with_argv0);
    let before = known.and_then(|known| known.container.as_ref());
    facts.container = containers.of(scanned.cgroup, facts.key.id.pid, before);
    Observed { facts, token: scanned.token, key: scanned.key, standing: standing(scanned.state) }
}

fn observed(
    event: &Event,
    executable: Option<Box<str>>,
    argv0: Option<Box<str>>,
    container: Option<Arc<Container>>,
) -> Observed {
    let mut facts = ProcessFacts {
        key: event.process,
        parent: event.parent,
        kernel_thread: false,
        comm: event.comm.clone(),
        executable,
        argv0,
        container,
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
