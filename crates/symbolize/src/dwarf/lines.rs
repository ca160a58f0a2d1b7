//! Which line of which file an address was made from.

use super::reader::PagedReader;
use super::unit::OpenUnit;
use super::{Effort, Map};
use gimli::{
    Abbreviations, AttributeSpecification, DebugLineOffset, Dwarf, EntriesRaw, Error, IncompleteLineProgram,
    LineRow, LineRows, Reader, Result, UnitOffset,
};
use std::rc::Rc;

/// Bytes of the header of a line number program: gimli holds its lists of directories and files, at many times their
/// size in the file.
const MAX_HEADER_BYTES: u64 = 256 << 10;
/// Directories, and files, in such a list.
const MAX_LISTED: u64 = 1 << 14;
/// Effort that the header may take.
const HEADER_EFFORT: u64 = 400_000;
/// Bytes of a path, and of each part of one, that are shown.
const MAX_PATH_BYTES: u64 = 4096;

type Rows = LineRows<PagedReader, IncompleteLineProgram<PagedReader>>;

/// A line in a file, by the file's number in the line number program; 0 is no line.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct FileLine {
    pub(crate) file: u64,
    pub(crate) line: u32,
}

/// The lines of some addresses in one unit, and the names of its files.
#[derive(Debug)]
pub(crate) struct Lines<'a> {
    dwarf: &'a Dwarf<PagedReader>,
    unit: &'a OpenUnit,
    rows: Option<Rows>,
    found: Vec<Option<FileLine>>,
    paths: Map<u64, Rc<str>>,
}

impl<'a> Lines<'a> {
    /// Runs the unit's line number program until there is a line for each of some ascending addresses.
    ///
    /// When the program turns out to be damaged, what it said before remains.
    pub(crate) fn find(
        dwarf: &'a Dwarf<PagedReader>,
        unit: &'a OpenUnit,
        effort: &Effort,
        addresses: &[u64],
    ) -> (Self, Result<()>) {
        let (rows, found, paths) = (None, vec![None; addresses.len()], Map::default());
        let mut lines = Self { dwarf, unit, rows, found, paths };
        let Some(offset) = unit.line_program else { return (lines, Ok(())) };
        let program = effort.at_most(HEADER_EFFORT, || {
            check_header(dwarf, unit, offset)?;
            let (directory, name) = (unit.unit.comp_dir.clone(), unit.unit.name.clone());
            dwarf.debug_line.program(offset, unit.unit.header.address_size(), directory, name)
        });
        let mut rows = match program {
            Ok(program) => program.rows(),
            Err(error) => return (lines, Err(error)),
        };
        let ended = lines.run(&mut rows, effort, addresses);
        lines.rows = Some(rows);
        (lines, ended)
    }

    fn run(&mut self, rows: &mut Rows, effort: &Effort, addresses: &[u64]) -> Result<()> {
        let (Some(&lowest), Some(&highest)) = (addresses.first(), addresses.last()) else { return Ok(()) };
        let mut missing = addresses.len();
        // The row that is valid up to the next one, and whether its sequence is of code that the linker has dropped.
        let mut before: Option<(u64, FileLine)> = None;
        let mut dropped = false;
        while missing > 0
            && let Some((_, row)) = rows.next_row()?
        {
            let address = row.address();
            let starts = before.is_none();
            if starts {
                dropped = address == 0;
            }
            if let Some((begin, place)) = before
                && begin < address
                && begin <= highest
                && lowest < address
                && !dropped
            {
                let first = addresses.partition_point(|&wanted| wanted < begin);
                let last = addresses.partition_point(|&wanted| wanted < address);
                effort.spend((last - first) as u64)?;
                for found in self.found[first..last].iter_mut().filter(|found| found.is_none()) {
                    *found = Some(place);
                    missing -= 1;
                }
            }
            before = (!row.end_sequence()).then(|| (address, file_line(row)));
        }
        Ok(())
    }

    /// What was found for the address with this number.
    pub(crate) fn line(&self, address: usize) -> Option<FileLine> {
        self.found.get(address).copied().flatten()
    }

    /// The path of a file, empty if it is not known.
    pub(crate) fn path(&mut self, file: u64) -> Rc<str> {
        if let Some(path) = self.paths.get(&file) {
            return path.clone();
        }
        let path: Rc<str> = self.read_path(file).unwrap_or_default().into();
        self.paths.insert(file, path.clone());
        path
    }

    fn read_path(&self, file: u64) -> Option<String> {
        let header = self.rows.as_ref()?.header();
        let entry = header.file(file)?;
        let text =
            |value| self.dwarf.attr_string(&self.unit.unit, value).and_then(|text| text.text(MAX_PATH_BYTES));
        let mut path = match &self.unit.unit.comp_dir {
            Some(directory) => directory.text(MAX_PATH_BYTES).ok()?,
            None => String::new(),
        };
        // Directory 0 is that of the unit.
        if entry.directory_index() != 0
            && let Some(directory) = entry.directory(header)
        {
            push(&mut path, &text(directory).ok()?);
        }
        push(&mut path, &text(entry.path_name()).ok()?);
        Some(path)
    }
}

fn file_line(row: &LineRow) -> FileLine {
    let line = row.line().and_then(|line| u32::try_from(line.get()).ok()).unwrap_or(0);
    FileLine { file: row.file_index(), line }
}

fn push(path: &mut String, part: &str) {
    if part.starts_with('/') {
        path.clear();
    } else if !path.is_empty() && !path.ends_with('/') {
        path.push('/');
    }
    path.push_str(part);
}

/// Looks at what gimli will take memory for before it does: from version 5 on the lists say how long they are.
fn check_header(dwarf: &Dwarf<PagedReader>, unit: &OpenUnit, offset: DebugLineOffset<u64>) -> Result<()> {
    let mut input = gimli::Section::reader(&dwarf.debug_line).clone();
    input.skip(offset.0)?;
    let (length, format) = input.read_initial_length()?;
    input.truncate(length)?;
    let version = input.read_u16()?;
    if version >= 5 {
        // Sizes of an address and of a segment selector.
        input.skip(2)?;
    }
    let header_length = input.read_length(format)?;
    if header_length > MAX_HEADER_BYTES {
        return Err(Error::UnsupportedOffset);
    }
    input.truncate(header_length)?;
    if version < 5 {
        return Ok(());
    }
    input.skip(5)?;
    let opcodes = input.read_u8()?;
    input.skip(u64::from(opcodes.saturating_sub(1)))?;
    let encoding = gimli::Encoding { format, version, ..unit.unit.header.encoding() };
    skip_list(&mut input, encoding)?;
    skip_list(&mut input, encoding)
}

/// Skips a list of directories or files: the forms of an entry's parts, the number of entries, the entries.
fn skip_list(input: &mut PagedReader, encoding: gimli::Encoding) -> Result<()> {
    let parts = input.read_u8()?;
    let mut forms = Vec::with_capacity(usize::from(parts));
    for _ in 0..parts {
        let _content = input.read_uleb128()?;
        let form = gimli::DwForm(input.read_uleb128_u16()?);
        if form == gimli::DW_FORM_implicit_const {
            return Err(Error::UnknownForm(form));
        }
        forms.push(AttributeSpecification::new(gimli::DW_AT_name, form, None));
    }
    let entries = input.read_uleb128()?;
    if entries > MAX_LISTED {
        return Err(Error::UnsupportedOffset);
    }
    // An entry of a list is laid out as an entry of `.debug_info` without a code.
    let none = Abbreviations::default();
    let mut list = EntriesRaw::new(input.clone(), encoding, &none, UnitOffset(0));
    for _ in 0..entries {
        list.skip_attributes(&forms)?;
    }
    input.skip(list.next_offset().0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absolute_part_of_a_path_replaces_what_stands_before_it() {
        let mut path = String::from("/build");
        push(&mut path, "src/");
        push(&mut path, "a.c");
        assert_eq!(path, "/build/src/a.c");
        push(&mut path, "/usr/include/b.h");
        assert_eq!(path, "/usr/include/b.h");
    }
}
