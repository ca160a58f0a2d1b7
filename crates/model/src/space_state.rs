//! Which state of an address space something is known of.

/// Which state of an address space a list of its executable mappings is of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct SpaceState {
    /// How often addresses that may have been code have been handed out anew.
    pub remaps: u32,
    /// How often the kernel side has said that what is known of the mappings is out of date.
    pub told: u32,
    /// How many pages of code there are, as the kernel counts them; 0 if that is not known.
    pub code_pages: u64,
}
