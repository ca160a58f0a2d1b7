//! How often an image has had other code at the same addresses.

use crate::abi::{RawProcess, read_field, token_of};
use libbpf_rs::{MapCore, MapFlags, MapHandle};
use telegen_model::{KernelKey, Token};

/// Reads from the kernel's table of processes how often addresses that were code have been handed out anew.
pub struct RemapCounts(MapHandle);

impl RemapCounts {
    pub(crate) fn new(processes: MapHandle) -> Self {
        Self(processes)
    }

    /// The number for an image, if it is still the one that runs under this key.
    pub fn get(&self, key: KernelKey, image: Token) -> Option<u32> {
        let entry = self.0.lookup(&key.0.to_ne_bytes(), MapFlags::ANY).ok()??;
        if entry.len() < size_of::<RawProcess>()
            || token_of(read_field!(entry, RawProcess, word, u64)) != image
        {
            return None;
        }
        Some(read_field!(entry, RawProcess, remaps, u32))
    }
}
