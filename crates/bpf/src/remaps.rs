//! How often an image may have had other code at the same addresses, and at which.

use crate::abi::{AREA_BYTES, AREAS, RawProcess, read_field, token_of};
use libbpf_rs::{MapCore, MapFlags, MapHandle};
use std::ops::Range;
use telegen_model::{KernelKey, SpaceState, Token};

/// Reads from the kernel how often addresses that may have been code have been handed out anew, and which.
pub struct RemapCounts {
    processes: MapHandle,
    areas: MapHandle,
}

impl RemapCounts {
    pub(crate) fn new(processes: MapHandle, areas: MapHandle) -> Self {
        Self { processes, areas }
    }

    /// The state of an image's address space, if it is still the one that runs under this key. How many pages of code there
    /// are is not told here.
    pub fn state(&self, key: KernelKey, image: Token) -> Option<SpaceState> {
        let entry = self.processes.lookup(&key.0.to_ne_bytes(), MapFlags::ANY).ok()??;
        if entry.len() < size_of::<RawProcess>()
            || token_of(read_field!(entry, RawProcess, word, u64)) != image
        {
            return None;
        }
        let remaps = read_field!(entry, RawProcess, remaps, u32);
        Some(SpaceState { remaps, told: read_field!(entry, RawProcess, told, u32), code_pages: 0 })
    }

    /// The addresses that were handed out last, each with the count that there was from then on, ascending; `now` is the count
    /// as it stands. Some are missing if they are not known; half of what the kernel keeps, since it goes on meanwhile.
    pub fn areas(&self, image: Token, now: u32) -> Vec<(u32, Range<u64>)> {
        let Ok(Some(bytes)) = self.areas.lookup(&image.0.to_ne_bytes(), MapFlags::ANY) else {
            return Vec::new();
        };
        let word = |at: usize| {
            bytes.get(at..at + 8).and_then(|word| word.first_chunk()).map(|word| u64::from_ne_bytes(*word))
        };
        let area = |nth: u32| {
            let at = nth as usize % AREAS * AREA_BYTES;
            let range = word(at)?..word(at + 8)?;
            (!range.is_empty()).then_some((nth.wrapping_add(1), range))
        };
        (now.saturating_sub(AREAS as u32 / 2)..now).filter_map(area).collect()
    }
}
