//! What stacks are unwound by: tables of binaries, the rules they refer to, and where each image has mapped them.

use crate::Error;
use crate::abi::{
    BLOCK_BYTES, MAX_PARTS, MAX_RULES, PAGES_OF_NONE, PART_RANGES, RULE_BYTES, RawMapped, TABLE_AWAITED,
    TABLE_NONE,
};
use crate::remaps::{Areas, keep_areas};
use crate::sys::MapMemory;
use crate::table_numbers::{TableNumber, TableNumbers};
use foldhash::fast::FixedState;
use libbpf_rs::{ErrorKind, Map, MapCore, MapFlags, MapHandle, MapType, libbpf_sys};
use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::mem::offset_of;
use std::os::fd::AsFd;
use telegen_model::{SpaceState, Token};

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

/// The kernel side's maps of tables and mappings. There is one, and the thread that owns it is the only one that
/// writes to them; who begins to read mappings has the areas of the image kept, too.
pub struct UnwindMaps {
    tables: MapHandle,
    mapped: MapHandle,
    areas: MapHandle,
    rules: MapMemory,
    rules_written: usize,
    numbers: TableNumbers,
    /// Blocks of each table.
    blocks: HashMap<TableNumber, usize>,
    /// What each image's list is of.
    told: HashMap<Token, Told>,
    parts_written: u64,
}

/// The list of an image, as it was told last.
#[derive(Debug, Default)]
struct Told {
    remaps: u32,
    /// What stands for each part's bytes; nothing for one that may not be as it was told.
    parts: Vec<Option<u64>>,
}

/// `BPF_F_MMAPABLE | BPF_F_INNER_MAP`: filled without system calls, and each of its own size.
const TABLE_FLAGS: u32 = 1 << 10 | 1 << 12;

impl UnwindMaps {
    /// How many rules the kernel side has room for.
    pub const MAX_RULES: usize = MAX_RULES;
    /// How many mappings of an image it has room for.
    pub const MAX_RANGES: usize = MAX_PARTS * PART_RANGES;

    pub(crate) fn new(
        tables: &Map<'_>,
        rules: &Map<'_>,
        mapped: &Map<'_>,
        areas: &Map<'_>,
    ) -> Result<Self, Error> {
        let duplicate = |map: &Map<'_>| {
            MapHandle::try_from(map)
                .map_err(|source| Error::Attach { program: "the maps of the unwinder".into(), source })
        };
        let memory = MapMemory::map(rules.as_fd(), MAX_RULES * RULE_BYTES)
            .map_err(|source| Error::Kernel { action: "mapping the rules of the unwinder", source })?;
        Ok(Self {
            tables: duplicate(tables)?,
            mapped: duplicate(mapped)?,
            areas: duplicate(areas)?,
            rules: memory,
            rules_written: 0,
            numbers: TableNumbers::default(),
            blocks: HashMap::new(),
            told: HashMap::new(),
            parts_written: 0,
        })
    }

    /// Appends the rules that are new since the last call; `rules` are all there are, each of 16 bytes.
    pub fn extend_rules(&mut self, rules: impl Iterator<Item = [u8; RULE_BYTES]>) {
        for (number, rule) in rules.enumerate().take(MAX_RULES).skip(self.rules_written) {
            self.rules.write(number * RULE_BYTES, &rule);
            self.rules_written = number + 1;
        }
    }

    /// Hands over a table: blocks of 1024 bytes. `None` if there are too many tables.
    ///
    /// # Errors
    ///
    /// If the kernel refuses the memory for it.
    pub fn add_table(&mut self, blocks: &[u8]) -> Result<Option<TableNumber>, Error> {
        let Some(number) = self.numbers.take() else { return Ok(None) };
        let count = blocks.len().div_ceil(BLOCK_BYTES).max(1);
        let options = libbpf_sys::bpf_map_create_opts {
            sz: size_of::<libbpf_sys::bpf_map_create_opts>() as _,
            map_flags: TABLE_FLAGS,
            ..Default::default()
        };
        let refused = |source| Error::Load { source, log: vec![format!("an unwind table of {count} KiB")] };
        let map = MapHandle::create(
            MapType::Array,
            Some("tg_table"),
            4,
            BLOCK_BYTES as u32,
            count as u32,
            &options,
        )
        .map_err(refused);
        let entered = map.and_then(|map| {
            let mut memory = MapMemory::map(map.as_fd(), count * BLOCK_BYTES)
                .map_err(|source| Error::Kernel { action: "mapping an unwind table", source })?;
            memory.write(0, blocks);
            let fd = std::os::fd::AsRawFd::as_raw_fd(&map.as_fd());
            self.tables
                .update(&number.slot().to_ne_bytes(), &fd.to_ne_bytes(), MapFlags::ANY)
                .map_err(refused)
        });
        match entered {
            Ok(()) => {
                self.blocks.insert(number, count);
                Ok(Some(number))
            }
            Err(error) => {
                self.numbers.end(number);
                Err(error)
            }
        }
    }

    /// Takes a table away. No mapping may refer to it any more.
    pub fn remove_table(&mut self, number: TableNumber) {
        if self.blocks.remove(&number).is_some() {
            // It cannot fail but where none stands already.
            let _ = self.tables.delete(&number.slot().to_ne_bytes());
            self.numbers.end(number);
        }
    }

    /// Tells what an image has mapped executable: ranges in ascending order that do not overlap. Of more than
    /// [`Self::MAX_RANGES`] those are left out that no table describes, the highest first. Parts that are as they were told
    /// last are not told again. Ranges whose addresses have been handed out since then are not believed, and user space will be
    /// told of them. False if there is no room.
    ///
    /// # Errors
    ///
    /// If the kernel refuses for another reason than that.
    pub fn set_mapped(
        &mut self,
        image: Token,
        ranges: &[MappedRange],
        state: SpaceState,
    ) -> Result<bool, Error> {
        // The page of vsyscalls lies in the kernel's half, where the search does not go.
        let lower = ranges.partition_point(|range| range.end <= NOWHERE);
        let mut ranges = fitting(&ranges[..lower], Self::MAX_RANGES);
        let (mut state, mut is_told) = (state, false);
        for _ in 0..OVERTAKEN {
            let areas = Areas::read(&self.areas, image);
            match areas.and_then(|areas| overtaken(&mut ranges, state, &areas)) {
                Some(later) => state = later,
                None if is_told => break,
                None => {}
            }
            if !self.write_list(image, &ranges, state)? {
                return Ok(false);
            }
            // From here on the kernel side compares with this list.
            is_told = true;
        }
        Ok(true)
    }

    /// False if there is no room.
    fn write_list(&mut self, image: Token, ranges: &[MappedRange], state: SpaceState) -> Result<bool, Error> {
        let mut parts = parts(ranges);
        mark_root(&mut parts[0], state);
        let mut told = self.told.remove(&image).unwrap_or_default();
        // Since it was told, the kernel side may have marked what is gone.
        if told.remaps != state.remaps {
            told.parts.iter_mut().for_each(|part| *part = None);
        }
        let before = told.parts.len();
        told.remaps = state.remaps;
        if before == 0 {
            keep_areas(&self.areas, image);
        }
        told.parts.resize(parts.len().max(before), None);
        // The root last, and always: until then it leads to the parts that were there before.
        for (number, part) in parts.iter().enumerate().rev() {
            let sum = Some(FixedState::default().hash_one(part));
            if number != 0 && told.parts[number] == sum {
                continue;
            }
            self.parts_written += 1;
            told.parts[number] = sum;
            if let Err(source) = self.mapped.update(&part_key(image, number), part, MapFlags::ANY) {
                let full = source.kind() == ErrorKind::OutOfMemory || is_full(&source);
                self.remove_parts(image, 0..told.parts.len());
                return if full {
                    Ok(false)
                } else {
                    Err(Error::Load { source, log: vec!["telling the mappings of a process".into()] })
                };
            }
        }
        told.parts.truncate(parts.len());
        self.told.insert(image, told);
        self.remove_parts(image, parts.len()..before);
        Ok(true)
    }

    /// Whether addresses have been counted for an image that were not when its list was told.
    pub fn is_behind(&self, image: Token) -> bool {
        let told = self.told.get(&image).map(|told| told.remaps);
        told.is_some_and(|told| {
            Areas::read(&self.areas, image).and_then(|areas| areas.count()).is_some_and(|count| count > told)
        })
    }

    /// Forgets what an image has mapped, and what was handed out to it.
    pub fn remove_mapped(&mut self, image: Token) {
        let told = self.told.remove(&image).unwrap_or_default();
        self.remove_parts(image, 0..told.parts.len());
    }

    /// How many tables there are, and the bytes of all of them.
    pub fn tables(&self) -> (usize, usize) {
        (self.blocks.len(), self.blocks.values().map(|blocks| table_bytes(*blocks)).sum())
    }

    /// How many images' mappings are known.
    pub fn images(&self) -> usize {
        self.told.len()
    }

    /// How many parts of lists have been told so far.
    pub fn parts_written(&self) -> u64 {
        self.parts_written
    }

    fn remove_parts(&self, image: Token, parts: std::ops::Range<usize>) {
        if parts.start == 0 {
            // It is not there if there was no room for it.
            let _ = self.areas.delete(&image.0.to_ne_bytes());
        }
        for number in parts {
            // A part that is not there needs no removing.
            let _ = self.mapped.delete(&part_key(image, number));
        }
    }
}

/// How often a list is told at most because addresses were handed out while it was told.
const OVERTAKEN: usize = 4;

/// Does to a list what the kernel side would have done to it with the addresses that have been handed out since it was read.
/// The state that it is of then; `None` if there are no such addresses, or not all are known.
fn overtaken(ranges: &mut Cow<'_, [MappedRange]>, state: SpaceState, areas: &Areas) -> Option<SpaceState> {
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

/// What the kernel takes for a table: its values from a page on, and a page before them.
fn table_bytes(blocks: usize) -> usize {
    (blocks * BLOCK_BYTES).next_multiple_of(4096) + 4096
}

pub(crate) fn is_full(error: &libbpf_rs::Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return matches!(error.raw_os_error(), Some(libc::E2BIG | libc::ENOMEM));
        }
        source = error.source();
    }
    false
}

fn part_key(image: Token, number: usize) -> [u8; 8] {
    (image.0 << 8 | number as u64).to_ne_bytes()
}

/// Where unused ranges stand: beyond all user addresses, and still positive.
const NOWHERE: u64 = i64::MAX as u64;

/// As many of these ranges as there is room for, with a table rather than without: what a compiler makes at run time can
/// be any number of mappings, a program and its libraries are few.
fn fitting(ranges: &[MappedRange], room: usize) -> Cow<'_, [MappedRange]> {
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
fn parts(ranges: &[MappedRange]) -> Vec<Vec<u8>> {
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
fn mark_root(root: &mut [u8], state: SpaceState) {
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
