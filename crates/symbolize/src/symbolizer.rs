//! The symbolizer: from places in files to the functions there.

use crate::cache::Cache;
use crate::debug_files::{DebugFile, Separate};
use crate::debug_infos::{DebugInfos, DebugSource};
use crate::debug_search::DebugSearch;
use crate::demangle::demangle;
use crate::dwarf::{DebugFrame, Limits, SplitFiles};
use crate::elf::Elf;
use crate::{DebugFiles, DebugOutcome, DebugServer, Failure, Place, SourceFrame, symbols};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::fs::File;
use std::sync::Arc;
use telegen_model::{FileId, FileOffset};
use telegen_process::Root;

/// How much memory and time the symbolizer may take.
///
/// Beside what is held by it, a lookup takes some MiB for as long as it lasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Budget {
    /// Bytes for answers.
    pub cache_bytes: usize,
    /// Bytes for what makes further lookups in the debug information of a file faster than the first. Compressed debug
    /// information is used only if it fits into half of this when decompressed.
    pub debug_info_bytes: u64,
    /// How much a lookup in the debug information of one file may cost, in numbers read from it. Most take a few
    /// nanoseconds.
    pub effort: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { cache_bytes: 8 << 20, debug_info_bytes: 12 << 20, effort: 400_000_000 }
    }
}

/// A file to look things up in.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// What it is known by: answers for one file are good for all that are the same.
    pub id: &'a FileId,
    /// The open file; `None` if it could not be opened. It is not touched when all answers are known.
    pub file: Option<&'a File>,
    /// The name that stands in `[module+0xoffset]`.
    pub module: &'a str,
    /// Gives out the files with debug information that was split off from it; `None` if there is no way to them.
    pub split_files: Option<&'a dyn SplitFiles>,
}

/// What the symbolizer holds and has done.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// Bytes of answers held.
    pub cache_bytes: usize,
    /// Answers held.
    pub cached: usize,
    /// Bytes held of debug information.
    pub debug_info_bytes: u64,
    /// Separate debug files that are open.
    pub debug_files: usize,
    /// Questions answered from the cache.
    pub hits: u64,
    /// Questions that a file had to be read for.
    pub misses: u64,
    /// Answers dropped to stay within the budget.
    pub evicted: u64,
}

/// Looks up places in files. One thread owns it.
#[derive(Debug)]
pub struct Symbolizer {
    cache: Cache,
    debug_infos: DebugInfos,
    search: DebugSearch,
    failures: HashMap<Failure, u64, RandomState>,
    hits: u64,
    misses: u64,
}

/// Places that are looked up in one pass over a file.
const MAX_BATCH: usize = 4096;

impl Symbolizer {
    /// A symbolizer within a budget. For separate debug files it looks below the roots of processes only.
    pub fn new(budget: Budget) -> Self {
        Self::with_debug_files(budget, None, None)
    }

    /// A symbolizer that also looks for separate debug files below the root of the host, and then asks a server.
    pub fn with_debug_files(
        budget: Budget,
        host: Option<Arc<Root>>,
        server: Option<Arc<dyn DebugServer>>,
    ) -> Self {
        let debug_info_bytes = usize::try_from(budget.debug_info_bytes).unwrap_or(usize::MAX);
        let limits = Limits { inflated_bytes: debug_info_bytes / 2, effort: budget.effort };
        Self {
            cache: Cache::new(budget.cache_bytes),
            debug_infos: DebugInfos::new(debug_info_bytes, limits),
            search: DebugSearch::new(host, server),
            failures: HashMap::default(),
            hits: 0,
            misses: 0,
        }
    }

    /// Looks up places in one file, in the order in which they are given. All that are not known yet are looked up in
    /// one pass over the file, so it pays to ask for many at a time.
    ///
    /// Whatever is wrong with the file, there is a place for each offset, named `[module+0xoffset]` if it must be, and
    /// the reason is counted.
    pub fn symbolize(&mut self, source: Source<'_>, offsets: &[FileOffset]) -> Vec<Arc<Place>> {
        self.symbolize_with(source, &DebugFiles::default(), offsets)
    }

    /// The same for a file that may have separate debug files, which are the file's own: they are sought once.
    pub fn symbolize_with(
        &mut self,
        source: Source<'_>,
        debug_files: &DebugFiles,
        offsets: &[FileOffset],
    ) -> Vec<Arc<Place>> {
        if self.search.complete(debug_files) {
            self.cache.forget(source.id);
        }
        let mut found: Vec<Option<Arc<Place>>> = Vec::with_capacity(offsets.len());
        let mut wanted = Vec::new();
        for &offset in offsets {
            let place = self.cache.get(source.id, offset);
            if place.is_none() {
                wanted.push(offset);
            }
            found.push(place.map(|mut place| {
                place.name_nameless(source.module, offset);
                Arc::new(place)
            }));
        }
        self.hits += (offsets.len() - wanted.len()) as u64;
        self.misses += wanted.len() as u64;
        wanted.sort_unstable();
        wanted.dedup();
        let look_up = |batch| self.look_up(source, debug_files, batch);
        let looked_up: Vec<Arc<Place>> = wanted.chunks(MAX_BATCH).flat_map(look_up).map(Arc::new).collect();
        let places = found.into_iter().zip(offsets).filter_map(|(place, offset)| {
            place.or_else(|| Some(looked_up[wanted.binary_search(offset).ok()?].clone()))
        });
        places.collect()
    }

    /// Drops what can be had again by reading files, and half of the answers or more.
    pub fn trim(&mut self) {
        self.debug_infos.clear();
        self.cache.turn();
    }

    /// Looks up places that are not known; the offsets ascend.
    fn look_up(
        &mut self,
        source: Source<'_>,
        debug_files: &DebugFiles,
        offsets: &[FileOffset],
    ) -> Vec<Place> {
        let nowhere = |offset: &FileOffset| Place { address: offset.0, ..Place::default() };
        let mut places: Vec<Place> = offsets.iter().map(nowhere).collect();
        let read = source.file.map(Elf::read);
        // What could not be read now may be readable by another path or at another time.
        let is_final = !matches!(&read, None | Some(Err(crate::Error::Io(_))));
        match read {
            Some(Ok(elf)) => {
                let separate = self.search.of(debug_files, &elf);
                self.look_up_in(&elf, &separate, source, offsets, &mut places);
            }
            Some(Err(error)) => self.count(Failure::of_symbols(&error)),
            None => self.count(Failure::Unreadable),
        }
        for (place, &offset) in places.iter_mut().zip(offsets) {
            if is_final {
                self.cache.insert(source.id, offset, place);
            }
            place.name_nameless(source.module, offset);
        }
        places
    }

    fn look_up_in(
        &mut self,
        elf: &Elf<'_>,
        separate: &Separate,
        source: Source<'_>,
        offsets: &[FileOffset],
        places: &mut [Place],
    ) {
        for (place, &offset) in places.iter_mut().zip(offsets) {
            if let Some((address, segment)) = elf.address(offset) {
                place.address = address;
                place.segment = Some(*segment);
            }
        }
        let located = places.iter().filter(|place| place.segment.is_some());
        let mut addresses: Vec<u64> = located.map(|place| place.address).collect();
        addresses.sort_unstable();
        addresses.dedup();

        let mut failures = Vec::new();
        let limits = self.debug_infos.limits();
        let (debug_elf, supplementary) = (read(&separate.main), read(&separate.supplementary));
        if debug_elf.is_some() {
            self.cache.debug_file_found(source.id);
        }
        let debug_source = DebugSource {
            elf: debug_elf.as_ref().unwrap_or(elf),
            supplementary: supplementary.as_ref(),
            separate: separate.identities(),
        };
        let (kept, failure) = self.debug_infos.open(source.id, debug_source);
        failures.extend(failure);
        let (mut frames, failure) = kept.frames(debug_source, &addresses, limits, source.split_files);
        failures.extend(failure);
        failures.extend(kept.fill_from_go_table(elf, &addresses, &mut frames, limits));
        let mut with_symbols: Vec<&Elf<'_>> = [elf].into_iter().chain(&debug_elf).collect();
        let open = open_addresses(&addresses, &frames);
        let mini = match open.is_empty() || with_symbols.iter().any(|elf| elf.has_symbol_table()) {
            true => None,
            false => {
                let (file, failure) = kept.mini_debug_info(elf, limits);
                failures.extend(failure);
                file.map(Elf::read)
            }
        };
        match &mini {
            Some(Ok(mini)) => with_symbols.push(mini),
            Some(Err(error)) => failures.push(Failure::of_symbols(error)),
            None => {}
        }
        let symbols = find_symbols(&with_symbols, &addresses, &open, &mut failures);
        failures.retain(|&failure| kept.is_new(failure));
        self.debug_infos.shrink();
        failures.into_iter().for_each(|failure| self.count(failure));

        for place in places.iter_mut().filter(|place| place.segment.is_some()) {
            if let Ok(at) = addresses.binary_search(&place.address) {
                place.frames = merge(&frames[at], symbols[at].as_deref());
            }
        }
    }

    fn count(&mut self, failure: Failure) {
        *self.failures.entry(failure).or_default() += 1;
    }

    /// What is held and was done.
    pub fn figures(&self) -> Figures {
        Figures {
            cache_bytes: self.cache.bytes(),
            cached: self.cache.len(),
            debug_info_bytes: self.debug_infos.bytes() as u64,
            debug_files: self.search.open_files(),
            hits: self.hits,
            misses: self.misses,
            evicted: self.cache.evicted(),
        }
    }

    /// What has come of the files that might have been debug files.
    pub fn debug_outcomes(&self) -> impl Iterator<Item = (DebugOutcome, u64)> + '_ {
        DebugOutcome::ALL.into_iter().map(|outcome| (outcome, self.search.count_of(outcome)))
    }

    /// How many files have given fewer names than they might have, by reason. A file is counted again when it has been
    /// forgotten, and with each attempt if it cannot be read at all.
    pub fn failures(&self) -> impl Iterator<Item = (Failure, u64)> + '_ {
        Failure::ALL.into_iter().map(|failure| (failure, self.failures.get(&failure).copied().unwrap_or(0)))
    }
}

/// The headers of a debug file, which were in order when it was found.
fn read(file: &Option<Arc<DebugFile>>) -> Option<Elf<'_>> {
    Elf::read(&file.as_ref()?.file).ok()
}

/// Numbers of the addresses at which the debug information leaves something to be asked.
fn open_addresses(addresses: &[u64], frames: &[Vec<DebugFrame>]) -> Vec<usize> {
    let is_open = |frames: &[DebugFrame]| match frames.last().and_then(|frame| frame.function.as_ref()) {
        Some(function) => !function.has_linkage_name,
        None => true,
    };
    (0..addresses.len()).filter(|&at| is_open(&frames[at])).collect()
}

/// The symbols at those of the addresses.
fn find_symbols(
    elves: &[&Elf<'_>],
    addresses: &[u64],
    open: &[usize],
    failures: &mut Vec<Failure>,
) -> Vec<Option<String>> {
    let mut names = vec![None; addresses.len()];
    if open.is_empty() {
        return names;
    }
    let wanted: Vec<u64> = open.iter().map(|&at| addresses[at]).collect();
    let (found, failure) = symbols::find(elves, &wanted);
    failures.extend(failure);
    for (&at, name) in open.iter().zip(found) {
        names[at] = name;
    }
    names
}

/// The frames at a place from what its debug information and its symbol table say. One of which neither says more than
/// the line has no name.
fn merge(frames: &[DebugFrame], symbol: Option<&str>) -> Vec<SourceFrame> {
    let mut merged: Vec<SourceFrame> = frames.iter().map(source_frame).collect();
    let Some(symbol) = symbol else { return merged };
    let Some(outermost) = merged.last_mut() else {
        return vec![SourceFrame {
            name: demangle(symbol).into(),
            system_name: symbol.into(),
            file: Box::default(),
            line: 0,
            start_line: 0,
        }];
    };
    let in_source =
        frames.last().and_then(|frame| frame.function.as_ref()).map_or("", |function| &function.name);
    let name = demangle(symbol);
    if in_source.is_empty() {
        outermost.name = name.into();
        outermost.system_name = symbol.into();
    } else if symbol.strip_prefix(in_source).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) {
        // A C function, or a variant of it: the source's name is the one people know.
        outermost.system_name = symbol.into();
    } else if name != symbol && names_function(&name, in_source) {
        // C++ and Rust functions without a linkage name are just `push_back`; the symbol says of what.
        outermost.name = name.into();
        outermost.system_name = symbol.into();
    }
    merged
}

fn source_frame(frame: &DebugFrame) -> SourceFrame {
    let (name, system_name, start_line) = match &frame.function {
        Some(function) => (&*function.name, &*function.system_name, function.start_line),
        None => ("", "", 0),
    };
    SourceFrame {
        name: name.into(),
        system_name: system_name.into(),
        file: (*frame.file).into(),
        line: frame.line,
        start_line,
    }
}

/// Whether a demangled name is that of a function which the source calls by its last part.
fn names_function(demangled: &str, in_source: &str) -> bool {
    let last_part = in_source.split('<').next().unwrap_or(in_source);
    !last_part.is_empty() && demangled.contains(last_part)
}
