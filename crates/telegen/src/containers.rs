//! Which containers processes run in.

use std::collections::HashMap;
use std::sync::Arc;
use telegen_bpf::{ControlGroupSet, Scanned};
use telegen_model::{Container, Pid};
use telegen_process::ProcFs;

/// The containers of the processes of one scan. Processes in the same control groups are in the same container, so /proc is
/// asked once for all of them.
#[derive(Default)]
pub(crate) struct Containers {
    known: HashMap<ControlGroupSet, Option<Arc<Container>>>,
    lookups: Lookups,
}

/// How often it was asked where a process runs.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Lookups {
    /// Known from another process.
    pub(crate) hits: u64,
    /// Read from /proc.
    pub(crate) misses: u64,
}

impl Containers {
    /// The container of a process, `before` if it is the same as before, or has gone before it could be asked.
    pub(crate) fn of(
        &mut self,
        scanned: &Scanned,
        before: Option<&Arc<Container>>,
    ) -> Option<Arc<Container>> {
        if scanned.facts.kernel_thread {
            return None;
        }
        if let Some(known) = self.known.get(&scanned.cgroups) {
            self.lookups.hits += 1;
            return known.clone();
        }
        self.lookups.misses += 1;
        let container = container_of(scanned.facts.key.id.pid, before);
        self.known.insert(scanned.cgroups, container.clone());
        container
    }

    /// How often it was asked.
    pub(crate) fn lookups(&self) -> Lookups {
        self.lookups
    }
}

/// The container that a process runs in now, or what was known of it if it has gone. Control groups that an event names may
/// not be remembered for it: by the time that it is asked the process can be in others.
pub(crate) fn container_of(pid: Pid, before: Option<&Arc<Container>>) -> Option<Arc<Container>> {
    match (ProcFs::default().container(pid), before) {
        // The same container keeps what has been allocated for it.
        (Ok(Some(now)), Some(before)) if now == **before => Some(before.clone()),
        (Ok(now), _) => now.map(Arc::new),
        (Err(_), before) => before.cloned(),
    }
}
