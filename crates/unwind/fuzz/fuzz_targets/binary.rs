//! Any bytes as a binary: a table comes of it or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io::Cursor;
use telegen_unwind::Binary;

fuzz_target!(|data: &[u8]| {
    if let Ok(binary) = Binary::read(Cursor::new(data)) {
        let _ = binary.layout.position(0x1000);
    }
});
