//! A lookup in the table.

use super::{GoTable, JUMP_EFFORT, MAX_PAGES, reader};
use crate::Error;
use crate::dwarf::{DebugFrame, Effort, Map, Named, PagedReader, Pages};
use crate::elf::Elf;
use gimli::{Reader, Result};
use std::collections::BTreeMap;
use std::rc::Rc;
use telegen_gotable::{Function, ModuleData, NONE, Version, values};

/// Functions inlined into each other at one place.
const MAX_INLINED: usize = 64;
/// Bytes of a name and of a path that are shown.
const MAX_NAME_BYTES: u64 = 8192;
/// Functions that are looked at to learn where the lists of inlined calls are, and how many lists are compared.
const MAX_TRIED: u32 = 1 << 14;
const SAMPLES: usize = 8;
/// Where in `moduledata` the address of those lists has been, and may be with some words more.
const INLINE_TREES: std::ops::Range<usize> = 36..ModuleData::WORDS;

pub(super) struct Lookup<'a> {
    table: &'a GoTable,
    elf: &'a Elf<'a>,
    effort: &'a Effort,
    /// The whole table, and the whole file: clones of them are read.
    bytes: PagedReader,
    file: PagedReader,
    names: Map<(u32, u32), Rc<Named>>,
    paths: Map<u32, Rc<str>>,
}

/// What is said of an instruction.
#[derive(Clone, Copy)]
struct Instruction {
    path: Option<u32>,
    line: u32,
    call: Option<Call>,
}

/// `inlinedCall`: an instruction is in a function that was inlined where another instruction stands.
#[derive(Clone, Copy)]
struct Call {
    name: u32,
    start_line: u32,
    /// The instruction of the call, from where the function begins.
    parent: u32,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(
        table: &'a GoTable,
        elf: &'a Elf<'a>,
        effort: &'a Rc<Effort>,
    ) -> std::result::Result<Self, Error> {
        let pages = Rc::new(Pages::new(elf.file.try_clone()?, MAX_PAGES));
        let bytes = reader(elf, &pages, table.offset, table.length, effort);
        let file = reader(elf, &pages, 0, i64::MAX as u64, effort);
        Ok(Self { table, elf, effort, bytes, file, names: Map::default(), paths: Map::default() })
    }

    /// The functions at some ascending addresses, and what has ended the search, if anything.
    pub(super) fn run(&mut self, addresses: &[u64]) -> (Vec<Vec<DebugFrame>>, Option<gimli::Error>) {
        let mut frames = vec![Vec::new(); addresses.len()];
        let (mut at, mut failure) = (0, None);
        while at < addresses.len() && !self.effort.is_spent() {
            let mut same = 1;
            let found = self.function_of(addresses[at]).and_then(|found| {
                let Some((number, begin, end)) = found else { return Ok(()) };
                same = addresses[at..].partition_point(|&address| address < end).max(1);
                let of_function = &addresses[at..at + same];
                self.in_function(number, begin, of_function, &mut frames[at..at + same])
            });
            failure = found.err().or(failure);
            at += same;
        }
        (frames, failure)
    }

    /// The function that an address is in: its number, and where it begins and ends.
    fn function_of(&self, address: u64) -> Result<Option<(u32, u64, u64)>> {
        let (mut low, mut high) = (0, self.table.header.functions);
        let (mut begin, mut end) = (self.entry(low)?, self.entry(high)?);
        if !(begin..end).contains(&address) {
            return Ok(None);
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let entry = self.entry(middle)?;
            if entry <= address {
                (low, begin) = (middle, entry);
            } else {
                (high, end) = (middle, entry);
            }
        }
        Ok(Some((low, begin, end)))
    }

    /// Where a function begins, by its number; that behind the last one is where the last one ends.
    fn entry(&self, number: u32) -> Result<u64> {
        let header = &self.table.header;
        let mut reader = self.at(header.table + u64::from(number) * header.entry_bytes())?;
        match header.version {
            Version::Go116 => reader.read_address(header.pointer),
            _ => Ok(self.table.text.wrapping_add(reader.read_u32()?.into())),
        }
    }

    fn function(&self, number: u32) -> Result<Function> {
        let header = &self.table.header;
        let at = header.table + u64::from(number) * header.entry_bytes() + header.half_entry_bytes();
        let mut reader = self.at(at)?;
        let offset = match header.version {
            Version::Go116 => reader.read_address(header.pointer)?,
            _ => reader.read_u32()?.into(),
        };
        let position = header.table.saturating_add(offset);
        Function::read(self.at(position)?, position, header)
    }

    /// The frames at some addresses in one function. An instruction of an inlined function stands for where it was
    /// called, which is an instruction of the same function.
    fn in_function(
        &mut self,
        number: u32,
        begin: u64,
        addresses: &[u64],
        frames: &mut [Vec<DebugFrame>],
    ) -> Result<()> {
        let function = self.function(number)?;
        let distance = |address: &u64| u32::try_from(address - begin).unwrap_or(u32::MAX);
        let mut known: BTreeMap<u32, Instruction> = BTreeMap::new();
        let mut wanted: Vec<u32> = addresses.iter().map(distance).collect();
        for _ in 0..MAX_INLINED {
            wanted.sort_unstable();
            wanted.dedup();
            wanted.retain(|at| !known.contains_key(at));
            if wanted.is_empty() {
                break;
            }
            let instructions = self.instructions(&function, &wanted)?;
            known.extend(wanted.drain(..).zip(instructions.iter().copied()));
            wanted.extend(instructions.iter().filter_map(|instruction| Some(instruction.call?.parent)));
        }
        for (address, frames) in addresses.iter().zip(frames) {
            *frames = self.frames(&function, &known, distance(address))?;
        }
        Ok(())
    }

    fn frames(
        &mut self,
        function: &Function,
        known: &BTreeMap<u32, Instruction>,
        at: u32,
    ) -> Result<Vec<DebugFrame>> {
        let (mut frames, mut next) = (Vec::new(), Some(at));
        while let Some(at) = next.filter(|_| frames.len() <= MAX_INLINED) {
            let none = Instruction { path: None, line: 0, call: None };
            let instruction = known.get(&at).copied().unwrap_or(none);
            let (name, start_line) = match instruction.call {
                Some(call) => (call.name, call.start_line),
                None => (function.name, function.start_line),
            };
            let named = self.named(name, start_line)?;
            let file = instruction.path.map_or(Ok(Rc::default()), |path| self.path(path))?;
            frames.push(DebugFrame { function: Some(named), file, line: instruction.line });
            next = instruction.call.map(|call| call.parent);
        }
        Ok(frames)
    }

    /// What is said of some instructions of a function, by their ascending distances from where it begins.
    fn instructions(&self, function: &Function, wanted: &[u32]) -> Result<Vec<Instruction>> {
        let files = self.values(function.file_values, wanted)?;
        let lines = self.values(function.line_values, wanted)?;
        let tree = self.inline_tree(function);
        let calls = if tree.is_some() {
            self.values(function.inline_values, wanted)?
        } else {
            vec![NONE; wanted.len()]
        };
        let instruction = |at: usize| {
            let call = match (tree, u32::try_from(calls[at])) {
                (Some(tree), Ok(number)) => Some(self.call(tree, number)?),
                _ => None,
            };
            let path =
                u32::try_from(files[at]).ok().map(|file| self.path_of(function.unit, file)).transpose()?;
            Ok(Instruction { path: path.flatten(), line: u32::try_from(lines[at]).unwrap_or(0), call })
        };
        (0..wanted.len()).map(instruction).collect()
    }

    fn values(&self, table: u32, wanted: &[u32]) -> Result<Vec<i32>> {
        if table == 0 {
            return Ok(vec![NONE; wanted.len()]);
        }
        let header = &self.table.header;
        values(self.at(header.values + u64::from(table))?, header.quantum, wanted)
    }

    /// Where in the file the list of what is inlined in a function is.
    fn inline_tree(&self, function: &Function) -> Option<u64> {
        let base = match self.table.header.version {
            Version::Go116 => 0,
            _ => self.table.inline_trees?,
        };
        self.elf.offset(base.wrapping_add(function.inline_tree?))
    }

    fn call(&self, tree: u64, number: u32) -> Result<Call> {
        let mut reader = self.file.clone();
        self.effort.spend(JUMP_EFFORT)?;
        let is_new = self.table.header.version >= Version::Go120;
        let bytes = if is_new { 16 } else { 20 };
        reader.skip(tree.saturating_add(bytes * u64::from(number)).min(reader.len()))?;
        // The kind of the function; before Go 1.20 the parent's number, the file and the line of the call as well.
        reader.skip(if is_new { 4 } else { 12 })?;
        let (name, parent) = (reader.read_u32()?, reader.read_u32()?);
        Ok(Call { name, parent, start_line: if is_new { reader.read_u32()? } else { 0 } })
    }

    /// Where among the paths that of a file of a package is.
    fn path_of(&self, unit: u32, file: u32) -> Result<Option<u32>> {
        let number = u64::from(unit) + u64::from(file);
        let mut reader = self.at(self.table.header.units + 4 * number)?;
        Ok(Some(reader.read_u32()?).filter(|&path| path != u32::MAX))
    }

    fn path(&mut self, path: u32) -> Result<Rc<str>> {
        if let Some(path) = self.paths.get(&path) {
            return Ok(path.clone());
        }
        let text: Rc<str> = self.text(self.table.header.files + u64::from(path))?.into();
        self.paths.insert(path, text.clone());
        Ok(text)
    }

    fn named(&mut self, name: u32, start_line: u32) -> Result<Rc<Named>> {
        if let Some(named) = self.names.get(&(name, start_line)) {
            return Ok(named.clone());
        }
        let text = self.text(self.table.header.names + u64::from(name))?;
        // Negative: there is no such line.
        let line = if start_line > i32::MAX as u32 { 0 } else { start_line };
        let named = Named { name: text.clone(), system_name: text, has_linkage_name: true, start_line: line };
        let named = Rc::new(named);
        self.names.insert((name, start_line), named.clone());
        Ok(named)
    }

    fn text(&self, position: u64) -> Result<String> {
        let mut reader = self.at(position)?;
        let length = reader.find(0)?;
        reader.truncate(length)?;
        reader.text(MAX_NAME_BYTES)
    }

    /// A reader of the table from a place on.
    fn at(&self, position: u64) -> Result<PagedReader> {
        self.effort.spend(JUMP_EFFORT)?;
        let mut reader = self.bytes.clone();
        reader.skip(position)?;
        Ok(reader)
    }

    /// The address that the lists of inlined calls are counted from. Where in `moduledata` it stands depends on the
    /// version of Go, which is written nowhere near; so it is that which leads to such lists.
    pub(super) fn find_inline_trees(&self, module: &ModuleData) -> Result<Option<u64>> {
        let mut samples = Vec::new();
        for number in 0..self.table.header.functions.min(MAX_TRIED) {
            let function = self.function(number)?;
            if let Some(tree) = function.inline_tree
                && self.table.header.version != Version::Go116
                && function.inline_values != 0
            {
                samples.push((tree, self.entry(number + 1)?.wrapping_sub(self.entry(number)?)));
            }
            if samples.len() >= SAMPLES {
                break;
            }
        }
        let leads_to_lists = |&&base: &&u64| {
            let is_list = |&(tree, bytes): &(u64, u64)| {
                let offset = self.elf.offset(base.wrapping_add(tree));
                offset.is_some_and(|offset| self.is_inline_tree(offset, bytes).unwrap_or(false))
            };
            base != 0 && samples.iter().all(is_list)
        };
        let words = module.words.get(INLINE_TREES).unwrap_or_default();
        Ok(words.iter().find(leads_to_lists).copied().filter(|_| !samples.is_empty()))
    }

    /// Whether there may be a list of calls inlined into a function of that size: the first of them begins a name, and
    /// was called from within.
    fn is_inline_tree(&self, tree: u64, function_bytes: u64) -> Result<bool> {
        let call = self.call(tree, 0)?;
        let header = &self.table.header;
        let name = header.names + u64::from(call.name);
        if u64::from(call.parent) >= function_bytes || name >= header.units {
            return Ok(false);
        }
        if call.name == 0 {
            return Ok(self.at(name)?.read_u8()? != 0);
        }
        let mut reader = self.at(name - 1)?;
        Ok(reader.read_u8()? == 0 && reader.read_u8()? != 0)
    }
}
