//! Which unit describes an address.

use super::Effort;
use super::reader::PagedReader;
use super::unit::{Covered, OpenUnit};
use crate::Error;
use gimli::{Dwarf, Range, UnitType};

/// Units of one file; more and the file is given up.
const MAX_UNITS: usize = 1 << 18;
/// Ranges of one unit that are held before those that touch are joined.
const MAX_RAW_RANGES: usize = 1 << 16;
/// Ranges of all units of one file, when those that touch are joined; more and the file is given up.
const MAX_RANGES: usize = 1 << 17;
/// Bytes of padding between two functions of a unit that are counted as belonging to it.
const MAX_PADDING: u64 = 64;
/// Ranges that are gone through, and units that are tried, for one address.
const MAX_STEPS: usize = 64;
const MAX_TRIED: usize = 8;

/// The units of a file, and the addresses that they cover.
#[derive(Debug)]
pub(crate) struct UnitIndex {
    /// Where in `.debug_info` each unit begins, ascending.
    units: Box<[u64]>,
    /// By where they begin.
    ranges: Box<[UnitRange]>,
    /// Whether some of the units could not be read.
    pub(crate) has_gaps: bool,
}

#[derive(Clone, Copy, Debug)]
struct UnitRange {
    begin: u64,
    end: u64,
    /// The furthest end of this range and all before it.
    furthest: u64,
    unit: u32,
}

impl UnitIndex {
    /// Goes through the root entries of all units.
    pub(crate) fn read(dwarf: &Dwarf<PagedReader>, effort: &Effort) -> Result<Self, Error> {
        let mut building = Building::default();
        let mut headers = dwarf.units();
        loop {
            let header = match headers.next() {
                Ok(Some(header)) => header,
                Ok(None) => break,
                Err(_) if effort.is_spent() => return Err(Error::TooCostly),
                // Where the next unit begins is not known.
                Err(_) => {
                    building.has_gaps = true;
                    break;
                }
            };
            let Some(offset) = header.debug_info_offset() else { continue };
            if building.units.len() >= MAX_UNITS {
                return Err(Error::TooLarge("units of debug information"));
            }
            let has_code = !matches!(
                header.type_(),
                UnitType::Type { .. } | UnitType::SplitType { .. } | UnitType::Partial
            );
            building.units.push(offset.0);
            if has_code && let Err(error) = building.take_ranges(dwarf, header, effort) {
                match error {
                    Error::Dwarf(_) if effort.is_spent() => return Err(Error::TooCostly),
                    Error::Dwarf(_) => building.has_gaps = true,
                    other => return Err(other),
                }
            }
        }
        Ok(building.finish())
    }

    /// Where the units begin that may describe an address.
    pub(crate) fn find(&self, address: u64) -> impl Iterator<Item = u64> + '_ {
        let behind = self.ranges.partition_point(|range| range.begin <= address);
        self.ranges[..behind]
            .iter()
            .rev()
            .take_while(move |range| range.furthest > address)
            .take(MAX_STEPS)
            .filter(move |range| range.end > address)
            .take(MAX_TRIED)
            .map(|range| self.units[range.unit as usize])
    }

    /// Where the unit begins that an offset of `.debug_info` lies in.
    pub(crate) fn unit_of(&self, offset: u64) -> Option<u64> {
        let behind = self.units.partition_point(|&unit| unit <= offset);
        behind.checked_sub(1).map(|at| self.units[at])
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        size_of_val(&*self.units) + size_of_val(&*self.ranges)
    }
}

#[derive(Default)]
struct Building {
    units: Vec<u64>,
    ranges: Vec<UnitRange>,
    has_gaps: bool,
}

impl Building {
    /// The ranges of the unit that was added last.
    fn take_ranges(
        &mut self,
        dwarf: &Dwarf<PagedReader>,
        header: gimli::UnitHeader<PagedReader>,
        effort: &Effort,
    ) -> Result<(), Error> {
        let (unit, attributes) = OpenUnit::open(dwarf, header, effort)?;
        let unit = unit.within(dwarf);
        let mut covered = Covered::default();
        for attribute in &attributes {
            covered.take(unit, attribute)?;
        }
        let (mut ranges, mut too_many) = (Vec::new(), false);
        covered.for_each(unit, |range| {
            if ranges.len() >= MAX_RAW_RANGES {
                join(&mut ranges);
                too_many |= ranges.len() > MAX_RAW_RANGES / 2;
            }
            if !too_many {
                ranges.push(range);
            }
        })?;
        join(&mut ranges);
        if too_many || self.ranges.len() + ranges.len() > MAX_RANGES {
            return Err(Error::TooLarge("ranges of debug information"));
        }
        let number = u32::try_from(self.units.len() - 1).unwrap_or(u32::MAX);
        let range =
            |range: Range| UnitRange { begin: range.begin, end: range.end, furthest: 0, unit: number };
        self.ranges.extend(ranges.into_iter().map(range));
        Ok(())
    }

    fn finish(mut self) -> UnitIndex {
        self.ranges.sort_unstable_by_key(|range| (range.begin, range.end, range.unit));
        let mut furthest = 0;
        for range in &mut self.ranges {
            furthest = furthest.max(range.end);
            range.furthest = furthest;
        }
        UnitIndex { units: self.units.into(), ranges: self.ranges.into(), has_gaps: self.has_gaps }
    }
}

/// Sorts ranges and makes one of those that touch.
fn join(ranges: &mut Vec<Range>) {
    ranges.sort_unstable_by_key(|range| (range.begin, range.end));
    ranges.dedup_by(|next, held| {
        let touches = next.begin <= held.end.saturating_add(MAX_PADDING);
        if touches {
            held.end = held.end.max(next.end);
        }
        touches
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(ranges: &[(u64, u64, u32)]) -> UnitIndex {
        let range = |&(begin, end, unit)| UnitRange { begin, end, furthest: 0, unit };
        let units = (0..10).map(|unit| unit * 100).collect();
        Building { units, ranges: ranges.iter().map(range).collect(), has_gaps: false }.finish()
    }

    #[test]
    fn all_units_that_cover_an_address_are_found_the_closest_first() {
        let index = index(&[(10, 100, 0), (20, 30, 1), (40, 50, 2), (200, 210, 3)]);
        let found = |address| index.find(address).collect::<Vec<_>>();
        assert_eq!(found(25), [100, 0]);
        assert_eq!(found(30), [0], "the end does not belong to it");
        assert_eq!(found(45), [200, 0]);
        assert_eq!(found(200), [300]);
        assert!(found(9).is_empty() && found(100).is_empty() && found(1_000).is_empty());
    }

    #[test]
    fn an_offset_is_in_the_unit_before_it() {
        let index = index(&[]);
        assert_eq!(index.unit_of(0), Some(0));
        assert_eq!(index.unit_of(199), Some(100));
        assert_eq!(index.unit_of(u64::MAX), Some(900));
    }

    #[test]
    fn ranges_that_touch_are_one() {
        let mut ranges: Vec<Range> =
            [(500, 510), (100, 110), (112, 120), (90, 130)].map(|(begin, end)| Range { begin, end }).into();
        join(&mut ranges);
        assert_eq!(ranges, [Range { begin: 90, end: 130 }, Range { begin: 500, end: 510 }]);
    }
}
