//! `/proc/kallsyms`: no text makes the reader panic, and what it finds lies before the address asked for.

#![no_main]

use libfuzzer_sys::fuzz_target;
use telegen_symbolize::KernelSymbols;

fuzz_target!(|bytes: &[u8]| {
    let symbols = KernelSymbols::read(bytes).expect("bytes in memory can be read");
    for shift in 0..64 {
        let address = u64::MAX >> shift;
        if let Some(symbol) = symbols.lookup(address) {
            assert!(symbol.offset <= address);
        }
    }
});
