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
    effort: &'a Effort,
    /// By the offset of the entry in `.debug_info`.
    known: Map<u64, Rc<Named>>,
    open: Vec<(u64, Rc<OpenUnit>)>,
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
}

impl<'a> Names<'a> {
    pub(crate) fn new(
        dwarf: &'a Dwarf<PagedReader>,
        index: Option<&'a UnitIndex>,
        effort: &'a Effort,
    ) -> Self {
        Self { dwarf, index, effort, known: Map::default(), open: Vec::new() }
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
        for _ in 0..MAX_REFERENCES {
            let Some(origin) = self.take(&unit, entry, parts)? else { return Ok(()) };
            if parts.linkage_name.is_some() && parts.line.is_some() {
                return Ok(());
            }
            match origin {
                Origin::SameUnit(offset) => entry = offset,
                Origin::Anywhere(offset) => {
                    let Some(start) = self.index.map_or(Some(0), |index| index.unit_of(offset.0)) else {
                        return Ok(());
                    };
                    unit = self.open(start)?;
                    entry = UnitOffset(offset.0 - start);
                }
            }
        }
        Ok(())
    }

    fn take(&self, unit: &OpenUnit, entry: UnitOffset<u64>, parts: &mut Parts) -> Result<Option<Origin>> {
        let unit = unit.within(self.dwarf);
        let mut entries = unit.entries_raw(Some(entry))?;
        let Some(abbreviation) = entries.read_abbreviation()? else { return Ok(None) };
        let text = |value| unit.attr_string(value).and_then(|text| text.text(MAX_NAME_BYTES)).ok();
        let mut origin = None;
        for specification in abbreviation.attributes() {
            let attribute = entries.read_attribute(*specification)?;
            match attribute.name() {
                gimli::DW_AT_linkage_name | gimli::DW_AT_MIPS_linkage_name
                    if parts.linkage_name.is_none() =>
                {
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
                        _ => None,
                    };
                }
                _ => {}
            }
        }
        Ok(origin)
    }

    fn open(&mut self, start: u64) -> Result<Rc<OpenUnit>> {
        if let Some((_, unit)) = self.open.iter().find(|(open, _)| *open == start) {
            return Ok(unit.clone());
        }
        let unit = Rc::new(OpenUnit::at(self.dwarf, start, self.effort)?);
        if self.open.len() >= MAX_OPEN_UNITS {
            self.open.remove(0);
        }
        self.open.push((start, unit.clone()));
        Ok(unit)
    }
}
