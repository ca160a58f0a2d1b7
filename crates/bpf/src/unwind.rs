//! What stacks are unwound by: tables of binaries, the rules they refer to, and where each image has mapped them.

use crate::Error;
use crate::abi::{BLOCK_BYTES, MAX_PARTS, MAX_RULES, PART_RANGES, RULE_BYTES};
use crate::mapped_list::{MappedRange, NOWHERE, fitting, mark_root, overtaken, parts};
use crate::remaps::{Areas, keep_areas};
use crate::sys::MapMemory;
use crate::table_numbers::{TableNumber, TableNumbers};
use foldhash::fast::FixedState;
use libbpf_rs::{ErrorKind, Map, MapCore, MapFlags, MapHandle, MapType, libbpf_sys};
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::os::fd::AsFd;
use telegen_model::{SpaceState, Token};

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
