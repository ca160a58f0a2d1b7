//! DWARF: functions, also inlined ones, with files and lines.
//!
//! All new addresses of a file are looked up together, unit by unit. Between lookups only two tables are kept: which
//! unit describes an address ([`index`]), and which entry of a unit an address is in ([`functions`]). Everything else
//! is read again when it is needed, through a bounded number of pages.

mod functions;
mod index;
mod lines;
mod names;
mod pages;
mod reader;
mod sections;
mod split;
mod supplementary;
#[cfg(test)]
mod tests;
mod unit;
mod zstd;

use crate::Error;
use crate::elf::Elf;
use functions::{FunctionTable, Inlined, inlined_at};
use gimli::Dwarf;
use index::UnitIndex;
use lines::{FileLine, Lines};
use names::Names;
use sections::{Kind, Sections};
use split::Splits;
use std::rc::Rc;
use std::sync::Arc;
use supplementary::Supplementary;
use unit::OpenUnit;

pub(crate) use names::Named;
pub(crate) use pages::{Effort, Pages};
pub(crate) use reader::{Bytes, PagedReader, Section};
pub use split::SplitFiles;

pub(crate) type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::RandomState>;

/// Pages of a file that are held while it is read: 2 MiB.
const MAX_PAGES: usize = 128;
/// Units of a file whose functions' places are kept.
const MAX_TABLES: usize = 1024;

/// A function at a place in its source.
#[derive(Clone, Debug)]
pub(crate) struct DebugFrame {
    /// `None` if only the line is known.
    pub(crate) function: Option<Rc<Named>>,
    pub(crate) file: Rc<str>,
    pub(crate) line: u32,
}

/// What is kept of the debug information of one file.
#[derive(Debug)]
pub(crate) struct DebugInfo {
    sections: Sections,
    index: UnitIndex,
    supplementary: Option<Supplementary>,
    tables: Tables,
    clock: u64,
}

/// By where in `.debug_info` the unit begins, and whether what is meant was split off from it; with when it was used
/// last.
type Tables = Map<(u64, bool), (Arc<FunctionTable>, u64)>;

/// What a lookup may cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Bytes of decompressed sections.
    pub(crate) inflated_bytes: usize,
    /// See [`Effort`].
    pub(crate) effort: u64,
}

impl DebugInfo {
    /// Reads which units there are; `None` if the file has no debug information.
    pub(crate) fn read(elf: &Elf<'_>, limits: Limits) -> Result<Option<Self>, Error> {
        let Some(sections) = Sections::read(elf, limits.inflated_bytes, Kind::Linked)? else {
            return Ok(None);
        };
        let effort = Rc::new(Effort::new(limits.effort));
        let dwarf = sections.open(elf.endian, &pages_of(elf)?, &effort);
        let index = UnitIndex::read(&dwarf, &effort)?;
        Ok(Some(Self { sections, index, supplementary: None, tables: Map::default(), clock: 0 }))
    }

    /// Reads which units there are in the file with what this one has in common with others.
    pub(crate) fn add_supplementary(&mut self, elf: &Elf<'_>, limits: Limits) -> Result<(), Error> {
        let left = limits.inflated_bytes.saturating_sub(self.sections.bytes());
        self.supplementary = Supplementary::read(elf, left, &Rc::new(Effort::new(limits.effort)))?;
        Ok(())
    }

    /// The functions at each of some ascending addresses, innermost first; none where there is nothing to be known.
    /// Beside them stands what has kept it from knowing more. The files are those that it was read from.
    pub(crate) fn frames(
        &mut self,
        elf: &Elf<'_>,
        supplementary: Option<&Elf<'_>>,
        addresses: &[u64],
        limits: Limits,
        split_files: Option<&dyn SplitFiles>,
    ) -> (Vec<Vec<DebugFrame>>, Option<Error>) {
        let effort = Rc::new(Effort::new(limits.effort));
        let dwarf = match self.open(elf, supplementary, &effort) {
            Ok(dwarf) => dwarf,
            Err(error) => return (vec![Vec::new(); addresses.len()], Some(error)),
        };
        let Self { index, tables, clock, supplementary, .. } = self;
        let shared_units = supplementary.as_ref().map(|supplementary| &supplementary.index);
        let mut lookup = Lookup {
            dwarf: &dwarf,
            index,
            tables,
            clock,
            effort: &effort,
            splits: Splits::new(split_files, &dwarf, effort.clone(), limits),
            addresses,
            frames: vec![Vec::new(); addresses.len()],
            failure: index.has_gaps.then_some(Error::Dwarf(gimli::Error::MissingUnitDie)),
        };
        let mut names = Names::new(&dwarf, Some(index), &effort).with_supplementary(shared_units);
        lookup.run(&mut names);
        let failure = if effort.is_spent() { Some(Error::TooCostly) } else { lookup.failure };
        (lookup.frames, failure)
    }

    fn open(
        &self,
        elf: &Elf<'_>,
        supplementary: Option<&Elf<'_>>,
        effort: &Rc<Effort>,
    ) -> Result<Dwarf<PagedReader>, Error> {
        let mut dwarf = self.sections.open(elf.endian, &pages_of(elf)?, effort);
        if let (Some(held), Some(elf)) = (&self.supplementary, supplementary) {
            dwarf.set_sup(held.open(elf, effort)?);
        }
        Ok(dwarf)
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let tables: usize = self.tables.values().map(|(table, _)| table.bytes()).sum();
        let supplementary = self.supplementary.as_ref().map_or(0, Supplementary::bytes);
        self.sections.bytes() + self.index.bytes() + supplementary + self.tables.allocation_size() + tables
    }

    /// Drops the tables of the units that were used longest ago, until no more than `most` bytes are held or there are
    /// no tables left.
    pub(crate) fn shrink(&mut self, most: usize) {
        let mut bytes = self.bytes();
        while bytes > most
            && let Some(oldest) = self.tables.iter().min_by_key(|(_, (_, used))| *used).map(|(&unit, _)| unit)
            && let Some((table, _)) = self.tables.remove(&oldest)
        {
            bytes -= table.bytes();
        }
        if self.tables.is_empty() {
            self.tables.shrink_to_fit();
        }
    }
}

fn pages_of(elf: &Elf<'_>) -> Result<Rc<Pages>, Error> {
    Ok(Rc::new(Pages::new(elf.file.try_clone()?, MAX_PAGES)))
}

/// A lookup under way.
struct Lookup<'a> {
    dwarf: &'a Dwarf<PagedReader>,
    index: &'a UnitIndex,
    tables: &'a mut Tables,
    clock: &'a mut u64,
    effort: &'a Effort,
    splits: Splits<'a>,
    /// Ascending.
    addresses: &'a [u64],
    frames: Vec<Vec<DebugFrame>>,
    failure: Option<Error>,
}

impl<'a> Lookup<'a> {
    /// Unit by unit; an address that the first unit claiming it knows nothing of is looked up in the next one.
    fn run(&mut self, names: &mut Names<'a>) {
        let mut units: Map<usize, Vec<u64>> = Map::default();
        for (at, &address) in self.addresses.iter().enumerate() {
            let found: Vec<u64> = self.index.find(address).collect();
            if !found.is_empty() {
                units.insert(at, found);
            }
        }
        for attempt in 0.. {
            let mut of_unit: Map<u64, Vec<usize>> = Map::default();
            for (&at, units) in units.iter().filter(|(at, _)| self.frames[**at].is_empty()) {
                if let Some(&unit) = units.get(attempt) {
                    of_unit.entry(unit).or_default().push(at);
                }
            }
            let mut by_unit: Vec<(u64, Vec<usize>)> = of_unit.into_iter().collect();
            if by_unit.is_empty() {
                return;
            }
            by_unit.sort_unstable();
            for (unit, mut wanted) in by_unit {
                if self.effort.is_spent() {
                    return;
                }
                wanted.sort_unstable();
                if let Err(error) = self.look_in(unit, &wanted, names) {
                    self.failure = Some(error);
                }
            }
        }
    }

    fn look_in(&mut self, start: u64, wanted: &[usize], names: &mut Names<'a>) -> Result<(), Error> {
        let unit = Rc::new(OpenUnit::at(self.dwarf, start, self.effort)?);
        match self.splits.of(&unit) {
            Ok(None) => self.look_in_unit((start, false), &unit, &unit, wanted, names),
            Ok(Some(split)) => {
                let names = &mut Names::new(&split.dwarf, None, self.effort);
                self.look_in_unit((start, true), &unit, &split.unit, wanted, names)
            }
            Err(error) => {
                self.failure = Some(error);
                // The lines are there, and with some compilers the inlined functions.
                self.look_in_unit((start, false), &unit, &unit, wanted, names)
            }
        }
    }

    /// Looks up places in a unit, of which the lines are in one place, and the functions may be in another.
    fn look_in_unit(
        &mut self,
        key: (u64, bool),
        with_lines: &OpenUnit,
        unit: &Rc<OpenUnit>,
        wanted: &[usize],
        names: &mut Names<'_>,
    ) -> Result<(), Error> {
        let dwarf = names.dwarf();
        let table = self.table(key, dwarf, unit)?;
        let addresses: Vec<u64> = wanted.iter().map(|&at| self.addresses[at]).collect();
        let (mut lines, ended) = Lines::find(self.dwarf, with_lines, self.effort, &addresses);
        self.note(ended);
        let entries: Vec<Option<u64>> = addresses.iter().map(|&address| table.find(address)).collect();
        let mut at = 0;
        for same in entries.chunk_by(|one, next| one == next) {
            let range = at..at + same.len();
            at = range.end;
            let inlined = match same[0] {
                Some(entry) => {
                    let addresses = &addresses[range.clone()];
                    let (inlined, ended) = inlined_at(dwarf, unit, self.effort, entry, addresses);
                    self.note(ended);
                    inlined
                }
                None => vec![Vec::new(); same.len()],
            };
            for (at, inlined) in range.zip(inlined) {
                let line = lines.line(at);
                self.frames[wanted[at]] = place(names, unit, same[0], &inlined, line, &mut lines);
            }
        }
        Ok(())
    }

    fn table(
        &mut self,
        key: (u64, bool),
        dwarf: &Dwarf<PagedReader>,
        unit: &OpenUnit,
    ) -> Result<Arc<FunctionTable>, Error> {
        *self.clock += 1;
        if let Some((table, used)) = self.tables.get_mut(&key) {
            *used = *self.clock;
            return Ok(table.clone());
        }
        let table = Arc::new(FunctionTable::read(dwarf, unit)?);
        if table.has_gaps {
            self.note(Err(gimli::Error::MissingUnitDie));
        }
        // What was cut short for lack of effort is no table to rely on next time.
        if !self.effort.is_spent() && self.tables.len() < MAX_TABLES {
            self.tables.insert(key, (table.clone(), *self.clock));
        }
        Ok(table)
    }

    fn note(&mut self, ended: gimli::Result<()>) {
        if let Err(error) = ended {
            self.failure = Some(error.into());
        }
    }
}

/// The functions at an address, innermost first: a function is at the line at which the next one is called.
fn place(
    names: &mut Names<'_>,
    unit: &Rc<OpenUnit>,
    function: Option<u64>,
    inlined: &[Inlined],
    line: Option<FileLine>,
    lines: &mut Lines<'_>,
) -> Vec<DebugFrame> {
    let mut frames = Vec::with_capacity(inlined.len() + 1);
    let mut frame = |function, place: Option<FileLine>| {
        let file = place.map_or_else(Rc::default, |place| lines.path(place.file));
        frames.push(DebugFrame { function, file, line: place.map_or(0, |place| place.line) });
    };
    let Some(function) = function else {
        if line.is_some() {
            frame(None, line);
        }
        return frames;
    };
    let mut place = line;
    for call in inlined.iter().rev() {
        frame(Some(names.of(unit, call.entry)), place);
        place = Some(FileLine { file: call.call_file, line: call.call_line });
    }
    frame(Some(names.of(unit, function)), place);
    frames
}
