//! Handing decisions to the kernel.

use crate::abi::{APPLY_MAX, RELEASE, RawApplyItem};
use crate::{Error, Leftover, Policy, Shared, State, sys};
use std::os::fd::{AsFd, OwnedFd};
use telegen_model::{KernelKey, TargetNumber, Token};

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

    /// What the programs decide by themselves from now on.
    pub fn set_policy(&mut self, policy: &Policy) {
        self.shared.write_policy(&policy.words());
    }

    /// A target takes a share of the clock's ticks: `wanted_hz` of `clock_hz`.
    pub fn set_sample_rate(&mut self, target: TargetNumber, wanted_hz: u32, clock_hz: u32) {
        self.shared.write_step(target, step(wanted_hz, clock_hz));
    }

    /// Carries out changes in order; `report` hears of each.
    pub fn apply(
        &mut self,
        changes: &[StateChange],
        mut report: impl FnMut(&StateChange, Outcome),
    ) -> Result<(), Error> {
        for batch in changes.chunks(APPLY_MAX) {
            self.request(batch.iter().map(|change| (change.key, change.token, change.state.bits())))?;
            for (index, change) in batch.iter().enumerate() {
                let outcome = if self.shared.outcome(index) { Outcome::Applied } else { Outcome::Stale };
                report(change, outcome);
            }
        }
        Ok(())
    }

    /// Deletes entries that have been left over, unless their keys have been given to others meanwhile; how many those were.
    ///
    /// # Errors
    ///
    /// If the program that does it cannot be run.
    pub fn release(&mut self, leftovers: &[Leftover]) -> Result<usize, Error> {
        let mut released = 0;
        for batch in leftovers.chunks(APPLY_MAX) {
            self.request(batch.iter().map(|leftover| (leftover.key, leftover.token, RELEASE)))?;
            released += (0..batch.len()).filter(|&index| self.shared.outcome(index)).count();
        }
        Ok(released)
    }

    /// What is asked of each entry, [`APPLY_MAX`] at the most.
    fn request(&mut self, wanted: impl Iterator<Item = (KernelKey, Token, u32)>) -> Result<(), Error> {
        let item = |(key, token, state): (KernelKey, Token, u32)| RawApplyItem {
            key: key.0,
            state,
            token: token.0,
            outcome: 0,
        };
        let items: Vec<RawApplyItem> = wanted.map(item).collect();
        self.shared.write_request(&items);
        sys::run_program(self.program.as_fd())
            .map_err(|source| Error::Kernel { action: "handing decisions to the kernel", source })
    }
}

/// A share in 2^-32; 0 for the whole.
fn step(wanted_hz: u32, clock_hz: u32) -> u32 {
    if wanted_hz >= clock_hz {
        return 0;
    }
    // Less than 2^32, since it is less than the whole.
    ((u64::from(wanted_hz) << 32) / u64::from(clock_hz)).max(1) as u32
}

#[cfg(test)]
mod tests {
    use super::step;

    #[test]
    fn steps_are_shares_of_two_to_the_32() {
        assert_eq!((step(99, 99), step(200, 99)), (0, 0));
        assert_eq!(step(1, 2), 1 << 31);
        let taken = (u64::from(step(19, 199)) * 199_000) >> 32;
        assert!((18_999..=19_000).contains(&taken), "{taken} of 199,000 ticks");
    }
}
