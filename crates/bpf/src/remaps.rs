//! How often an image may have had other code at the same addresses, and at which.

use crate::Shared;
use crate::abi::{AREAS, READINGS, RawArea, RawAreas, RawProcess, RawShared, read_field, token_of};
use libbpf_rs::{MapCore, MapFlags, MapHandle};
use std::mem::offset_of;
use std::ops::Range;
use telegen_model::{KernelKey, SpaceState, Token};

/// Reads from the kernel how often addresses have been handed out that may have been code for all that is known, and which.
pub struct RemapCounts {
    processes: MapHandle,
    areas: MapHandle,
    shared: Shared,
}

impl RemapCounts {
    pub(crate) fn new(processes: MapHandle, areas: MapHandle, shared: Shared) -> Self {
        Self { processes, areas, shared }
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

    /// The addresses that were handed out last, up to a count, each with the count that there was from then on, ascending.
    /// Some are missing if they are not known; not quite as many as the kernel keeps, since it goes on meanwhile.
    pub fn areas(&self, image: Token, up_to: u32) -> Vec<(u32, Range<u64>)> {
        Areas::read(&self.areas, image).map(|areas| areas.up_to(up_to)).unwrap_or_default()
    }

    /// Has all addresses counted that are handed out to an image until what is returned is dropped: to be kept from before its
    /// mappings are read until the kernel side knows them.
    pub fn reading(&self, key: KernelKey, image: Token) -> CountedReading {
        keep_areas(&self.areas, image);
        CountedReading::begin(self.shared.clone(), key)
    }
}

/// All addresses that are handed out to a process are counted as long as this is there.
pub struct CountedReading {
    shared: Shared,
    at: usize,
}

impl CountedReading {
    fn begin(shared: Shared, key: KernelKey) -> Self {
        let at = offset_of!(RawShared, readings) + key.0 as usize % READINGS * size_of::<u32>();
        shared.add_u32(at, 1);
        Self { shared, at }
    }
}

impl Drop for CountedReading {
    fn drop(&mut self) {
        self.shared.add_u32(self.at, 1_u32.wrapping_neg());
    }
}

/// Has the kernel side put down the addresses that it counts for an image, if it does not already. If there is no room for them,
/// what was replaced has no name.
pub(crate) fn keep_areas(map: &MapHandle, image: Token) {
    let _ = map.update(&image.0.to_ne_bytes(), &[0; size_of::<RawAreas>()], MapFlags::NO_EXIST);
}

/// So many of the last ones are taken to be as they were put down.
const KNOWN: u32 = AREAS as u32 - 16;

/// The addresses of an image that were handed out last.
pub(crate) struct Areas(Vec<u8>);

impl Areas {
    pub(crate) fn read(map: &MapHandle, image: Token) -> Option<Self> {
        let bytes = map.lookup(&image.0.to_ne_bytes(), MapFlags::ANY).ok()??;
        (bytes.len() >= size_of::<RawAreas>()).then_some(Self(bytes))
    }

    /// The count since the last one; `None` if there was none.
    pub(crate) fn count(&self) -> Option<u32> {
        Some(read_field!(self.0, RawAreas, remaps, u32)).filter(|count| *count != 0)
    }

    /// The last ones up to a count, each with the count that there was from then on, ascending. Some are missing if they are not
    /// known; not quite as many as the kernel keeps, since it goes on meanwhile.
    pub(crate) fn up_to(&self, count: u32) -> Vec<(u32, Range<u64>)> {
        let now = count.min(self.count().unwrap_or(0));
        let area = |nth: u32| {
            let at = offset_of!(RawAreas, areas) + nth as usize % AREAS * size_of::<RawArea>();
            let bytes = &self.0[at..at + size_of::<RawArea>()];
            let range = read_field!(bytes, RawArea, start, u64)..read_field!(bytes, RawArea, end, u64);
            (!range.is_empty()).then_some((nth.wrapping_add(1), range))
        };
        (now.saturating_sub(KNOWN)..now).filter_map(area).collect()
    }
}

#[cfg(test)]
impl Areas {
    /// These, after there had been so many.
    pub(crate) fn of(before: u32, areas: &[(u64, u64)]) -> Self {
        let mut bytes = vec![0; size_of::<RawAreas>()];
        let count = if areas.is_empty() { 0 } else { before + areas.len() as u32 };
        bytes[..4].copy_from_slice(&count.to_ne_bytes());
        for (nth, (start, end)) in (before as usize..).zip(areas) {
            let at = offset_of!(RawAreas, areas) + nth % AREAS * size_of::<RawArea>();
            bytes[at..at + 8].copy_from_slice(&start.to_ne_bytes());
            bytes[at + 8..at + 16].copy_from_slice(&end.to_ne_bytes());
        }
        Self(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn areas(count: u64) -> Areas {
        Areas::of(0, &(0..count).map(|nth| (nth * 0x1000, (nth + 1) * 0x1000)).collect::<Vec<_>>())
    }

    #[test]
    fn areas_have_the_count_that_there_was_from_then_on() {
        assert_eq!(areas(0).count(), None);
        assert!(areas(0).up_to(7).is_empty());
        assert_eq!(areas(2).up_to(1), [(1, 0..0x1000)]);
        assert_eq!(areas(2).up_to(u32::MAX), areas(2).up_to(2));
        assert_eq!(areas(2).count(), Some(2));
        assert_eq!(areas(2).up_to(2), [(1, 0..0x1000), (2, 0x1000..0x2000)]);
        let many = areas(1000).up_to(1000);
        assert_eq!(many.first(), Some(&(889, 888 * 0x1000..889 * 0x1000)));
        assert_eq!(many.last(), Some(&(1000, 999 * 0x1000..1000 * 0x1000)));
    }
}
