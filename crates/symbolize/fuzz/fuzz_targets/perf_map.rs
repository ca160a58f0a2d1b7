//! Any text as a perf map, in two pieces: it does not matter where it was cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use telegen_symbolize::PerfMapParser;

fuzz_target!(|data: (Vec<u64>, &[u8], &[u8])| {
    let (mut addresses, first, second) = data;
    addresses.sort_unstable();
    let mut whole = PerfMapParser::new(&addresses);
    let mut cut = PerfMapParser::new(&addresses);
    whole.push(&[first, second].concat());
    if cut.push(first) {
        cut.push(second);
    }
    let (whole, cut) = (whole.finish(), cut.finish());
    assert_eq!(whole.names.len(), addresses.len());
    if !whole.too_costly {
        assert_eq!(whole, cut);
    }
});
