//! Lists of what an image has mapped executable, as the kernel side holds them: a binary tree of parts.

use crate::abi::{PART_RANGES, RawMapped, TABLE_AWAITED, TABLE_NONE};
use crate::remaps::Areas;
use crate::table_numbers::TableNumber;
use std::borrow::Cow;
use std::mem::offset_of;
use telegen_model::SpaceState;

/// The table of a mapping.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum UnwindTable {
    /// There is none: frame pointers are followed.
    None,
    /// There will be one: frame pointers are followed until then, and the sample says so.
    Awaited,
    /// This one.
    Number(TableNumber),
}

/// An executable mapping of an image.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MappedRange {
    /// First address.
    pub start: u64,
    /// First address past it.
    pub end: u64,
    /// Where in the table its start is.
    pub position: u32,
    /// The table.
    pub table: UnwindTable,
}
/// As many pages of code as no process has, so that the next tick finds the list out of date.
const PAGES_OF_NONE: u64 = u64::MAX;

/// Does to a list what the kernel side would have done to it with the addresses that have been handed out since it was read.
/// The state that it is of then; `None` if there are no such addresses, or not all are known.
pub(crate) fn overtaken(
    ranges: &mut Cow<'_, [MappedRange]>,
    state: SpaceState,
    areas: &Areas,
) -> Option<SpaceState> {
    let now = areas.count()?;
    let later = now.checked_sub(state.remaps).filter(|later| *later > 0)?;
    let mut areas = areas.up_to(now);
    areas.retain(|(number, _)| *number > state.remaps);
    if areas.len() != later as usize {
        return None;
    }
    let mut state = SpaceState { remaps: now, ..state };
    for at in 0..ranges.len() {
        let range = &ranges[at];
        if areas.iter().any(|(_, area)| area.start < range.end && range.start < area.end) {
            ranges.to_mut()[at].table = UnwindTable::Awaited;
            state.code_pages = PAGES_OF_NONE;
        }
    }
    Some(state)
}

/// Where unused ranges stand: beyond all user addresses, and still positive.
pub(crate) const NOWHERE: u64 = i64::MAX as u64;

/// As many of these ranges as there is room for, with a table rather than without: what a compiler makes at run time can
/// be any number of mappings, a program and its libraries are few.
pub(crate) fn fitting(ranges: &[MappedRange], room: usize) -> Cow<'_, [MappedRange]> {
    if ranges.len() <= room {
        return Cow::Borrowed(ranges);
    }
    let described = |range: &MappedRange| !matches!(range.table, UnwindTable::None);
    let mut without = room.saturating_sub(ranges.iter().filter(|range| described(range)).count());
    let fits = |range: &&MappedRange| {
        described(range) || without.checked_sub(1).map(|left| without = left).is_some()
    };
    Cow::Owned(ranges.iter().filter(fits).take(room).copied().collect())
}

/// A list of mappings as a binary tree of parts, the root first.
pub(crate) fn parts(ranges: &[MappedRange]) -> Vec<Vec<u8>> {
    let groups: Vec<&[MappedRange]> =
        if ranges.is_empty() { vec![&[]] } else { ranges.chunks(PART_RANGES).collect() };
    let mut parts = Vec::new();
    grow(&groups, &mut parts);
    parts
}

/// Adds a tree of these groups, and says at what number its root is.
fn grow(groups: &[&[MappedRange]], parts: &mut Vec<Vec<u8>>) -> usize {
    let number = parts.len();
    let middle = groups.len() / 2;
    parts.push(Vec::new());
    let branch = |groups: &[&[MappedRange]], parts: &mut Vec<Vec<u8>>| {
        if groups.is_empty() { 0 } else { grow(groups, parts) as u8 }
    };
    let left = branch(&groups[..middle], parts);
    let right = branch(&groups[middle + 1..], parts);
    parts[number] = part(groups[middle], left, right);
    number
}

/// Puts down in the first part which state the list is of.
pub(crate) fn mark_root(root: &mut [u8], state: SpaceState) {
    let mut put = |at: usize, bytes: &[u8]| root[at..at + bytes.len()].copy_from_slice(bytes);
    put(offset_of!(RawMapped, exec_pages), &state.code_pages.to_ne_bytes());
    put(offset_of!(RawMapped, told), &state.told.to_ne_bytes());
    put(offset_of!(RawMapped, remaps), &state.remaps.to_ne_bytes());
}

fn part(ranges: &[MappedRange], left: u8, right: u8) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(size_of::<RawMapped>());
    bytes.extend(ranges.first().map_or(0, |range| range.start).to_ne_bytes());
    bytes.extend(ranges.last().map_or(u64::MAX, |range| range.end).to_ne_bytes());
    bytes.extend(0u64.to_ne_bytes());
    bytes.extend([left, right, 0, 0, 0, 0, 0, 0]);
    bytes.extend([0; 8]);
    for range in ranges {
        bytes.extend(range.start.to_ne_bytes());
        bytes.extend(range.end.to_ne_bytes());
        bytes.extend(range.position.to_ne_bytes());
        let table = match range.table {
            UnwindTable::None => TABLE_NONE,
            UnwindTable::Awaited => TABLE_AWAITED,
            UnwindTable::Number(number) => number.raw(),
        };
        bytes.extend(table.to_ne_bytes());
    }
    for _ in ranges.len()..PART_RANGES {
        bytes.extend(NOWHERE.to_ne_bytes());
        bytes.extend(NOWHERE.to_ne_bytes());
        bytes.extend([0; 8]);
    }
    debug_assert_eq!(bytes.len(), size_of::<RawMapped>());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::UnwindMaps;
    use crate::abi::MAX_PARTS;

    fn ranges(count: u64) -> Vec<MappedRange> {
        (0..count)
            .map(|nth| MappedRange {
                start: nth * 100 + 50,
                end: nth * 100 + 110,
                position: nth as u32,
                table: UnwindTable::None,
            })
            .collect()
    }

    fn number(part: &[u8], at: usize) -> u64 {
        u64::from_ne_bytes(*part[at..].first_chunk().expect("eight bytes"))
    }

    /// Walks the tree as `tg_find_range` does; the part, and how many were looked at.
    fn find(parts: &[Vec<u8>], address: u64) -> (Option<usize>, usize) {
        let mut at = 0;
        for level in 1..=8 {
            let part = &parts[at];
            let next = if address < number(part, offset_of!(RawMapped, low)) {
                part[offset_of!(RawMapped, left)]
            } else if address >= number(part, offset_of!(RawMapped, high)) {
                part[offset_of!(RawMapped, right)]
            } else {
                return (Some(at), level);
            };
            if next == 0 {
                return (None, level);
            }
            at = usize::from(next);
        }
        panic!("the tree is deeper than the kernel side goes");
    }

    #[test]
    fn a_small_list_is_one_part() {
        let parts = parts(&ranges(5));
        assert_eq!(parts.len(), 1);
        assert_eq!(find(&parts, 50), (Some(0), 1));
        assert_eq!(find(&parts, 49), (None, 1));
        assert_eq!(find(&parts, 510), (None, 1));
    }

    #[test]
    fn every_range_of_the_longest_list_is_in_the_part_that_it_is_looked_for_in() {
        let all = ranges(UnwindMaps::MAX_RANGES as u64);
        let parts = parts(&all);
        assert_eq!(parts.len(), MAX_PARTS);
        for range in &all {
            let (found, _) = find(&parts, range.start);
            let part = &parts[found.expect("a part")];
            let starts = (0..PART_RANGES).map(|nth| number(part, offset_of!(RawMapped, ranges) + nth * 24));
            assert!(starts.into_iter().any(|start| start == range.start), "{range:?}");
        }
    }

    #[test]
    fn of_too_many_ranges_those_with_a_table_stay() {
        let mut all = ranges(20);
        for nth in [3, 17, 19] {
            all[nth].table = UnwindTable::Awaited;
        }
        let kept = |room| fitting(&all, room).iter().map(|range| range.position).collect::<Vec<_>>();
        assert_eq!(kept(20), (0..20).collect::<Vec<_>>());
        assert_eq!(kept(6), [0, 1, 2, 3, 17, 19]);
        assert_eq!(kept(3), [3, 17, 19]);
        assert_eq!(kept(2), [3, 17]);
    }

    #[test]
    fn an_empty_list_is_a_part_in_which_nothing_is_found() {
        let parts = parts(&[]);
        assert_eq!(parts.len(), 1);
        assert_eq!(number(&parts[0], offset_of!(RawMapped, ranges)), i64::MAX as u64);
    }

    /// What has become of a list of two ranges, 50 to 110 and 150 to 210, that was read at the count of 3.
    fn overtaken_by(areas: &[(u64, u64)]) -> Option<(SpaceState, Vec<UnwindTable>)> {
        let state = SpaceState { remaps: 3, told: 2, code_pages: 7 };
        let ranges = ranges(2);
        let mut ranges = Cow::Borrowed(&ranges[..]);
        let state = overtaken(&mut ranges, state, &Areas::of(3, areas))?;
        Some((state, ranges.iter().map(|range| range.table).collect()))
    }

    #[test]
    fn what_was_handed_out_since_a_list_was_read_is_not_believed() {
        const NONE: UnwindTable = UnwindTable::None;
        const AWAITED: UnwindTable = UnwindTable::Awaited;
        let state = |remaps, code_pages| SpaceState { remaps, told: 2, code_pages };
        assert_eq!(overtaken_by(&[]), None);
        // Beside all of it, the list is right as it is.
        assert_eq!(overtaken_by(&[(110, 150), (210, 999)]), Some((state(5, 7), vec![NONE, NONE])));
        assert_eq!(overtaken_by(&[(0, 51)]), Some((state(4, PAGES_OF_NONE), vec![AWAITED, NONE])));
        assert_eq!(
            overtaken_by(&[(9, 10), (209, 999)]),
            Some((state(5, PAGES_OF_NONE), vec![NONE, AWAITED]))
        );
        assert_eq!(overtaken_by(&[(0, 999)]), Some((state(4, PAGES_OF_NONE), vec![AWAITED, AWAITED])));
        // Of more than are kept nobody knows where they were.
        assert_eq!(overtaken_by(&[(0, 1); 113]), None);
    }
}
