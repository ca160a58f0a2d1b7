//! Handing decisions to the kernel.

use crate::abi::{APPLY_MAX, RawApplyItem};
use crate::{Error, Shared, State, sys};
use std::os::fd::{AsFd, OwnedFd};
use telegen_model::{KernelKey, Token};

/// A state that a process shall have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StateChange {
    /// Where the process stands in the kernel's table.
    pub key: KernelKey,
    /// Which program image of which process is meant.
    pub token: Token,
    /// What shall be done with its ticks.
    pub state: State,
}

/// What became of a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It holds from now on.
    Applied,
    /// The process is gone, or has called exec since: the change was not for what stands there now.
    Stale,
}

/// Changes states in the kernel's table. There is one, and the thread that owns it is the only one that decides.
pub struct Decider {
    program: OwnedFd,
    shared: Shared,
}

impl Decider {
    pub(crate) fn new(program: OwnedFd, shared: Shared) -> Self {
        Self { program, shared }
    }

    /// Carries out changes in order; `report` hears of each.
    pub fn apply(
        &mut self,
        changes: &[StateChange],
        mut report: impl FnMut(&StateChange, Outcome),
    ) -> Result<(), Error> {
        for batch in changes.chunks(APPLY_MAX) {
            let items: Vec<RawApplyItem> = batch
                .iter()
                .map(|change| RawApplyItem {
                    key: change.key.0,
                    state: change.state.bits(),
                    token: change.token.0,
                    outcome: 0,
                })
                .collect();
            self.shared.write_request(&items);
            sys::run_program(self.program.as_fd())
                .map_err(|source| Error::Kernel { action: "handing decisions to the kernel", source })?;
            for (index, change) in batch.iter().enumerate() {
                let outcome = if self.shared.outcome(index) { Outcome::Applied } else { Outcome::Stale };
                report(change, outcome);
            }
        }
        Ok(())
    }
}
