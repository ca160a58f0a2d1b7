//! The frames of Go's functions, by Go's own table of them: every program carries it along, however it was stripped, since its
//! tracebacks are made from it.
//!
//! It says for each instruction how far below the return address the stack pointer is; where the caller's frame pointer is the
//! function's first instructions say. The description of frames that Go's linker writes for debuggers, `.debug_frame`, is made
//! from the same table and says nothing of frame pointers, so that it is not needed where the table is.

mod file;
mod frame_pointer;

pub(crate) use file::{GoFile, Outline};

use crate::undescribed::{FunctionRows, Undescribed};
use crate::{Cfa, ReturnAddress, Rule, SavedRegister};
use frame_pointer::Stored;
use gimli::{EndianSlice, LittleEndian, X86_64};
use std::io::{Read, Seek};
use std::ops::Range;
use telegen_gotable::{Function, Runs, Table, Version};

/// Bytes of an entry that are looked at: those of the largest that Go writes are fewer.
const ENTRY_BYTES: usize = 256;
/// Bytes of the table of one function's stack: most have less than ten, and the read grows as it is needed.
const VALUES_BYTES: std::ops::RangeInclusive<usize> = 64..=1 << 20;
/// Changes of the stack pointer in all functions together: as many as a program of some gigabytes has.
const MAX_RUNS: u64 = 32 << 20;
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
        (table.header.functions > 0).then(|| Self {
            file,
            table,
            next: 0,
            runs_left: MAX_RUNS,
            rows: Vec::new(),
        })
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

    fn function(&mut self, number: u32) -> Option<Function> {
        let header = self.table.header;
        let at = u64::from(number) * header.entry_bytes() + header.half_entry_bytes();
        let bytes = self.part(header.table.checked_add(at)?, 8)?;
        let distance = match header.version {
            Version::Go116 => u64::from_le_bytes(bytes.try_into().ok()?),
            _ => u32::from_le_bytes(*bytes.first_chunk()?).into(),
        };
        let position = header.table.checked_add(distance)?;
        let entry = self.part(position, ENTRY_BYTES)?;
        Function::read(EndianSlice::new(&entry, LittleEndian), position, &header).ok()
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
        self.rows.clear();
        if function.is_outermost {
            self.rows.push((start, Rule::Outermost));
            return Some(end);
        }
        let runs = match function.stack_values {
            0 => return None,
            values => self.runs(values, end - start)?,
        };
        let stored = match runs.iter().find(|run| run.depth > 0) {
            Some(first) => {
                let code =
                    self.file.code(start, (first.start as usize).saturating_add(PROLOGUE_BYTES)).ok()?;
                Stored::read(&code[..code.len().min((end - start) as usize)], first.start, first.depth)
            }
            None => None,
        };
        rows_of(&runs, stored, |at, rule| self.rows.push((start + at, rule)));
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
                let rows = std::mem::take(&mut self.rows);
                found(FunctionRows { start, end, rows: &rows });
                self.rows = rows;
            }
        }
    }
}
