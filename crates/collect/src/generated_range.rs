//! Memory that a just-in-time compiler puts code into.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use telegen_model::FileOffset;

/// Memory that a just-in-time compiler puts code into.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct GeneratedRange {
    /// Index into [`Interval::modules`].
    ///
    /// [`Interval::modules`]: crate::Interval::modules
    pub module: u32,
    /// What to add to an address, wrapping, for its offset in the module's file; 0 if that has none.
    pub bias: u64,
}

impl GeneratedRange {
    /// What stands in the name of an address that has no other: its offset in the file, or without a file itself.
    pub(crate) fn offset(self, address: u64) -> FileOffset {
        FileOffset(address.wrapping_add(self.bias))
    }
}

/// The ranges of an interval, each once.
#[derive(Debug, Default)]
pub(crate) struct GeneratedRanges {
    ranges: Vec<GeneratedRange>,
    numbers: HashMap<GeneratedRange, u32, RandomState>,
}

impl GeneratedRanges {
    pub(crate) fn number(&mut self, range: GeneratedRange) -> u32 {
        *self.numbers.entry(range).or_insert_with(|| {
            self.ranges.push(range);
            self.ranges.len() as u32 - 1
        })
    }

    pub(crate) fn finish(self) -> Vec<GeneratedRange> {
        self.ranges
    }
}
