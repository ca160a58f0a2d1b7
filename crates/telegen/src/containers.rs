//! Which containers the processes of one scan run in.

use std::collections::HashMap;
use std::sync::Arc;
use telegen_bpf::{ControlGroups, Scanned};
use telegen_model::Container;
use telegen_process::ProcFs;

/// Processes in the same control groups are in the same container, so /proc is asked once for all of them.
#[derive(Default)]
pub(crate) struct Containers(HashMap<ControlGroups, Option<Arc<Container>>>);

impl Containers {
    /// The container of a process, `before` if it is the same as before, or has gone before it could be asked.
    pub(crate) fn of(&mut self, scanned: &Scanned, before: Option<Arc<Container>>) -> Option<Arc<Container>> {
        if scanned.facts.kernel_thread {
            return None;
        }
        if let Some(known) = self.0.get(&scanned.cgroups) {
            return known.clone();
        }
        let Ok(now) = ProcFs::default().container(scanned.facts.key.id.pid) else { return before };
        let now = if now.as_ref() == before.as_deref() { before } else { now.map(Arc::new) };
        self.0.insert(scanned.cgroups, now.clone());
        now
    }
}
