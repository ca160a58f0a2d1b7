//! A unit of debug information, opened.

use super::reader::PagedReader;
use gimli::{
    Attribute, AttributeValue, DebugAddrBase, DebugInfoOffset, DebugLineOffset, DebugLocListsBase,
    DebugRngListsBase, DebugStrOffsetsBase, Dwarf, Error, Range, RangeListsOffset, Result, UnitHeader,
    UnitRef, UnitType,
};
use std::sync::Arc;

/// Effort that the abbreviations of one unit may take: these are held, and there are some hundred in real units.
const ABBREVIATIONS_EFFORT: u64 = 150_000;

pub(crate) type Unit = gimli::Unit<PagedReader>;

/// A unit, without its line number program, which gimli would read at once.
#[derive(Debug)]
pub(crate) struct OpenUnit {
    pub(crate) unit: Unit,
    pub(crate) line_program: Option<DebugLineOffset<u64>>,
    /// The name of the file that has the rest of it, which its [`Unit::dwo_id`] is the key to.
    pub(crate) split_name: Option<PagedReader>,
}

impl OpenUnit {
    /// The unit at an offset of `.debug_info`.
    pub(crate) fn at(dwarf: &Dwarf<PagedReader>, offset: u64, effort: &super::Effort) -> Result<Self> {
        Self::open(dwarf, dwarf.unit_header(DebugInfoOffset(offset))?, effort).map(|(unit, _)| unit)
    }

    /// A unit by its header, with the attributes of its root entry.
    pub(crate) fn open(
        dwarf: &Dwarf<PagedReader>,
        header: UnitHeader<PagedReader>,
        effort: &super::Effort,
    ) -> Result<(Self, Vec<Attribute<PagedReader>>)> {
        let abbreviations =
            effort.at_most(ABBREVIATIONS_EFFORT, || header.abbreviations(&dwarf.debug_abbrev))?;
        let mut attributes = Vec::new();
        let mut entries = header.entries_raw(&abbreviations, None)?;
        let root = entries.read_abbreviation()?.ok_or(Error::MissingUnitDie)?;
        entries.read_attributes(root.attributes(), &mut attributes)?;
        drop(entries);
        let encoding = header.encoding();
        let mut opened = Self {
            unit: Unit {
                abbreviations: Arc::new(abbreviations),
                name: None,
                comp_dir: None,
                low_pc: 0,
                str_offsets_base: DebugStrOffsetsBase::default_for_encoding_and_file(
                    encoding,
                    dwarf.file_type,
                ),
                addr_base: DebugAddrBase(0),
                loclists_base: DebugLocListsBase::default_for_encoding_and_file(encoding, dwarf.file_type),
                rnglists_base: DebugRngListsBase::default_for_encoding_and_file(encoding, dwarf.file_type),
                line_program: None,
                dwo_id: None,
                header,
            },
            line_program: None,
            split_name: None,
        };
        if let UnitType::Skeleton(id) | UnitType::SplitCompilation(id) = opened.unit.header.type_() {
            opened.unit.dwo_id = Some(id);
        }
        opened.take_bases(&attributes);
        opened.take_values(dwarf, &attributes);
        Ok((opened, attributes))
    }

    /// What other attributes are relative to, wherever among them it stands.
    fn take_bases(&mut self, attributes: &[Attribute<PagedReader>]) {
        for attribute in attributes {
            match (attribute.name(), attribute.value()) {
                (gimli::DW_AT_str_offsets_base, AttributeValue::DebugStrOffsetsBase(base)) => {
                    self.unit.str_offsets_base = base;
                }
                (
                    gimli::DW_AT_addr_base | gimli::DW_AT_GNU_addr_base,
                    AttributeValue::DebugAddrBase(base),
                ) => {
                    self.unit.addr_base = base;
                }
                (
                    gimli::DW_AT_rnglists_base | gimli::DW_AT_GNU_ranges_base,
                    AttributeValue::DebugRngListsBase(base),
                ) => self.unit.rnglists_base = base,
                (gimli::DW_AT_stmt_list, AttributeValue::DebugLineRef(offset)) => {
                    self.line_program = Some(offset)
                }
                _ => {}
            }
        }
    }

    fn take_values(&mut self, dwarf: &Dwarf<PagedReader>, attributes: &[Attribute<PagedReader>]) {
        for attribute in attributes {
            match attribute.name() {
                gimli::DW_AT_name => self.unit.name = dwarf.attr_string(&self.unit, attribute.value()).ok(),
                gimli::DW_AT_comp_dir => {
                    self.unit.comp_dir = dwarf.attr_string(&self.unit, attribute.value()).ok()
                }
                gimli::DW_AT_dwo_name | gimli::DW_AT_GNU_dwo_name => {
                    self.split_name = dwarf.attr_string(&self.unit, attribute.value()).ok();
                }
                // Before version 5 it is an attribute.
                gimli::DW_AT_GNU_dwo_id => {
                    if let AttributeValue::DwoId(id) = attribute.value() {
                        self.unit.dwo_id = Some(id);
                    }
                }
                gimli::DW_AT_low_pc => {
                    if let Ok(Some(address)) = dwarf.attr_address(&self.unit, attribute.value()) {
                        self.unit.low_pc = address;
                    }
                }
                _ => {}
            }
        }
    }

    /// The unit and its sections, as gimli's methods want them.
    pub(crate) fn within<'a>(&'a self, dwarf: &'a Dwarf<PagedReader>) -> UnitRef<'a, PagedReader> {
        UnitRef::new(dwarf, &self.unit)
    }
}

/// The addresses that an entry covers.
#[derive(Default)]
pub(crate) struct Covered {
    low: Option<u64>,
    high: Option<High>,
    ranges: Option<RangeListsOffset<u64>>,
}

#[derive(Clone, Copy)]
enum High {
    Address(u64),
    Bytes(u64),
}

impl Covered {
    /// Takes an attribute of the entry, of whatever kind.
    pub(crate) fn take(
        &mut self,
        unit: UnitRef<'_, PagedReader>,
        attribute: &Attribute<PagedReader>,
    ) -> Result<()> {
        match attribute.name() {
            gimli::DW_AT_low_pc => self.low = unit.attr_address(attribute.value())?,
            gimli::DW_AT_high_pc => {
                self.high = match attribute.value() {
                    AttributeValue::Udata(bytes) => Some(High::Bytes(bytes)),
                    address => unit.attr_address(address)?.map(High::Address),
                };
            }
            gimli::DW_AT_ranges => self.ranges = unit.attr_ranges_offset(attribute.value())?,
            _ => {}
        }
        Ok(())
    }

    /// Calls `take` with each range that is not empty. Linkers leave the ranges of functions that they have dropped at
    /// address 0, where there never is code.
    pub(crate) fn for_each(&self, unit: UnitRef<'_, PagedReader>, mut take: impl FnMut(Range)) -> Result<()> {
        let mut take = |range: Range| {
            if range.begin != 0 && range.begin < range.end {
                take(range);
            }
        };
        if let Some(ranges) = self.ranges {
            let mut ranges = unit.ranges(ranges)?;
            while let Some(range) = ranges.next()? {
                take(range);
            }
        } else if let (Some(begin), Some(high)) = (self.low, self.high) {
            let end = match high {
                High::Address(end) => end,
                High::Bytes(bytes) => begin.wrapping_add(bytes),
            };
            take(Range { begin, end });
        }
        Ok(())
    }
}
