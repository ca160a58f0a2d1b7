//! What is known of code that gives way to other code at the same addresses.

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use telegen_model::{SpaceState, Token};

/// Tells how often addresses have been handed out that may have been code for all that is known, and which.
pub trait Remaps: fmt::Debug {
    /// The state of an image's address space as it stands; `None` if the image is gone. How many pages of code there are is not
    /// asked for.
    fn state(&self, image: Token) -> Option<SpaceState>;

    /// The addresses that were handed out up to a count, each with the count that there was from then on, ascending. Those that
    /// are not known are missing.
    fn areas(&self, image: Token, up_to: u32) -> Vec<(u32, Range<u64>)>;

    /// Has all addresses counted that are handed out to an image until what is returned is dropped. Without it those that
    /// have been code, as far as the kernel side knows, are counted.
    fn reading(&self, image: Token) -> Reading;
}

/// Mappings are being read, or have been and are not known to the kernel side yet: kept until they are.
#[derive(Clone, Default)]
pub struct Reading(Option<Arc<dyn Any + Send + Sync>>);

impl Reading {
    /// One that is over when this is dropped.
    pub fn new(guard: impl Any + Send + Sync) -> Self {
        Self(Some(Arc::new(guard)))
    }
}

impl fmt::Debug for Reading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Reading").field(&self.0.is_some()).finish()
    }
}

/// Nothing is known: as if no addresses were ever handed out anew, nor any image gone.
#[derive(Debug)]
pub(crate) struct Unknown;

impl Remaps for Unknown {
    fn state(&self, _: Token) -> Option<SpaceState> {
        Some(SpaceState::default())
    }

    fn areas(&self, _: Token, _: u32) -> Vec<(u32, Range<u64>)> {
        Vec::new()
    }

    fn reading(&self, _: Token) -> Reading {
        Reading::default()
    }
}
