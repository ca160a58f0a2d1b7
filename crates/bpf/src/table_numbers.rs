//! The numbers that tables are known by on the kernel side.

use crate::abi::{MAX_TABLES, TABLE_AWAITED, TABLE_SLOT_BITS};

/// The number of a table. No other table has it, or will have it: the kernel side remembers what it has found in tables by their
/// numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TableNumber(u32);

/// The numbers of tables: where each stands, and how many have stood there.
#[derive(Debug, Default)]
pub(crate) struct TableNumbers {
    /// What the next table that stands where one has been removed is called.
    free: Vec<TableNumber>,
    /// The first place where none has stood.
    next: u32,
}

impl TableNumber {
    const FIRST: u32 = 1 << TABLE_SLOT_BITS;

    /// As it stands in a list of mappings.
    pub(crate) fn raw(self) -> u32 {
        self.0
    }

    /// Where it stands among the tables.
    pub(crate) fn slot(self) -> u32 {
        self.0 % MAX_TABLES
    }
}

impl TableNumbers {
    /// A number that no table has had; `None` if there are too many tables.
    pub(crate) fn take(&mut self) -> Option<TableNumber> {
        self.free.pop().or_else(|| {
            (self.next < MAX_TABLES).then(|| {
                self.next += 1;
                TableNumber(TableNumber::FIRST | (self.next - 1))
            })
        })
    }

    /// The number's table is gone. Where the last one has stood that can be told from the others there, none will stand.
    pub(crate) fn end(&mut self, TableNumber(number): TableNumber) {
        let next = number.checked_add(TableNumber::FIRST);
        // What means that there is no table is no number of one.
        self.free.extend(next.filter(|next| *next < TABLE_AWAITED).map(TableNumber));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_two_tables_have_one_number() {
        let mut numbers = TableNumbers::default();
        let first: Vec<_> = std::iter::from_fn(|| numbers.take()).collect();
        assert_eq!(first.len(), MAX_TABLES as usize);
        let slots: HashSet<_> = first.iter().map(|number| number.slot()).collect();
        assert_eq!(slots.len(), first.len());
        let mut had: HashSet<_> = first.iter().copied().collect();
        for nth in 0..5_000 {
            let gone = first[7 + nth % 2];
            let of_its_slot = had.iter().filter(|number| number.slot() == gone.slot()).max();
            numbers.end(*of_its_slot.expect("the one that was there"));
            let next = numbers.take().expect("one is free");
            assert_eq!(next.slot(), gone.slot());
            assert!(had.insert(next), "{next:?}");
        }
    }

    #[test]
    fn a_place_whose_numbers_are_used_up_stays_empty() {
        let mut numbers = TableNumbers { next: MAX_TABLES, ..TableNumbers::default() };
        let mut number = TableNumber(TableNumber::FIRST | (MAX_TABLES - 1));
        let mut count = 1u32;
        loop {
            assert!(number.0 < TABLE_AWAITED && number.slot() == MAX_TABLES - 1);
            numbers.end(number);
            let Some(next) = numbers.take() else { break };
            number = next;
            count += 1;
        }
        assert!(count > 1 << 18, "{count}");
    }
}
