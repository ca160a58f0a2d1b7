//! The names of functions.

use super::index::UnitIndex;
use super::reader::PagedReader;
use super::unit::OpenUnit;
use super::{Effort, Map};
use crate::demangle::demangle;
use gimli::{AttributeValue, DebugInfoOffset, Dwarf, Result, UnitOffset};
use std::rc::Rc;

/// Entries that refer to each other, from the code of a function to its declaration.
const MAX_REFERENCES: usize = 16;
/// Other units that are kept open because functions of theirs are inlined.
const MAX_OPEN_UNITS: usize = 4;
/// Bytes of a name that are looked at.
const MAX_NAME_BYTES: u64 = 8192;

/// What a function is called, and where it begins.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// The name people know it by.
    pub(crate) name: String,
    /// The name in the symbol table, or without one the name in the source.
    pub(crate) system_name: String,
    /// Whether that is the name in the symbol table: C++ functions without it have but the last part of their name.
    pub(crate) has_linkage_name: bool,
    /// The line of its declaration, 0 if not known.
    pub(crate) start_line: u32,
}

/// The names of the functions of a file that have been asked for.
#[derive(Debug)]
pub(crate) struct Names<'a> {
    dwarf: &'a Dwarf<PagedReader>,
    /// `None` for what was split off, which refers to itself only.
    index: Option<&'a UnitIndex>,
    /// The units of the supplementary file, if there is one.
    shared_units: Option<&'a UnitIndex>,
    effort: &'a Effort,
    /// By the offset of the entry in `.debug_info`.
    known: Map<u64, Rc<Named>>,
    open: Vec<(InFile, Rc<OpenUnit>)>,
}

/// An offset in the `.debug_info` of one of two files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum InFile {
    Main(u64),
    Supplementary(u64),
}

#[derive(Default)]
struct Parts {
    name: Option<String>,
    linkage_name: Option<String>,
    line: Option<u32>,
}

enum Origin {
    SameUnit(UnitOffset<u64>),
    Anywhere(DebugInfoOffset<u64>),
    /// In the supplementary file.
    Shared(DebugInfoOffset<u64>),
}

impl<'a> Names<'a> {
    pub(crate) fn new(
        dwarf: &'a Dwarf<PagedReader>,
        index: Option<&'a UnitIndex>,
        effort: &'a Effort,
    ) -> Self {
        Self { dwarf, index, shared_units: None, effort, known: Map::default(), open: Vec::new() }
    }

    /// Follows references into the supplementary file of `dwarf`, too.
    pub(crate) fn with_supplementary(self, shared_units: Option<&'a UnitIndex>) -> Self {
        Self { shared_units, ..self }
    }

    /// What they are read from.
    pub(crate) fn dwarf(&self) -> &'a Dwarf<PagedReader> {
        self.dwarf
    }

    /// The name of the function with an entry in a unit; an empty one if it has none.
    pub(crate) fn of(&mut self, unit: &Rc<OpenUnit>, entry: u64) -> Rc<Named> {
        let start = unit.unit.header.debug_info_offset().map_or(0, |offset| offset.0);
        let key = start.saturating_add(entry);
        if let Some(named) = self.known.get(&key) {
            return named.clone();
        }
        let mut parts = Parts::default();
        // A reference that leads nowhere costs what stands behind it.
        let _ = self.collect(unit.clone(), UnitOffset(entry), &mut parts);
        let has_linkage_name = parts.linkage_name.is_some();
        let system_name = parts.linkage_name.or(parts.name).unwrap_or_default();
        let name = demangle(&system_name);
        let start_line = parts.line.unwrap_or(0);
        let named = Rc::new(Named { name, system_name, has_linkage_name, start_line });
        self.known.insert(key, named.clone());
        named
    }

    /// Follows the references from an entry, until there is nothing more to learn. What comes first counts: it is
    /// closer to the code.
    fn collect(
        &mut self,
        mut unit: Rc<OpenUnit>,
        mut entry: UnitOffset<u64>,
        parts: &mut Parts,
    ) -> Result<()> {
        let mut dwarf = self.dwarf;
        for _ in 0..MAX_REFERENCES {
            let Some(origin) = take(dwarf, &unit, entry, parts)? else { return Ok(()) };
            if parts.linkage_name.is_some() && parts.line.is_some() {
                return Ok(());
            }
            match origin {
                Origin::SameUnit(offset) => entry = offset,
                Origin::Anywhere(offset) if std::ptr::eq(dwarf, self.dwarf) => {
                    let Some(start) = self.index.map_or(Some(0), |index| index.unit_of(offset.0)) else {
                        return Ok(());
                    };
                    unit = self.open(dwarf, InFile::Main(start))?;
                    entry = UnitOffset(offset.0 - start);
                }
                // From the supplementary file no reference leads back.
                Origin::Anywhere(offset) | Origin::Shared(offset) => {
                    let (Some(units), Some(shared)) = (self.shared_units, self.dwarf.sup()) else {
                        return Ok(());
                    };
                    let Some(start) = units.unit_of(offset.0) else { return Ok(()) };
                    dwarf = shared;
                    unit = self.open(dwarf, InFile::Supplementary(start))?;
                    entry = UnitOffset(offset.0 - start);
                }
            }
        }
        Ok(())
    }

    fn open(&mut self, dwarf: &Dwarf<PagedReader>, at: InFile) -> Result<Rc<OpenUnit>> {
        if let Some((_, unit)) = self.open.iter().find(|(open, _)| *open == at) {
            return Ok(unit.clone());
        }
        let (InFile::Main(start) | InFile::Supplementary(start)) = at;
        let unit = Rc::new(OpenUnit::at(dwarf, start, self.effort)?);
        if self.open.len() >= MAX_OPEN_UNITS {
            self.open.remove(0);
        }
        self.open.push((at, unit.clone()));
        Ok(unit)
    }
}

/// Takes what an entry says; where it refers to for more.
fn take(
    dwarf: &Dwarf<PagedReader>,
    unit: &OpenUnit,
    entry: UnitOffset<u64>,
    parts: &mut Parts,
) -> Result<Option<Origin>> {
    let unit = unit.within(dwarf);
    let mut entries = unit.entries_raw(Some(entry))?;
    let Some(abbreviation) = entries.read_abbreviation()? else { return Ok(None) };
    let text = |value| unit.attr_string(value).and_then(|text| text.text(MAX_NAME_BYTES)).ok();
    let mut origin = None;
    for specification in abbreviation.attributes() {
        let attribute = entries.read_attribute(*specification)?;
        match attribute.name() {
            gimli::DW_AT_linkage_name | gimli::DW_AT_MIPS_linkage_name if parts.linkage_name.is_none() => {
                parts.linkage_name = text(attribute.value());
            }
            gimli::DW_AT_name if parts.name.is_none() => parts.name = text(attribute.value()),
            gimli::DW_AT_decl_line if parts.line.is_none() => {
                parts.line = attribute.udata_value().and_then(|line| line.try_into().ok());
            }
            gimli::DW_AT_abstract_origin | gimli::DW_AT_specification => {
                origin = match attribute.value() {
                    AttributeValue::UnitRef(offset) => Some(Origin::SameUnit(offset)),
                    AttributeValue::DebugInfoRef(offset) => Some(Origin::Anywhere(offset)),
                    AttributeValue::DebugInfoRefSup(offset) => Some(Origin::Shared(offset)),
                    _ => None,
                };
            }
            _ => {}
        }
    }
    Ok(origin)
}
