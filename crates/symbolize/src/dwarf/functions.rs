//! Which function of a unit covers an address, and what the compiler has inlined there.

use super::Effort;
use super::reader::PagedReader;
use super::unit::{Covered, OpenUnit};
use crate::Error;
use gimli::{AttributeValue, Dwarf, EntriesRaw, UnitOffset};

/// Ranges of functions of one unit; more and the unit is given up.
const MAX_FUNCTIONS: usize = 1 << 18;
/// Functions that are gone through for one address.
const MAX_STEPS: usize = 16;
/// Functions inlined into each other at one place.
const MAX_INLINED: usize = 64;

/// Where the functions of a unit are: what is needed to find one without going through the unit again.
#[derive(Debug, Default)]
pub(crate) struct FunctionTable {
    /// By where they begin.
    functions: Box<[FunctionRange]>,
    /// Whether the unit could not be read to its end.
    pub(crate) has_gaps: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct FunctionRange {
    begin: u64,
    bytes: u32,
    /// Where in the unit its entry is.
    entry: u32,
}

/// A function that was inlined at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Inlined {
    /// Where in the unit its entry is.
    pub(crate) entry: u64,
    /// Where it was called: the number of the file in the unit's line number program, and the line.
    pub(crate) call_file: u64,
    pub(crate) call_line: u32,
}

impl FunctionTable {
    /// Goes through all entries of a unit.
    pub(crate) fn read(dwarf: &Dwarf<PagedReader>, unit: &OpenUnit) -> Result<Self, Error> {
        let mut functions = Vec::new();
        let has_gaps = match collect(dwarf, unit, &mut functions) {
            Ok(()) => false,
            // What stands before the damage is as good as ever.
            Err(Error::Dwarf(_)) => true,
            Err(other) => return Err(other),
        };
        // A stable sort: of several functions that the linker has folded into one, the first remains.
        functions.sort_by_key(|function| (function.begin, std::cmp::Reverse(function.bytes)));
        functions.dedup_by_key(|function| (function.begin, function.bytes));
        Ok(Self { functions: functions.into(), has_gaps })
    }

    /// The entry of the innermost function that covers an address.
    pub(crate) fn find(&self, address: u64) -> Option<u64> {
        let behind = self.functions.partition_point(|function| function.begin <= address);
        let covers = |function: &&FunctionRange| address - function.begin < u64::from(function.bytes);
        self.functions[..behind]
            .iter()
            .rev()
            .take(MAX_STEPS)
            .find(covers)
            .map(|function| function.entry.into())
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + size_of_val(&*self.functions)
    }
}

fn collect(
    dwarf: &Dwarf<PagedReader>,
    unit: &OpenUnit,
    functions: &mut Vec<FunctionRange>,
) -> Result<(), Error> {
    let unit = unit.within(dwarf);
    let mut entries = unit.entries_raw(None)?;
    while !entries.is_empty() {
        let offset = entries.next_offset();
        let Some(abbreviation) = entries.read_abbreviation()? else { continue };
        if abbreviation.tag() != gimli::DW_TAG_subprogram {
            entries.skip_attributes(abbreviation.attributes())?;
            continue;
        }
        let mut covered = Covered::default();
        for specification in abbreviation.attributes() {
            covered.take(unit, &entries.read_attribute(*specification)?)?;
        }
        let Ok(entry) = u32::try_from(offset.0) else {
            return Err(Error::TooLarge("a unit of debug information"));
        };
        covered.for_each(unit, |range| {
            let bytes = u32::try_from(range.end - range.begin).unwrap_or(u32::MAX);
            functions.push(FunctionRange { begin: range.begin, bytes, entry });
        })?;
        if functions.len() > MAX_FUNCTIONS {
            return Err(Error::TooLarge("functions in a unit of debug information"));
        }
    }
    Ok(())
}

/// For each of some ascending addresses in a function, what is inlined there, from the outside in.
///
/// When the entries turn out to be damaged, what stood before the damage remains.
pub(crate) fn inlined_at(
    dwarf: &Dwarf<PagedReader>,
    unit: &OpenUnit,
    effort: &Effort,
    function: u64,
    addresses: &[u64],
) -> (Vec<Vec<Inlined>>, gimli::Result<()>) {
    let mut walk =
        Walk { dwarf, unit, effort, addresses, found: vec![Vec::new(); addresses.len()], open: Vec::new() };
    let ended = walk.run(UnitOffset(function));
    (walk.found, ended)
}

struct Walk<'a> {
    dwarf: &'a Dwarf<PagedReader>,
    unit: &'a OpenUnit,
    effort: &'a Effort,
    addresses: &'a [u64],
    found: Vec<Vec<Inlined>>,
    /// The inlined functions that the next entry is within: depth, and which of the addresses they cover.
    open: Vec<(isize, Vec<usize>)>,
}

impl Walk<'_> {
    fn run(&mut self, function: UnitOffset<u64>) -> gimli::Result<()> {
        let unit = self.unit.within(self.dwarf);
        let mut entries = unit.entries_raw(Some(function))?;
        let outermost = entries.next_depth();
        let Some(abbreviation) = entries.read_abbreviation()? else { return Ok(()) };
        entries.skip_attributes(abbreviation.attributes())?;
        while entries.next_depth() > outermost && !entries.is_empty() {
            let (depth, offset) = (entries.next_depth(), entries.next_offset());
            let Some(abbreviation) = entries.read_abbreviation()? else { continue };
            while self.open.last().is_some_and(|(open, _)| *open >= depth) {
                self.open.pop();
            }
            match abbreviation.tag() {
                gimli::DW_TAG_inlined_subroutine => {
                    let (call, covered) = read_call(unit, &mut entries, abbreviation, offset)?;
                    self.enter(depth, call, &covered)?;
                }
                // A function within a function is one of its own.
                gimli::DW_TAG_subprogram => skip(&mut entries, abbreviation, depth)?,
                _ => entries.skip_attributes(abbreviation.attributes())?,
            }
        }
        Ok(())
    }

    fn enter(&mut self, depth: isize, call: Inlined, covered: &Covered) -> gimli::Result<()> {
        if self.open.len() >= MAX_INLINED {
            return Ok(());
        }
        let (mut inside, mut spent) = (Vec::new(), Ok(()));
        covered.for_each(self.unit.within(self.dwarf), |range| {
            let first = self.addresses.partition_point(|&address| address < range.begin);
            let last = self.addresses.partition_point(|&address| address < range.end);
            // Ranges that all cover the same addresses would cost much more than it costs to write them.
            spent = spent.and(self.effort.spend((last - first) as u64));
            if spent.is_ok() {
                inside.extend(first..last);
            }
        })?;
        spent?;
        inside.sort_unstable();
        inside.dedup();
        if let Some((_, outside)) = self.open.last() {
            inside.retain(|at| outside.binary_search(at).is_ok());
        }
        for &at in &inside {
            // Of two calls at one depth that claim an address, the first is believed.
            if self.found[at].len() == self.open.len() {
                self.found[at].push(call);
            }
        }
        self.open.push((depth, inside));
        Ok(())
    }
}

fn read_call(
    unit: gimli::UnitRef<'_, PagedReader>,
    entries: &mut EntriesRaw<'_, PagedReader>,
    abbreviation: &gimli::Abbreviation,
    offset: UnitOffset<u64>,
) -> gimli::Result<(Inlined, Covered)> {
    let mut covered = Covered::default();
    let mut call = Inlined { entry: offset.0, call_file: 0, call_line: 0 };
    for specification in abbreviation.attributes() {
        let attribute = entries.read_attribute(*specification)?;
        match attribute.name() {
            gimli::DW_AT_call_file => {
                call.call_file = match attribute.value() {
                    AttributeValue::FileIndex(file) => file,
                    value => value.udata_value().unwrap_or(0),
                };
            }
            gimli::DW_AT_call_line => {
                call.call_line = attribute.udata_value().and_then(|line| line.try_into().ok()).unwrap_or(0);
            }
            _ => covered.take(unit, &attribute)?,
        }
    }
    Ok((call, covered))
}

fn skip(
    entries: &mut EntriesRaw<'_, PagedReader>,
    abbreviation: &gimli::Abbreviation,
    depth: isize,
) -> gimli::Result<()> {
    entries.skip_attributes(abbreviation.attributes())?;
    while entries.next_depth() > depth && !entries.is_empty() {
        if let Some(abbreviation) = entries.read_abbreviation()? {
            entries.skip_attributes(abbreviation.attributes())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_function_is_found() {
        let range = |(begin, bytes, entry)| FunctionRange { begin, bytes, entry };
        let functions = [(10, 90, 1), (20, 10, 2), (20, 5, 3), (200, 1, 4)].map(range).into();
        let table = FunctionTable { functions, has_gaps: false };
        let found = [9, 10, 22, 27, 30, 99, 100, 200, 201].map(|address| table.find(address));
        assert_eq!(found, [None, Some(1), Some(3), Some(2), Some(1), Some(1), None, Some(4), None]);
    }
}
