//! A function that is being followed: what has been reached of it, and where its ways go on.

use super::value::State;
use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::VecDeque;

/// What following a function has come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Outcome {
    /// It returns, or goes on in another function, as it must.
    pub(super) leaves: bool,
    /// There is no caller to return to.
    pub(super) outermost: bool,
    /// It goes on in code that is known, with the frame that is known there.
    pub(super) joins: bool,
    /// It may also be left by jumps that could not be followed: what holds there, unless it is what holds at its start.
    pub(super) open: Vec<State>,
}

/// Why a function could not be followed to its end.
pub(super) enum Stop {
    /// This call does not return, or nothing fits.
    DoesNotReturn(u64),
    /// Nothing fits.
    Inconsistent,
}

/// Where a way came from: the number of the last call that it went on behind.
pub(super) type Way = Option<u32>;

/// Where a way goes on.
pub(super) struct Front {
    pub(super) at: u64,
    pub(super) state: State,
    pub(super) way: Way,
    /// The call that it has just gone on behind.
    pub(super) behind_call: Option<u64>,
    /// Less is known than when this code was followed before.
    pub(super) again: bool,
}

/// Ways that wait, and labels, of one function. The function is given up beyond: it is no compiler's.
const MAX_WAITING: usize = 8 << 10;
const MAX_LABELS: usize = 16 << 10;

/// The function.
#[derive(Default)]
pub(super) struct Path {
    pub(super) root: u64,
    /// Addresses that have got a rule, and the length of each instruction.
    pub(super) reached: Vec<(u64, u8)>,
    /// What holds at each label, and the way on which it was found.
    pub(super) labels: HashMap<u64, (State, Way), FixedState>,
    pub(super) outcome: Outcome,
    jumps: Vec<Front>,
    /// Behind calls.
    returns: VecDeque<Front>,
    /// Behind calls, where something else leads as well: if nothing fits, the call does not return.
    late_returns: VecDeque<Front>,
    /// Calls, and the way each was on.
    calls: Vec<(u64, Way)>,
}

impl Path {
    /// From a function's start, where this holds.
    pub(super) fn from_start(root: u64, entry: &State) -> Self {
        let mut path = Self { root, ..Self::default() };
        path.outcome.outermost = entry.outermost;
        path.jumps.push(Front { at: root, state: entry.clone(), way: None, behind_call: None, again: false });
        path
    }

    /// A jump leads there.
    pub(super) fn push_jump(&mut self, at: u64, state: State, way: Way) -> Result<(), Stop> {
        self.jumps.push(Front { at, state, way, behind_call: None, again: false });
        self.check()
    }

    /// A call returns there, or does not.
    pub(super) fn push_return(
        &mut self,
        at: u64,
        state: State,
        call: u64,
        way: Way,
        late: Late,
    ) -> Result<(), Stop> {
        self.calls.push((call, way));
        let way = Some(self.calls.len() as u32 - 1);
        let front = Front { at, state, way, behind_call: Some(call), again: false };
        match late {
            Late::Yes => self.late_returns.push_back(front),
            Late::No => self.returns.push_back(front),
        }
        self.check()
    }

    fn check(&self) -> Result<(), Stop> {
        let waiting = self.jumps.len() + self.returns.len() + self.late_returns.len();
        if waiting > MAX_WAITING || self.labels.len() > MAX_LABELS { Err(Stop::Inconsistent) } else { Ok(()) }
    }

    /// Where to go on: behind jumps first, which are certain, and behind doubtful calls last.
    pub(super) fn next(&mut self) -> Option<Front> {
        let behind = |path: &mut Self| path.returns.pop_front().or_else(|| path.late_returns.pop_front());
        self.jumps.pop().or_else(|| behind(self))
    }

    /// The calls of a way, the last one first.
    pub(super) fn calls_of(&self, mut way: Way) -> impl Iterator<Item = u64> + '_ {
        std::iter::from_fn(move || {
            let &(call, before) = self.calls.get(way? as usize)?;
            way = before;
            Some(call)
        })
    }
}

/// Whether something else than a call's return may lead to an address behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Late {
    Yes,
    No,
}
