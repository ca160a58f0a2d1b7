//! Any text as a perf map, in two pieces: it does not matter where it was cut.

#![no_main]

use libfuzzer_sys::fuzz_target;
use telegen_symbolize::PerfMapParser;

fuzz_target!(|text: &[u8]| {
    let addresses: Vec<u64> = (0..64).rev().map(|shift| u64::MAX >> shift).collect();
    let mut whole = PerfMapParser::new(&addresses);
    let mut cut = PerfMapParser::new(&addresses);
    whole.push(text);
    // As the length varies, this is everywhere.
    let (before, after) = text.split_at(text.len() / 2);
    if cut.push(before) {
        cut.push(after);
    }
    let (whole, cut) = (whole.finish(), cut.finish());
    assert_eq!(whole.names.len(), addresses.len());
    if !whole.too_costly {
        assert_eq!(whole, cut);
    }
});
