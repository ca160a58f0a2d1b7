//! Which address belongs to which mapping.

use crate::Mapping;
use std::ops::Range;
use telegen_model::FileOffset;

/// The executable mappings of one program image, by address.
#[derive(Clone, Debug, Default)]
pub struct Mappings {
    sorted: Vec<Mapping>,
    epoch: u32,
}

/// What an update has changed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Delta {
    /// Mappings that were not there before.
    pub added: Vec<Mapping>,
    /// Mappings that are not there any more.
    pub removed: Vec<Mapping>,
}

impl Mappings {
    /// The mapping that an address lies in, and where in its file that is.
    pub fn lookup(&self, address: u64) -> Option<(&Mapping, FileOffset)> {
        let after = self.sorted.partition_point(|mapping| mapping.start <= address);
        let mapping = &self.sorted[after.checked_sub(1)?];
        (address < mapping.end)
            .then(|| (mapping, FileOffset(mapping.offset.wrapping_add(address - mapping.start))))
    }

    /// Takes over what is mapped now. The epoch rises if an address may mean something else than before: when a
    /// mapping has gone, but not when some have only been added.
    pub fn update(&mut self, mut now: Vec<Mapping>) -> Delta {
        now.sort_unstable_by_key(|mapping| mapping.start);
        let delta = self.compare(&now);
        self.set(now, &delta);
        delta
    }

    /// What would change if this, ascending, were what is mapped now.
    pub fn compare(&self, now: &[Mapping]) -> Delta {
        Delta { added: missing(now, &self.sorted), removed: missing(&self.sorted, now) }
    }

    /// Takes over what is mapped now, ascending, and what comparing it has brought.
    pub fn set(&mut self, now: Vec<Mapping>, delta: &Delta) {
        debug_assert!(now.is_sorted_by_key(|mapping| mapping.start));
        if !delta.removed.is_empty() {
            self.epoch = self.epoch.wrapping_add(1);
        }
        self.sorted = now;
    }

    /// A number that is another one whenever an address may mean something else.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Whether nothing is mapped at any of these addresses.
    pub fn is_free(&self, addresses: &Range<u64>) -> bool {
        is_free(&self.sorted, addresses)
    }

    /// All mappings, ascending.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Mapping> {
        self.sorted.iter()
    }
}

/// Whether none of these mappings, ascending, has any of these addresses.
pub fn is_free(sorted: &[Mapping], addresses: &Range<u64>) -> bool {
    let at = sorted.partition_point(|mapping| mapping.end <= addresses.start);
    sorted.get(at).is_none_or(|mapping| mapping.start >= addresses.end)
}

/// What is in `these` but not in `those`; both ascending.
fn missing(these: &[Mapping], those: &[Mapping]) -> Vec<Mapping> {
    let found = |mapping: &Mapping| {
        those.binary_search_by_key(&mapping.start, |other| other.start).is_ok_and(|at| those[at] == *mapping)
    };
    these.iter().filter(|mapping| !found(mapping)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Backing;

    fn mapping(start: u64, end: u64) -> Mapping {
        Mapping { start, end, offset: 0x100, backing: Backing::Anonymous }
    }

    #[test]
    fn an_address_is_found_within_its_mapping_only() {
        let mut mappings = Mappings::default();
        mappings.update(vec![mapping(30, 40), mapping(10, 20)]);
        let offset = |address| mappings.lookup(address).map(|(_, offset)| offset.0);
        assert_eq!(offset(9), None);
        assert_eq!(offset(10), Some(0x100));
        assert_eq!(offset(19), Some(0x109));
        assert_eq!(offset(20), None);
        assert_eq!(offset(35), Some(0x105));
        assert_eq!(offset(40), None);
    }

    #[test]
    fn an_update_tells_what_came_and_went() {
        let mut mappings = Mappings::default();
        assert_eq!(mappings.update(vec![mapping(10, 20)]).added.len(), 1);
        assert_eq!(mappings.update(vec![mapping(10, 20)]), Delta::default());
        let delta = mappings.update(vec![mapping(10, 25), mapping(30, 40)]);
        assert_eq!((delta.added.len(), delta.removed.len()), (2, 1));
    }

    #[test]
    fn the_epoch_rises_when_an_address_may_mean_something_else() {
        let mut mappings = Mappings::default();
        mappings.update(vec![mapping(10, 20)]);
        let before = mappings.epoch();
        mappings.update(vec![mapping(10, 20), mapping(30, 40)]);
        assert_eq!(mappings.epoch(), before);
        mappings.update(vec![mapping(30, 40)]);
        assert_ne!(mappings.epoch(), before);
    }

    #[test]
    fn addresses_are_free_where_no_mapping_has_any_of_them() {
        let mut mappings = Mappings::default();
        assert!(mappings.is_free(&(0..u64::MAX)));
        mappings.update(vec![mapping(10, 20), mapping(20, 25), mapping(30, 40)]);
        for start in 0..50 {
            for end in start + 1..50 {
                let naive = (start..end).all(|address| mappings.lookup(address).is_none());
                assert_eq!(mappings.is_free(&(start..end)), naive, "{start}..{end}");
            }
        }
    }
}
