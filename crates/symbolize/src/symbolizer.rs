//! Places in files, with the functions there.

use crate::cache::Cache;
use crate::demangle::demangle;
use crate::dwarf::DebugInfo;
use crate::elf::Elf;
use crate::{Failure, Segment, symbols};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::fs::File;
use std::sync::Arc;
use telegen_model::{FileId, FileOffset};

/// How much memory the symbolizer may hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// For answers.
    pub cache_bytes: usize,
    /// For the debug information of files that are looked at again and again.
    pub debug_info_bytes: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { cache_bytes: 8 << 20, debug_info_bytes: 12 << 20 }
    }
}

/// A file to look things up in.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// What it is known by: answers for one file are good for all that are the same.
    pub id: &'a FileId,
    /// The open file; `None` if it could not be opened.
    pub file: Option<&'a File>,
    /// The name that stands in `[module+0xoffset]`.
    pub module: &'a str,
}

/// A function at a place in its source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceFrame {
    /// Its name, demangled.
    pub name: Box<str>,
    /// Its name in the symbol table.
    pub system_name: Box<str>,
    /// Its source file, empty if not known.
    pub file: Box<str>,
    /// The line, 0 if not known.
    pub line: u32,
    /// The line at which the function begins, 0 if not known.
    pub start_line: u32,
}

/// A place in a file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// The address at which it is linked to stand; its offset if that is not known.
    pub address: u64,
    /// The segment it is in, if known.
    pub segment: Option<Segment>,
    /// The functions there, innermost first; never empty for what [`Symbolizer::symbolize`] returns.
    pub frames: Vec<SourceFrame>,
}

impl Place {
    pub(crate) fn bytes(&self) -> usize {
        let frame = |frame: &SourceFrame| {
            size_of::<SourceFrame>() + frame.name.len() + frame.system_name.len() + frame.file.len()
        };
        size_of::<Self>() + self.frames.iter().map(frame).sum::<usize>()
    }
}

/// What the symbolizer holds and has done.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Bytes of answers held.
    pub cache_bytes: usize,
    /// Answers held.
    pub cached: usize,
    /// Bytes of debug information held, about.
    pub debug_info_bytes: u64,
    /// Questions answered from the cache.
    pub hits: u64,
    /// Questions that a file had to be read for.
    pub misses: u64,
    /// Answers dropped to stay within the budget.
    pub evicted: u64,
}

/// Looks up places in files. One thread owns it.
pub struct Symbolizer {
    budget: Budget,
    cache: Cache,
    debug_infos: VecDeque<(FileId, Option<DebugInfo>)>,
    failures: HashMap<Failure, u64, RandomState>,
    hits: u64,
    misses: u64,
}

/// Files whose debug information, or lack of it, is remembered.
const MAX_DEBUG_INFOS: usize = 64;

impl Symbolizer {
    /// A symbolizer within a budget.
    pub fn new(budget: Budget) -> Self {
        Self {
            cache: Cache::new(budget.cache_bytes),
            budget,
            debug_infos: VecDeque::new(),
            failures: HashMap::default(),
            hits: 0,
            misses: 0,
        }
    }

    /// Looks up places in one file, in the order in which they are given. All that are not known yet are looked up in
    /// one pass over the file, so it pays to ask for many at a time.
    pub fn symbolize(&mut self, source: Source<'_>, offsets: &[FileOffset]) -> Vec<Arc<Place>> {
        let file = self.cache.file(source.id);
        let mut found: Vec<Option<Arc<Place>>> =
            offsets.iter().map(|&offset| self.cache.get(file, offset)).collect();
        let mut wanted: Vec<FileOffset> = offsets
            .iter()
            .zip(&found)
            .filter(|(_, place)| place.is_none())
            .map(|(&offset, _)| offset)
            .collect();
        self.hits += (offsets.len() - wanted.len()) as u64;
        self.misses += wanted.len() as u64;
        wanted.sort_unstable();
        wanted.dedup();
        let places: Vec<Arc<Place>> = self.look_up(source, &wanted).into_iter().map(Arc::new).collect();
        for (&offset, place) in wanted.iter().zip(&places) {
            self.cache.insert(file, offset, place.clone());
        }
        for (place, offset) in found.iter_mut().zip(offsets) {
            if place.is_none()
                && let Ok(at) = wanted.binary_search(offset)
            {
                *place = Some(places[at].clone());
            }
        }
        found.into_iter().flatten().collect()
    }

    fn look_up(&mut self, source: Source<'_>, offsets: &[FileOffset]) -> Vec<Place> {
        let mut places: Vec<Place> =
            offsets.iter().map(|offset| Place { address: offset.0, ..Place::default() }).collect();
        if offsets.is_empty() {
            return places;
        }
        match source.file.map(Elf::read) {
            Some(Ok(elf)) => self.look_up_in(&elf, source.id, offsets, &mut places),
            Some(Err(error)) => self.count(Failure::of(&error)),
            None => self.count(Failure::Unreadable),
        }
        for (place, offset) in places.iter_mut().zip(offsets) {
            if place.frames.is_empty() {
                place.frames.push(unnamed(source.module, *offset));
            }
        }
        places
    }

    fn look_up_in(&mut self, elf: &Elf<'_>, id: &FileId, offsets: &[FileOffset], places: &mut [Place]) {
        for (place, &offset) in places.iter_mut().zip(offsets) {
            if let Some((address, segment)) = elf.address(offset) {
                place.address = address;
                place.segment = Some(*segment);
            }
        }
        let mut addresses: Vec<u64> = places.iter().map(|place| place.address).collect();
        addresses.sort_unstable();
        let names = symbols::find(elf, &addresses).unwrap_or_else(|error| {
            self.count(Failure::of(&error));
            vec![None; addresses.len()]
        });
        let mut failed = None;
        let debug_info = self.debug_info(elf, id);
        for place in places {
            let symbol = addresses.binary_search(&place.address).ok().and_then(|at| names[at].as_deref());
            let frames = debug_info.map(|info| info.frames(place.address));
            place.frames = match frames {
                Some(Ok(frames)) => frames,
                Some(Err(error)) => {
                    failed = Some(Failure::of(&error));
                    Vec::new()
                }
                None => Vec::new(),
            };
            name_outermost(&mut place.frames, symbol);
        }
        if let Some(failure) = failed {
            self.count(failure);
        }
        self.trim();
    }

    /// The debug information of a file, kept for the next time.
    fn debug_info(&mut self, elf: &Elf<'_>, id: &FileId) -> Option<&DebugInfo> {
        match self.debug_infos.iter().position(|(held, _)| held == id) {
            Some(at) => {
                // To the end: what is used last goes last.
                let held = self.debug_infos.remove(at)?;
                self.debug_infos.push_back(held);
            }
            None => {
                let read = DebugInfo::read(elf).unwrap_or_else(|error| {
                    self.count(Failure::of(&error));
                    None
                });
                self.debug_infos.push_back((id.clone(), read));
            }
        }
        self.debug_infos.back()?.1.as_ref()
    }

    /// Drops the debug information that was not used for longest, until the rest is within the budget.
    fn trim(&mut self) {
        while self.debug_info_bytes() > self.budget.debug_info_bytes
            || self.debug_infos.len() > MAX_DEBUG_INFOS
        {
            if self.debug_infos.pop_front().is_none() {
                return;
            }
        }
    }

    fn debug_info_bytes(&self) -> u64 {
        self.debug_infos.iter().filter_map(|(_, info)| info.as_ref()).map(DebugInfo::bytes).sum()
    }

    fn count(&mut self, failure: Failure) {
        *self.failures.entry(failure).or_default() += 1;
    }

    /// What is held and was done.
    pub fn figures(&self) -> Figures {
        Figures {
            cache_bytes: self.cache.bytes(),
            cached: self.cache.len(),
            debug_info_bytes: self.debug_info_bytes(),
            hits: self.hits,
            misses: self.misses,
            evicted: self.cache.evicted,
        }
    }

    /// How often files have given fewer names than they might have, by reason.
    pub fn failures(&self) -> impl Iterator<Item = (Failure, u64)> + '_ {
        Failure::ALL.into_iter().map(|failure| (failure, self.failures.get(&failure).copied().unwrap_or(0)))
    }
}

/// The frame for an address without a symbol: never a bare number.
fn unnamed(module: &str, offset: FileOffset) -> SourceFrame {
    let name = format!("[{module}+{:#x}]", offset.0);
    SourceFrame {
        system_name: name.clone().into(),
        name: name.into(),
        file: Box::default(),
        line: 0,
        start_line: 0,
    }
}

/// Without debug information the symbol is all there is. With it, the outermost function may lack its linkage name
/// (C++ without one is just `push_back`), which the symbol has.
fn name_outermost(frames: &mut Vec<SourceFrame>, symbol: Option<&str>) {
    let Some(symbol) = symbol else {
        frames.retain(|frame| !frame.name.is_empty());
        return;
    };
    match frames.last_mut() {
        None => frames.push(SourceFrame {
            name: demangle(symbol).into(),
            system_name: symbol.into(),
            file: Box::default(),
            line: 0,
            start_line: 0,
        }),
        Some(outermost) => {
            let name = demangle(symbol);
            let qualified =
                name != symbol && name.contains(&*outermost.name) && name.len() > outermost.name.len();
            if outermost.name.is_empty() || (outermost.name == outermost.system_name && qualified) {
                outermost.name = name.into();
                outermost.system_name = symbol.into();
            }
        }
    }
}
