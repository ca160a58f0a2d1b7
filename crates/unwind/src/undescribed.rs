//! Code that no section describes, and what else may know its frames.

use crate::Rule;
use std::ops::Range;

/// Gaps up to this many bytes are the padding between functions, where nothing runs.
pub(crate) const MAX_PADDING: u64 = 15;

/// Knows frames of functions that call frame information does not describe: a language's own tables, or the code itself.
pub trait Undescribed {
    /// Tells of the functions in a range of addresses, ascending and apart. It is asked for each range once, ascending.
    ///
    /// What it tells is not trusted: a function that is not within the range, or not behind the one before, is left out and counted.
    fn functions(&mut self, gap: Range<u64>, found: &mut dyn FnMut(FunctionRows<'_>));
}

/// The rows of a function that call frame information does not describe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FunctionRows<'a> {
    /// Its first address, as linked.
    pub start: u64,
    /// The first address past it.
    pub end: u64,
    /// Addresses, ascending, and the rule that holds from each on. Before the first one nothing is known.
    pub rows: &'a [(u64, Rule)],
}

impl FunctionRows<'_> {
    /// Whether it can stand within a range.
    pub(crate) fn fits(&self, within: &Range<u64>) -> bool {
        let apart = within.start <= self.start && self.start < self.end && self.end <= within.end;
        let inside = self.rows.iter().all(|(address, _)| (self.start..self.end).contains(address));
        apart && inside && self.rows.is_sorted_by(|before, after| before.0 < after.0)
    }
}

/// What those who know of undescribed code have told.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Found {
    /// Functions.
    pub functions: u64,
    /// Their rows.
    pub rows: u64,
    /// Bytes of code that no section describes, without padding.
    pub undescribed_bytes: u64,
    /// Of these, bytes for which there is a rule.
    pub known_bytes: u64,
    /// Functions that were left out: out of order, not where they were asked for, or too many.
    pub refused: u64,
}
