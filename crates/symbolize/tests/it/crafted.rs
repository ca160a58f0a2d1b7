//! Symbol tables as no compiler makes them, or seldom.

use crate::crafted_elf::{CODE, CODE_OFFSET, FUNC, GLOBAL, LOCAL, NOTYPE, OBJECT, Symbol, WEAK, Writer};
use proptest::prelude::*;
use std::fs::File;
use std::time::{Duration, Instant};
use telegen_model::{FileId, FileOffset};
use telegen_symbolize::{Budget, Failure, Source, Symbolizer};

fn symbol(name: &str, kind: u8, binding: u8, start: u64, size: u64) -> Symbol<'_> {
    Symbol { name, kind, binding, start, size }
}

/// The names at places of the code.
fn names(file: &File, places: &[u64]) -> Vec<String> {
    let id = FileId::Inode { device: 0, inode: 1, ctime_ns: 0, size: 0 };
    let offsets: Vec<FileOffset> = places.iter().map(|at| FileOffset(CODE_OFFSET + at)).collect();
    let source = Source { id: &id, file: Some(file), module: "m", split_files: None };
    let places = Symbolizer::new(Budget::default()).symbolize(source, &offsets);
    for (place, offset) in places.iter().zip(&offsets) {
        assert_eq!((place.address, place.frames.len()), (CODE + offset.0 - CODE_OFFSET, 1));
    }
    places.iter().map(|place| place.frames[0].name.to_string()).collect()
}

#[test]
fn files_of_both_classes_and_byte_orders_are_read() {
    let symbols = [symbol("one", FUNC, GLOBAL, 0, 16), symbol("two", FUNC, LOCAL, 16, 16)];
    for (is_64, is_big) in [(true, false), (true, true), (false, false), (false, true)] {
        let file = Writer::new(is_64, is_big).file(&symbols);
        assert_eq!(names(&file, &[0, 15, 16, 31, 32]), ["one", "one", "two", "two", "[m+0x1020]"]);
    }
}

#[test]
fn of_several_symbols_the_one_that_tells_most_is_chosen() {
    let file = Writer::new(true, false).file(&[
        symbol("__write", FUNC, GLOBAL, 0, 16),
        symbol("write", FUNC, WEAK, 0, 16),
        symbol("local_write", FUNC, LOCAL, 0, 16),
        symbol("__read", FUNC, GLOBAL, 16, 16),
        symbol("read", FUNC, GLOBAL, 16, 16),
        symbol("label", NOTYPE, GLOBAL, 36, 0),
        symbol("function", FUNC, LOCAL, 32, 16),
        symbol("data", OBJECT, GLOBAL, 48, 16),
        symbol("outer", FUNC, GLOBAL, 64, 64),
        symbol("nested", FUNC, LOCAL, 80, 16),
        symbol("unsized", NOTYPE, GLOBAL, 128, 0),
        symbol("next", NOTYPE, LOCAL, 144, 0),
    ]);
    let found = names(&file, &[0, 16, 40, 48, 70, 85, 100, 130, 143, 144, 200]);
    let expected = [
        "__write",
        "read",
        "function",
        "[m+0x1030]",
        "outer",
        "nested",
        "outer",
        "unsized",
        "unsized",
        "next",
        "next",
    ];
    assert_eq!(found, expected);
}

#[test]
fn symbols_that_all_cover_everything_do_not_take_for_ever() {
    let all: Vec<Symbol<'_>> = (0..200_000).map(|at| symbol("x", FUNC, GLOBAL, at % 100, 0x1000)).collect();
    let file = Writer::new(true, false).file(&all);
    let offsets: Vec<FileOffset> = (0..4_000).map(|at| FileOffset(CODE_OFFSET + at)).collect();
    let id = FileId::Inode { device: 0, inode: 1, ctime_ns: 0, size: 0 };
    let mut symbolizer = Symbolizer::new(Budget::default());
    let start = Instant::now();
    symbolizer.symbolize(Source { id: &id, file: Some(&file), module: "m", split_files: None }, &offsets);
    // All pairs would take minutes.
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    let counted: Vec<_> = symbolizer.failures().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [(Failure::SymbolsTooLarge, 1)]);
}

/// The innermost function with a size that contains a place, by looking at all of them.
fn naive(symbols: &[(u64, u64)], at: u64) -> Option<u64> {
    symbols.iter().filter(|(start, size)| (*start..start + size).contains(&at)).map(|(start, _)| *start).max()
}

proptest! {
    #[test]
    fn the_innermost_function_is_found_as_by_looking_at_all(
        symbols in prop::collection::btree_map(0u64..200, 1u64..60, 0..20),
        places in prop::collection::vec(0u64..300, 1..20),
    ) {
        let symbols: Vec<(u64, u64)> = symbols.into_iter().collect();
        let labels: Vec<String> = symbols.iter().map(|(start, _)| format!("f{start}")).collect();
        let table: Vec<Symbol<'_>> = symbols.iter().zip(&labels).rev()
            .map(|((start, size), name)| symbol(name, FUNC, LOCAL, *start, *size)).collect();
        let file = Writer::new(true, false).file(&table);
        for (at, name) in places.iter().zip(names(&file, &places)) {
            let expected = naive(&symbols, *at).map_or(format!("[m+{:#x}]", CODE_OFFSET + at), |start| format!("f{start}"));
            prop_assert_eq!(name, expected);
        }
    }
}
