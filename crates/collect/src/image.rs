//! A program image under observation, and the modules behind its addresses.

use crate::collector::MappedCode;
use crate::module::{Module, Modules};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::sync::Arc;
use telegen_model::{FileOffset, ProcessFacts};
use telegen_process::{Backing, Error, JitDumpFile, Mapping, Mappings, ProcFs};

/// What is mapped, and the modules behind it. A forked child shares its parent's until its own are read.
#[derive(Clone, Debug, Default)]
struct AddressSpace {
    mappings: Mappings,
    modules: HashMap<u64, Arc<Module>, RandomState>,
    /// Where the mark of a jitdump file is mapped, and the file.
    jit_dump: Option<(u64, Arc<JitDumpFile>)>,
}

impl AddressSpace {
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
}

/// A program image under observation.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) facts: Arc<ProcessFacts>,
    space: Arc<AddressSpace>,
}

impl Image {
    /// An image whose mappings are not known yet, or are, until read, those of the image it was forked from.
    pub(crate) fn new(facts: Arc<ProcessFacts>, parent: Option<&Image>) -> Self {
        Self { facts, space: parent.map(|parent| parent.space.clone()).unwrap_or_default() }
    }

    /// Reads the mappings again, and opens the files that are new among them.
    pub(crate) fn refresh(&mut self, proc: &ProcFs, modules: &mut Modules) -> Result<Refreshed, Error> {
        let pid = self.facts.key.id.pid;
        let parsed = proc.executable_mappings(pid)?;
        // The pid may have been given to another process meanwhile: its start time would tell.
        let ticks = proc.stat(pid)?.start_ticks;
        if !self.facts.key.id.start.same_tick(ticks) {
            return Err(Error::Gone { pid });
        }
        if parsed.mappings.is_empty() {
            // A process on its way out has none; what was known before is better.
            return Ok(Refreshed::Unchanged);
        }
        let space = Arc::make_mut(&mut self.space);
        let delta = space.mappings.update(parsed.mappings);
        for gone in &delta.removed {
            space.modules.remove(&gone.start);
            space.jit_dump.take_if(|(start, _)| *start == gone.start);
        }
        for mapping in &delta.added {
            space.modules.insert(mapping.start, modules.of_mapping(proc, pid, mapping));
            space.add_jit_dump(mapping.start, modules.jit_dump(proc, pid, mapping));
        }
        let unchanged = delta.added.is_empty() && delta.removed.is_empty();
        Ok(if unchanged { Refreshed::Unchanged } else { Refreshed::Changed })
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
    /// mapping that has none.
    pub(crate) fn lookup(&self, address: u64) -> Option<(&Arc<Module>, FileOffset)> {
        let (mapping, offset) = self.space.mappings.lookup(address)?;
        let module = self.space.modules.get(&mapping.start)?;
        Some((module, within(mapping, address, offset)))
    }
}

fn within(mapping: &Mapping, address: u64, offset: FileOffset) -> FileOffset {
    match mapping.backing {
        Backing::File { .. } => offset,
        Backing::Named(_) | Backing::Anonymous => FileOffset(address - mapping.start),
    }
}
