//! Any rows, against a naive search among them.

use crate::kernel_side::{self, Remembering};
use proptest::prelude::*;
use std::collections::BTreeMap;
use telegen_unwind::{BLOCK_BYTES, RuleId, Table};

/// Rows as functions leave them: mostly a few bytes apart, now and then far, so that pages are full, sparse and empty.
fn rows() -> impl Strategy<Value = BTreeMap<u64, RuleId>> {
    let step = prop_oneof![8 => 1u64..24, 1 => 1u64..5_000, 1 => 1u64..300_000];
    let rule = prop_oneof![1 => Just(0u16), 4 => 1u16..9, 1 => any::<u16>()];
    (0u64..1 << 40, proptest::collection::vec((step, rule), 1..3_000)).prop_map(|(start, steps)| {
        let mut address = start;
        steps
            .into_iter()
            .map(|(step, rule)| {
                address += step;
                (address, RuleId(rule))
            })
            .collect()
    })
}

fn naive(rows: &BTreeMap<u64, RuleId>, address: u64) -> RuleId {
    rows.range(..=address).next_back().map_or(RuleId::UNKNOWN, |(_, rule)| *rule)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_row_is_found_up_to_the_next(rows in rows()) {
        let end = *rows.keys().next_back().expect("at least one");
        let table = Table::of_rows(rows.clone().into_iter().chain([(end + 10, RuleId::UNKNOWN)])).expect("within limits");
        for &address in rows.keys() {
            for address in [address.wrapping_sub(1), address, address + 1, address | 0xffff, (address | 0xffff) + 1] {
                let expected = if address >= end + 10 { RuleId::UNKNOWN } else { naive(&rows, address) };
                prop_assert_eq!(table.find(address), expected, "{:#x}", address);
                prop_assert_eq!(kernel_side::find(&table, address), expected, "{:#x}", address);
            }
        }
    }
}

/// Blocks whose words are mostly small, so that they often lead somewhere.
fn any_blocks() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![4 => 0u32..6, 1 => 0u32..0x1_0000, 1 => any::<u32>()];
    proptest::collection::vec(proptest::collection::vec(word, BLOCK_BYTES / 4), 0..5)
        .prop_map(|blocks| blocks.into_iter().flatten().flat_map(u32::to_ne_bytes).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The C is compiled so that an index beyond a block ends the test.
    #[test]
    fn whatever_a_table_holds_a_search_in_it_ends(
        bytes in any_blocks(),
        positions in proptest::collection::vec(any::<u32>(), 1..50),
    ) {
        for position in positions.iter().flat_map(|&position| [position, position & 0xf_ffff]) {
            let (rule, asked_for) = kernel_side::find_in(&bytes, position);
            prop_assert!(rule <= u32::from(u16::MAX));
            // Three words of the index, eight steps among the page's blocks, and the block itself.
            prop_assert!(asked_for <= 3 + 8 + 1, "{} blocks were looked at", asked_for);
        }
    }
}

#[test]
fn a_page_full_of_rows_takes_all_its_blocks() {
    let rows = (0..0x2_0000u64).map(|address| (0x7000_0000 + address, RuleId(1 + (address % 60_000) as u16)));
    let table = Table::of_rows(rows).expect("within limits");
    assert_eq!(table.rows(), 0x2_0000);
    assert_eq!(table.blocks(), 1 + 512);
    for address in [0u64, 1, 0xfffe, 0xffff, 0x1_0000, 0x1_ffff] {
        let rule = RuleId(1 + (address % 60_000) as u16);
        assert_eq!(table.find(0x7000_0000 + address), rule);
        assert_eq!(kernel_side::find(&table, 0x7000_0000 + address), rule);
    }
}

#[test]
fn a_table_without_rows_has_no_blocks() {
    let table = Table::of_rows([]).expect("nothing is within limits");
    assert_eq!((table.blocks(), table.rows()), (0, 0));
    assert_eq!(table.find(0), RuleId::UNKNOWN);
    assert_eq!(kernel_side::find(&table, 0), RuleId::UNKNOWN);
}

#[test]
fn a_span_beyond_four_gibibytes_is_refused() {
    let error = Table::of_rows([(0, RuleId(2)), (1 << 33, RuleId(3))]).expect_err("it is too large");
    assert!(error.to_string().contains("pages of code"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// More places than a CPU remembers, each asked for again and again, in two tables of the same positions.
    #[test]
    fn what_is_remembered_is_what_would_be_found(
        rows in [rows(), rows()],
        asked in proptest::collection::vec((0u32..2, any::<proptest::sample::Index>(), 0u32..4), 5_000),
    ) {
        let tables = rows.clone().map(|rows| Table::of_rows(rows).expect("within limits"));
        let mut cpu = Remembering::new(tables.iter().map(Table::bytes).collect());
        prop_assert_eq!(cpu.find(2, 0), None, "there is no such table");
        for (number, row, behind) in asked {
            let table = &tables[number as usize];
            let addresses = &rows[number as usize];
            let address = *addresses.keys().nth(row.index(addresses.len())).expect("a row");
            let position = (address - table.base()) as u32 + behind;
            let expected = kernel_side::find_in(table.bytes(), position).0;
            prop_assert_eq!(cpu.find(number, position), Some(expected));
            prop_assert_eq!(cpu.find(number, position), Some(expected), "the second time");
        }
        // A table that has gone is still remembered: its number is not used again.
        let found = cpu.find(1, 0);
        cpu.tables.truncate(1);
        prop_assert_eq!(cpu.find(1, 0), found);
        prop_assert_eq!(cpu.find(1, u32::MAX), None);
    }
}

#[test]
fn nothing_is_remembered_at_first() {
    let table = Table::of_rows([(0x1_0000, RuleId(5)), (0x1_0100, RuleId::UNKNOWN)]).expect("within limits");
    let first = (0x1_0000 - table.base()) as u32;
    assert_eq!(first, 0, "the place that is the first of all");
    assert_eq!(Remembering::new(vec![table.bytes()]).find(0, first), Some(5));
}
