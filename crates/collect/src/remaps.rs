//! What is known of code that gives way to other code at the same addresses.

use std::ops::Range;
use telegen_model::{SpaceState, Token};

/// Tells how often addresses that may have been code have been handed out anew, and which.
pub trait Remaps: std::fmt::Debug {
    /// The state of an image's address space as it stands; `None` if that is not known, or not any more. How many pages of
    /// code there are is not asked for.
    fn state(&self, image: Token) -> Option<SpaceState>;

    /// The addresses that were handed out last, each with the count that there was from then on, ascending; `now` is the count
    /// as it stands. Those that are not known are missing.
    fn areas(&self, image: Token, now: u32) -> Vec<(u32, Range<u64>)>;
}

/// Nothing is known.
#[derive(Debug)]
pub(crate) struct Unknown;

impl Remaps for Unknown {
    fn state(&self, _: Token) -> Option<SpaceState> {
        None
    }

    fn areas(&self, _: Token, _: u32) -> Vec<(u32, Range<u64>)> {
        Vec::new()
    }
}
