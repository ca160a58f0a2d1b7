//! What the kernel and the sampler hold, as far as the selection can tell.

use crate::stories::observed;
use std::collections::{BTreeMap, BTreeSet};
use telegen_model::TargetNumber;
use telegen_select::{Observed, Operation, Standing};

pub(crate) const NAMES: [&str; 3] = ["java", "bash", "ruby"];

/// A process as it is.
#[derive(Clone, Debug)]
pub(crate) struct Live {
    pub(crate) pid: u32,
    pub(crate) start: u64,
    pub(crate) generation: u32,
    pub(crate) comm: usize,
    pub(crate) executable: usize,
    pub(crate) standing: Standing,
    pub(crate) followed: bool,
}

#[derive(Default)]
pub(crate) struct World {
    /// By token.
    pub(crate) live: BTreeMap<u64, Live>,
    /// What the sampler holds.
    pub(crate) started: BTreeSet<u64>,
    /// Whose end the selection has been told.
    pub(crate) told_dead: BTreeSet<u64>,
    tokens: u64,
}

impl World {
    /// A world with one process in it, a shell.
    pub(crate) fn new() -> Self {
        let mut world = Self::default();
        let token = world.new_token();
        let standing = Standing::Undecided;
        let shell =
            Live { pid: 1_000, start: 0, generation: 0, comm: 1, executable: 1, standing, followed: false };
        world.live.insert(token, shell);
        world
    }

    fn new_token(&mut self) -> u64 {
        self.tokens += 1;
        self.tokens
    }

    pub(crate) fn pick(&self, at: usize) -> Option<u64> {
        (!self.live.is_empty()).then(|| *self.live.keys().nth(at % self.live.len()).expect("within"))
    }

    pub(crate) fn by_pid(&self, pid: u32) -> Option<(u64, &Live)> {
        self.live.iter().find(|(_, live)| live.pid == pid).map(|(&token, live)| (token, live))
    }

    /// The child's token, unless the pid is taken.
    pub(crate) fn fork(&mut self, parent: u64, pid: u32, start: u64) -> Option<u64> {
        if self.by_pid(pid).is_some() {
            return None;
        }
        let parent = self.live[&parent].clone();
        let standing = match parent.standing {
            Standing::Profile { follow: true, .. } => {
                Standing::Profile { by_pid: false, follow: true, target: TargetNumber(0) }
            }
            Standing::Profile { by_pid: true, .. } => Standing::Undecided,
            standing => standing,
        };
        let token = self.new_token();
        self.live.insert(token, Live { pid, start, generation: 0, standing, ..parent });
        Some(token)
    }

    pub(crate) fn exec(&mut self, process: u64, name: usize) -> u64 {
        let mut live = self.live.remove(&process).expect("picked");
        live.generation += 1;
        (live.comm, live.executable) = (name, name);
        live.standing = match live.standing {
            Standing::Profile { follow: true, .. } => {
                Standing::Profile { by_pid: false, follow: true, target: TargetNumber(0) }
            }
            _ => Standing::Undecided,
        };
        let token = self.new_token();
        self.live.insert(token, live);
        token
    }

    pub(crate) fn observe(&self, token: u64) -> Observed {
        let live = &self.live[&token];
        let mut observed = observed(live.pid, live.start, live.generation, token, NAMES[live.executable]);
        observed.facts.comm = NAMES[live.comm].into();
        observed.standing = live.standing;
        observed
    }

    /// The kernel takes no decision on an image that is gone; nothing may start that is known to be.
    pub(crate) fn carry_out(&mut self, out: Vec<Operation>) {
        for operation in out {
            match operation {
                Operation::Name { .. } => {}
                Operation::Set { token, standing, key } => {
                    if let Some(live) = self.live.get_mut(&token.0) {
                        assert_eq!(key.0, live.pid);
                        live.standing = standing;
                    }
                }
                Operation::Start { token, .. } => {
                    assert!(!self.told_dead.contains(&token.0), "{token} started after its end");
                    assert!(self.started.insert(token.0), "{token} started twice");
                }
                Operation::Retarget { token, .. } | Operation::Facts { token, .. } => {
                    assert!(self.started.contains(&token.0), "{token} has never started");
                }
                Operation::LeftOut { token } => {
                    assert!(!self.started.contains(&token.0), "{token} is a target");
                }
                Operation::End { token } => {
                    assert!(self.started.remove(&token.0), "{token} ended without a start");
                }
            }
        }
    }
}
