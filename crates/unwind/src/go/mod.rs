//! The frames of Go's functions, by Go's own table of them: every program carries it along, however it was stripped, since its
//! tracebacks are made from it.
//!
//! It says for each instruction how far below the return address the stack pointer is; where the caller's frame pointer is the
//! function's first instructions say. The description of frames that Go's linker writes for debuggers, `.debug_frame`, is made
//! from the same table and says nothing of frame pointers, so that it is not needed where the table is.

mod file;
mod frame_pointer;
mod switches;

pub(crate) use file::{GoFile, Outline};

use crate::undescribed::{FunctionRows, Undescribed};
use crate::{Cfa, ReturnAddress, Rule, SavedRegister};
use foldhash::fast::FixedState;
use frame_pointer::Stored;
use gimli::{EndianSlice, LittleEndian, X86_64};
use hashbrown::HashMap;
use std::io::{Read, Seek};
use std::ops::Range;
use switches::{CODE_BYTES, Offsets, Special};
use telegen_gotable::{Function, Runs, Table, Version};

/// Bytes of an entry that are looked at: those of the largest that Go writes are fewer.
const ENTRY_BYTES: usize = 256;
/// Bytes of the table of one function's stack: most have less than ten, and the read grows as it is needed.
const VALUES_BYTES: std::ops::RangeInclusive<usize> = 64..=1 << 20;
/// Changes of the stack pointer in all functions together: as many as a program of some gigabytes has.
const MAX_RUNS: u64 = 32 << 20;
/// Bytes of a name that are looked at, more than the longest has that is looked for; and functions of such names.
const NAME_BYTES: usize = 40;
const MAX_SPECIAL: usize = 256;
/// Bytes of a function that are looked at to learn where its frame pointer is.
const PROLOGUE_BYTES: usize = 96;

/// The functions of a Go program.
pub(crate) struct GoFrames<R> {
    file: GoFile<R>,
    table: Table,
    /// The number of the function that is looked at next.
    next: u32,
    runs_left: u64,
    rows: Vec<(u64, Rule)>,
    /// Where the last function that was told of ends.
    told: u64,
    /// Functions of which the table does not say all, by their numbers.
    special: HashMap<u32, Special, FixedState>,
    offsets: Option<Offsets>,
}

/// A stretch of a function in which the stack pointer stays where it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Run {
    start: u64,
    end: u64,
    /// How far below the return address it is.
    depth: i32,
}

impl<R: Read + Seek> GoFrames<R> {
    /// Those of a file, if it is a Go program whose table can be read.
    pub(crate) fn find(file: GoFile<R>) -> Option<Self> {
        let table = Table::find(&file).ok().flatten()?;
        if table.header.functions == 0 {
            return None;
        }
        let mut frames = Self {
            file,
            table,
            next: 0,
            runs_left: MAX_RUNS,
            rows: Vec::new(),
            told: 0,
            special: HashMap::default(),
            offsets: None,
        };
        frames.find_special();
        Some(frames)
    }

    /// Looks for the functions of the run time that are not as all others.
    fn find_special(&mut self) {
        let names = self.table.header.names;
        for number in 0..self.table.header.functions {
            let Some(position) = self.position(number) else { return };
            // The address is in front of it.
            let before = if self.table.header.version == Version::Go116 { 8 } else { 4 };
            let name = position.checked_add(before).and_then(|at| self.part(at, 4));
            let name = name.and_then(|bytes| bytes.first_chunk().copied());
            let at = name.and_then(|name| names.checked_add(u32::from_le_bytes(name).into()));
            let Some(text) = at.and_then(|at| self.part(at, NAME_BYTES)) else { return };
            let end = text.iter().position(|&byte| byte == 0).unwrap_or(text.len());
            let special = std::str::from_utf8(&text[..end]).ok().and_then(Special::of_name);
            if let Some(special) = special
                && self.special.len() < MAX_SPECIAL
            {
                self.special.insert(number, special);
            }
        }
        // The compiler may have put another one of the same name in front of it, which calls it as Go's functions are called.
        let mut codes = |wanted| -> Vec<Vec<u8>> {
            let numbers: Vec<u32> = self
                .special
                .iter()
                .filter(|(_, special)| **special == wanted)
                .map(|(number, _)| *number)
                .collect();
            let code = |number| {
                let (start, end) = (self.start(number)?, self.start(number + 1)?);
                self.code(start, end, CODE_BYTES)
            };
            numbers.into_iter().filter_map(code).collect()
        };
        let (to_thread, growing) = (codes(Special::Systemstack), codes(Special::Morestack));
        let mut pairs = to_thread.iter().flat_map(|first| growing.iter().map(move |second| (first, second)));
        self.offsets = pairs.find_map(|(first, second)| Offsets::read(first, second));
    }

    /// The code of a function, or its beginning.
    fn code(&mut self, start: u64, end: u64, most: usize) -> Option<Vec<u8>> {
        let bytes = usize::try_from(end.checked_sub(start)?).unwrap_or(usize::MAX);
        self.file.code(start, bytes.min(most)).ok()
    }

    /// Where a function begins, by its number; that behind the last one is where the last one ends.
    fn start(&mut self, number: u32) -> Option<u64> {
        let header = &self.table.header;
        let at = header.table.checked_add(u64::from(number) * header.entry_bytes())?;
        let bytes = self.part(at, 8)?;
        match self.table.header.version {
            Version::Go116 => Some(u64::from_le_bytes(bytes.try_into().ok()?)),
            _ => Some(self.table.text.wrapping_add(u32::from_le_bytes(*bytes.first_chunk()?).into())),
        }
    }

    /// Where in the table the entry of a function is.
    fn position(&mut self, number: u32) -> Option<u64> {
        let header = self.table.header;
        let at = u64::from(number) * header.entry_bytes() + header.half_entry_bytes();
        let bytes = self.part(header.table.checked_add(at)?, 8)?;
        let distance = match header.version {
            Version::Go116 => u64::from_le_bytes(bytes.try_into().ok()?),
            _ => u32::from_le_bytes(*bytes.first_chunk()?).into(),
        };
        header.table.checked_add(distance)
    }

    fn function(&mut self, number: u32) -> Option<Function> {
        let position = self.position(number)?;
        let entry = self.part(position, ENTRY_BYTES)?;
        Function::read(EndianSlice::new(&entry, LittleEndian), position, &self.table.header).ok()
    }

    /// The bytes of the table from a place on; fewer only at its end.
    fn part(&mut self, position: u64, most: usize) -> Option<Vec<u8>> {
        let left = usize::try_from(self.table.length.checked_sub(position)?).unwrap_or(usize::MAX);
        self.file.bytes(self.table.offset.checked_add(position)?, most.min(left)).ok()
    }

    /// Where the stack pointer is in a function of that many bytes.
    fn runs(&mut self, values: u32, bytes: u64) -> Option<Vec<Run>> {
        let position = self.table.header.values.checked_add(values.into())?;
        let mut most = *VALUES_BYTES.start();
        loop {
            let part = self.part(position, most)?;
            let table = EndianSlice::new(&part, LittleEndian);
            match read_runs(table, self.table.header.quantum, bytes, &mut self.runs_left) {
                Ok(runs) => return Some(runs),
                Err(gimli::Error::UnexpectedEof(_)) if part.len() == most && most < *VALUES_BYTES.end() => {
                    most *= 4;
                }
                Err(_) => return None,
            }
        }
    }

    /// Puts the rows of a function into `rows`; where it ends, the padding behind it left out.
    fn read_rows(&mut self, number: u32, start: u64, end: u64) -> Option<u64> {
        let function = self.function(number)?;
        let special = self.special.get(&number).copied();
        self.rows.clear();
        if function.is_outermost && special != Some(Special::Handler) {
            self.rows.push((0, Rule::Outermost));
            return Some(end);
        }
        let runs = match function.stack_values {
            0 => return None,
            values => self.runs(values, end - start)?,
        };
        let stored = match runs.iter().find(|run| run.depth > 0) {
            Some(first) => {
                let most = usize::try_from(first.start).ok()?.saturating_add(PROLOGUE_BYTES);
                Stored::read(&self.code(start, end, most)?, first.start, first.depth)
            }
            None => None,
        };
        rows_of(&runs, stored, |at, rule| self.rows.push((at, rule)));
        if let Some(special) = special {
            let code = self.code(start, end, CODE_BYTES)?;
            if code.len() as u64 == end - start {
                let rows = &mut self.rows;
                switches::Function { code: &code, rows, stored }.correct(special, self.offsets);
            }
        }
        Some(start + runs.last()?.end)
    }
}

fn read_runs(
    table: EndianSlice<'_, LittleEndian>,
    quantum: u8,
    bytes: u64,
    left: &mut u64,
) -> gimli::Result<Vec<Run>> {
    let (mut runs, mut start) = (Vec::new(), 0);
    let mut table = Runs::new(table, quantum);
    while let Some((end, depth)) = table.next_run()? {
        let end = end.min(bytes);
        if end <= start || *left == 0 {
            break;
        }
        *left -= 1;
        runs.push(Run { start, end, depth });
        start = end;
    }
    Ok(runs)
}

/// The rules of a function, each with where it begins.
fn rows_of(runs: &[Run], stored: Option<Stored>, mut put: impl FnMut(u64, Rule)) {
    for run in runs {
        let is_in = stored.filter(|stored| stored.is_in(run.depth) && stored.from < run.end);
        let from = is_in.map_or(run.end, |stored| stored.from.max(run.start));
        if from > run.start {
            put(run.start, rule(run.depth, SavedRegister::Same));
        }
        if let Some(stored) = is_in {
            put(from, rule(run.depth, SavedRegister::AtCfa(stored.place)));
        }
    }
}

/// What holds where the stack pointer is so far below the return address.
fn rule(depth: i32, frame_pointer: SavedRegister) -> Rule {
    match depth.checked_add(8) {
        Some(offset) if depth >= 0 => Rule::Frame {
            cfa: Cfa::Register { register: X86_64::RSP.0 as u8, offset },
            frame_pointer,
            rbx: SavedRegister::Lost,
            return_address: ReturnAddress::AtCfa(-8),
        },
        _ => Rule::Unknown,
    }
}

impl<R: Read + Seek> Undescribed for GoFrames<R> {
    fn functions(&mut self, gap: Range<u64>, found: &mut dyn FnMut(FunctionRows<'_>)) {
        while self.next < self.table.header.functions && self.runs_left > 0 {
            let (Some(start), Some(end)) = (self.start(self.next), self.start(self.next + 1)) else { return };
            if start >= gap.end {
                return;
            }
            let number = self.next;
            self.next += 1;
            if start < gap.start || end <= start {
                continue;
            }
            if let Some(end) = self.read_rows(number, start, end) {
                // A handler returns to the first byte of what ends it, without having been called from there.
                let in_front =
                    self.rows.first().is_some_and(|row| row.1 == Rule::Signal) && self.told < start;
                let begin = if in_front { (start - 1).max(gap.start) } else { start };
                self.rows.iter_mut().for_each(|row| row.0 = row.0.saturating_add(start));
                if let Some(first) = self.rows.first_mut() {
                    first.0 = first.0.min(begin);
                }
                self.told = end;
                let rows = std::mem::take(&mut self.rows);
                found(FunctionRows { start: begin, end, rows: &rows });
                self.rows = rows;
            }
        }
    }
}
