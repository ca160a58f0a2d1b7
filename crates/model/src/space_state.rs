//! Which state of an address space something is known of.

use std::ops::Range;

/// Which state of an address space a list of its executable mappings is of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct SpaceState {
    /// How often addresses have been handed out that may have been code for all that is known.
    pub remaps: u32,
    /// How often the kernel side has said that what is known of the mappings is out of date.
    pub told: u32,
    /// How many pages of code there are, as the kernel counts them; 0 if that is not known.
    pub code_pages: u64,
}

/// What there is to say of a list of executable mappings beside what is in it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listed {
    /// The state of the address space that it is of.
    pub state: SpaceState,
    /// Where code was before and nothing is now, in ascending ranges that do not overlap: what comes there is to be noticed.
    pub gone: Vec<Range<u64>>,
}
