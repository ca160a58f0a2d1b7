//! The names in symbol tables: whatever they are, what is shown is not long, and does not take long.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|name: &str| {
    assert!(telegen_symbolize::demangle(name).len() < 2100);
});
