//! Which containers control groups belong to.

use std::collections::HashMap;
use std::sync::Arc;
use telegen_model::{Container, ControlGroup, Pid};
use telegen_process::ProcFs;

/// Control groups that are remembered; beyond that /proc is asked for each process.
const MAX_GROUPS: usize = 65_536;

/// The containers of control groups. A group's path never changes, so /proc is asked once for all processes in it.
#[derive(Default)]
pub(crate) struct Containers {
    known: HashMap<ControlGroup, Known>,
    round: u64,
}

struct Known {
    container: Option<Arc<Container>>,
    /// When a process was last seen in the group.
    round: u64,
}

impl Containers {
    /// The container of a process that is in this group, `before` if it has gone before it could be asked.
    pub(crate) fn of(
        &mut self,
        group: Option<ControlGroup>,
        pid: Pid,
        before: Option<&Arc<Container>>,
    ) -> Option<Arc<Container>> {
        let round = self.round;
        if let Some(known) = group.and_then(|group| self.known.get_mut(&group)) {
            known.round = round;
            return known.container.clone();
        }
        let proc = ProcFs::default();
        let now = match group {
            // The group is remembered: what other hierarchies say of a process on its way must not be mixed in.
            Some(group) => proc.container_in(pid, group.hierarchy),
            None => proc.container(pid),
        };
        let Ok(now) = now else { return before.cloned() };
        // The same container keeps what has been allocated for it.
        let container = match before {
            Some(before) if now.as_ref() == Some(before) => Some(before.clone()),
            _ => now.map(Arc::new),
        };
        if let Some(group) = group.filter(|_| self.known.len() < MAX_GROUPS) {
            self.known.insert(group, Known { container: container.clone(), round });
        }
        container
    }

    /// All groups that are known to be a container's.
    pub(crate) fn all(&self) -> impl Iterator<Item = (ControlGroup, &Arc<Container>)> {
        self.known.iter().filter_map(|(group, known)| Some((*group, known.container.as_ref()?)))
    }

    /// A look at all processes begins: groups in which none is seen until [`Containers::sweep`] are forgotten then.
    pub(crate) fn begin_round(&mut self) {
        self.round += 1;
    }

    /// Forgets groups without a process; those that are.
    pub(crate) fn sweep(&mut self) -> Vec<ControlGroup> {
        let round = self.round;
        self.known.extract_if(|_, known| known.round < round).map(|(group, _)| group).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: ControlGroup = ControlGroup { id: 7, hierarchy: 0 };

    #[test]
    fn a_group_is_asked_for_once_and_forgotten_when_nobody_is_in_it() {
        let mut containers = Containers::default();
        let own = Pid(std::process::id());
        containers.begin_round();
        let found = containers.of(Some(GROUP), own, None);
        assert_eq!(containers.sweep(), []);
        // A pid that cannot be: the answer is the group's.
        assert_eq!(containers.of(Some(GROUP), Pid(u32::MAX), None), found);
        containers.begin_round();
        assert_eq!(containers.sweep(), [GROUP]);
        assert_eq!(containers.of(Some(GROUP), Pid(u32::MAX), None), None);
    }
}
