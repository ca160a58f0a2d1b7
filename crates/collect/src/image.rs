//! A program image under observation, and the modules behind its addresses.

use crate::collector::MappedCode;
use crate::module::{Module, Modules};
use crate::remaps::{Reading, Remaps};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use telegen_model::{FileOffset, ProcessFacts, SpaceState, Token};
use telegen_process::{Backing, Error, JitDumpFile, Mapping, Mappings, ParsedMaps, ProcFs, is_free};

/// What is mapped, and the modules behind it. A forked child shares its parent's until its own are read.
#[derive(Clone, Debug, Default)]
struct AddressSpace {
    mappings: Mappings,
    modules: HashMap<u64, Arc<Module>, RandomState>,
    /// Where the mark of a jitdump file is mapped, and the file.
    jit_dump: Option<(u64, Arc<JitDumpFile>)>,
}

impl AddressSpace {
    fn lookup(&self, address: u64) -> Option<(&Arc<Module>, FileOffset)> {
        let (mapping, offset) = self.mappings.lookup(address)?;
        let module = self.modules.get(&mapping.start)?;
        Some((module, within(mapping, address, offset)))
    }

    /// The last one counts, but its own more than one that a forked process has from its parent.
    fn add_jit_dump(&mut self, start: u64, dump: Option<Arc<JitDumpFile>>) {
        let Some(dump) = dump else { return };
        if dump.is_own || self.jit_dump.as_ref().is_none_or(|(_, before)| !before.is_own) {
            self.jit_dump = Some((start, dump));
        }
    }
}

/// What reading the mappings again has brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refreshed {
    Changed,
    Unchanged,
    /// Addresses have been handed out anew while they were being read: nothing is known of what is mapped now.
    Overtaken,
}

/// A program image under observation.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) facts: Arc<ProcessFacts>,
    space: Arc<AddressSpace>,
    /// What `space` is of.
    state: SpaceState,
    /// What was mapped earlier, and how often addresses had been handed out anew then: for samples that are still under way.
    earlier: VecDeque<Earlier>,
    /// Addresses that have been handed out anew, each with the count from then on, ascending.
    handed_out: VecDeque<(u32, Range<u64>)>,
}

#[derive(Debug)]
struct Earlier {
    remaps: u32,
    space: Arc<AddressSpace>,
    /// It was there when samples were last taken in: whoever needed it has had it.
    aged: bool,
}

/// Earlier address spaces that are kept of an image.
const MAX_EARLIER: usize = 4;
/// Of these many times that addresses have been handed out anew, the addresses are kept.
const MAX_HANDED_OUT: usize = 512;
/// Of so many ranges in which code was earlier the kernel side is told.
const MAX_GONE: usize = 32;
/// How often mappings are read again because they were overtaken.
const ATTEMPTS: usize = 4;
const PAGE_BYTES: u64 = 4096;

impl Image {
    /// An image whose mappings are not known yet, or are, until read, those of the image it was forked from.
    pub(crate) fn new(facts: Arc<ProcessFacts>, parent: Option<&Image>) -> Self {
        let space = parent.map(|parent| parent.space.clone()).unwrap_or_default();
        let state = parent.map(|parent| parent.state).unwrap_or_default();
        Self { facts, space, state, earlier: VecDeque::new(), handed_out: VecDeque::new() }
    }

    /// Reads the mappings again, and opens the files that are new among them. The reading ends early where so much is handed
    /// out meanwhile that it cannot all be known.
    pub(crate) fn refresh(
        &mut self,
        proc: &ProcFs,
        modules: &mut Modules,
        remaps: &dyn Remaps,
        token: Token,
        reading: &mut Reading,
    ) -> Result<Refreshed, Error> {
        for attempt in 1..=ATTEMPTS {
            if attempt == ATTEMPTS {
                *reading = Reading::default();
            }
            // It may have been replaced, by exec, and this would be read of its successor.
            let gone = Error::Gone { pid: self.facts.key.id.pid };
            let Some(before) = remaps.state(token) else { return Err(gone) };
            let parsed = self.read(proc)?;
            let Some(after) = remaps.state(token) else { return Err(gone) };
            let mut areas = Vec::new();
            if after.remaps != self.state.remaps {
                areas = remaps.areas(token, after.remaps);
            }
            let is_free = |area: &Range<u64>| is_free(&parsed.mappings, area);
            if are_beside(&areas, before.remaps..after.remaps, is_free) {
                let state = SpaceState { remaps: after.remaps, ..before };
                let steady = self.is_beside(&areas, after.remaps);
                self.learn_handed_out(areas);
                return Ok(self.take(parsed, state, steady, proc, modules));
            }
        }
        Ok(Refreshed::Overtaken)
    }

    fn read(&self, proc: &ProcFs) -> Result<ParsedMaps, Error> {
        let pid = self.facts.key.id.pid;
        let parsed = proc.executable_mappings(pid)?;
        // The pid may have been given to another process meanwhile: its start time would tell.
        let ticks = proc.stat(pid)?.start_ticks;
        if !self.facts.key.id.start.same_tick(ticks) {
            return Err(Error::Gone { pid });
        }
        Ok(parsed)
    }

    /// If `steady`, nothing of what was mapped until now has been handed out anew since.
    fn take(
        &mut self,
        parsed: ParsedMaps,
        state: SpaceState,
        steady: bool,
        proc: &ProcFs,
        modules: &mut Modules,
    ) -> Refreshed {
        if parsed.mappings.is_empty() {
            // A process on its way out has none; what was known before is better.
            return Refreshed::Unchanged;
        }
        let pid = self.facts.key.id.pid;
        let delta = self.space.mappings.compare(&parsed.mappings);
        let before = self.state;
        self.state = SpaceState { code_pages: parsed.code_bytes / PAGE_BYTES, ..state };
        if self.has_mappings() && !(steady && delta.removed.is_empty()) {
            self.keep(before.remaps);
        }
        if delta.added.is_empty() && delta.removed.is_empty() {
            return Refreshed::Unchanged;
        }
        let space = Arc::make_mut(&mut self.space);
        space.mappings.set(parsed.mappings, &delta);
        for gone in &delta.removed {
            space.modules.remove(&gone.start);
            space.jit_dump.take_if(|(start, _)| *start == gone.start);
        }
        for mapping in &delta.added {
            space.modules.insert(mapping.start, modules.of_mapping(proc, pid, mapping));
            space.add_jit_dump(mapping.start, modules.jit_dump(proc, pid, mapping));
        }
        Refreshed::Changed
    }

    /// Takes what is known for what was there at a later count, if what was handed out in between lies beside all of it; the
    /// low half of that count.
    pub(crate) fn advance_to(&mut self, remaps: u16, areas: impl FnOnce(u32) -> Vec<(u32, Range<u64>)>) {
        let to = self.whole_count(remaps);
        self.advance(to, areas(to));
    }

    /// The same, for the last count that anything is known of.
    pub(crate) fn advance_to_last(&mut self, areas: Vec<(u32, Range<u64>)>) {
        if let Some((last, _)) = areas.last() {
            self.advance(*last, areas);
        }
    }

    fn advance(&mut self, to: u32, areas: Vec<(u32, Range<u64>)>) {
        if self.is_beside(&areas, to) {
            self.learn_handed_out(areas);
            self.state.remaps = to;
        }
    }

    /// Whether all that was handed out up to a count is known, and lies beside all that is mapped.
    fn is_beside(&self, areas: &[(u32, Range<u64>)], to: u32) -> bool {
        are_beside(areas, self.state.remaps..to, |area| self.space.mappings.is_free(area))
    }

    /// Takes over which addresses have been handed out anew since that was last asked.
    fn learn_handed_out(&mut self, areas: Vec<(u32, Range<u64>)>) {
        let last = self.handed_out.back().map_or(0, |(number, _)| *number);
        let known = self.state.remaps.max(last);
        self.handed_out.extend(areas.into_iter().filter(|(number, _)| *number > known));
        let surplus = self.handed_out.len().saturating_sub(MAX_HANDED_OUT);
        self.handed_out.drain(..surplus);
    }

    /// Whether an address has surely meant the same at both counts.
    fn is_steady(&self, address: u64, counts: (u32, u32)) -> bool {
        let (low, high) = (counts.0.min(counts.1), counts.0.max(counts.1));
        let between = self.handed_out.iter().filter(|(number, _)| (low + 1..=high).contains(number));
        let (mut known, mut hit) = (0, false);
        for (_, area) in between {
            known += 1;
            hit |= area.contains(&address);
        }
        !hit && known == high - low
    }

    /// The count whose low half this is: the one nearest to what is known.
    fn whole_count(&self, remaps: u16) -> u32 {
        let ahead = remaps.wrapping_sub(self.state.remaps as u16) as i16;
        self.state.remaps.saturating_add_signed(ahead.into())
    }

    /// Keeps what is about to be replaced.
    fn keep(&mut self, remaps: u32) {
        self.earlier.push_front(Earlier { remaps, space: self.space.clone(), aged: false });
        self.earlier.truncate(MAX_EARLIER);
    }

    /// Samples have been taken in. Whether something earlier is still kept for others that are under way.
    pub(crate) fn age(&mut self) -> bool {
        self.earlier.retain_mut(|earlier| !std::mem::replace(&mut earlier.aged, true));
        !self.earlier.is_empty()
    }

    /// Whether something earlier is kept.
    pub(crate) fn keeps_earlier(&self) -> bool {
        !self.earlier.is_empty()
    }

    /// Which state of the address space is known.
    pub(crate) fn state(&self) -> SpaceState {
        self.state
    }

    /// Whether what a sample was taken of has not been read yet; `remaps` is the low half of its number.
    pub(crate) fn is_ahead(&self, remaps: u16) -> bool {
        (remaps.wrapping_sub(self.state.remaps as u16) as i16) > 0
    }

    /// All address spaces that are known, the latest first, and the count of each.
    fn spaces(&self) -> impl Iterator<Item = (u32, &AddressSpace)> {
        let earlier = self.earlier.iter().map(|earlier| (earlier.remaps, &*earlier.space));
        std::iter::once((self.state.remaps, &*self.space)).chain(earlier)
    }

    /// Whether something is known to be or to have been mapped at an address.
    pub(crate) fn has_had(&self, address: u64) -> bool {
        self.spaces().any(|(_, space)| space.lookup(address).is_some())
    }

    /// Where files were mapped, ascending, by which samples that are under way may still have to be named. The kernel side is told,
    /// so that it counts what is handed out there: else they could not be told from samples of what comes there.
    pub(crate) fn gone(&self) -> Vec<Range<u64>> {
        let mut gone: Vec<Range<u64>> = Vec::new();
        let of_files = |mapping: &&Mapping| matches!(mapping.backing, Backing::File { .. });
        let earlier = self.earlier.iter().flat_map(|earlier| earlier.space.mappings.iter().filter(of_files));
        for mapping in earlier {
            let is_apart = |range: &Range<u64>| mapping.end <= range.start || mapping.start >= range.end;
            let addresses = mapping.start..mapping.end;
            if self.space.mappings.is_free(&addresses) && gone.iter().all(is_apart) {
                gone.push(addresses);
            }
            if gone.len() == MAX_GONE {
                break;
            }
        }
        gone.sort_unstable_by_key(|range| range.start);
        gone
    }

    /// All code that is mapped, ascending.
    pub(crate) fn code(&self) -> Vec<MappedCode> {
        let code = |mapping: &Mapping| {
            let module = self.space.modules.get(&mapping.start)?.clone();
            let offset = within(mapping, mapping.start, FileOffset(mapping.offset));
            Some(MappedCode { start: mapping.start, end: mapping.end, offset, module })
        };
        self.space.mappings.iter().filter_map(code).collect()
    }

    /// Another number whenever an address may mean something else than before.
    pub(crate) fn epoch(&self) -> u32 {
        self.space.mappings.epoch()
    }

    pub(crate) fn has_mappings(&self) -> bool {
        self.space.mappings.iter().len() > 0
    }

    /// The file in which its just-in-time compiler writes what it compiles, if it does.
    pub(crate) fn jit_dump(&self) -> Option<&Arc<JitDumpFile>> {
        self.space.jit_dump.as_ref().map(|(_, dump)| dump)
    }

    /// The module that an address lies in, and where in it that is: an offset in its file, or from the start of a
    /// mapping that has none. An address is what it was read to be before or after the sample, if it has not been handed out
    /// anew in between; `remaps` is the low half of the sample's count.
    pub(crate) fn lookup(&self, address: u64, remaps: u16) -> Option<(&Arc<Module>, FileOffset)> {
        let count = self.whole_count(remaps);
        self.spaces().find_map(|(of_space, space)| {
            space.lookup(address).filter(|_| of_space == count || self.is_steady(address, (of_space, count)))
        })
    }
}

/// Whether the addresses that were handed out between two counts are all known, and are free.
fn are_beside(
    areas: &[(u32, Range<u64>)],
    counts: Range<u32>,
    is_free: impl Fn(&Range<u64>) -> bool,
) -> bool {
    let between = areas.iter().filter(|(number, _)| *number > counts.start && *number <= counts.end);
    between.clone().count() == counts.len() && between.into_iter().all(|(_, area)| is_free(area))
}

fn within(mapping: &Mapping, address: u64, offset: FileOffset) -> FileOffset {
    match mapping.backing {
        Backing::File { .. } => offset,
        Backing::Named(_) | Backing::Anonymous => FileOffset(address - mapping.start),
    }
}
