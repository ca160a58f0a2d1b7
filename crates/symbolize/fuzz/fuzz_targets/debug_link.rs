//! What a binary says of where its debug files are: whatever the bytes are, no name leads anywhere but where it says.

#![no_main]

use libfuzzer_sys::fuzz_target;
use telegen_symbolize::{AltLink, DebugLink};

fuzz_target!(|section: &[u8]| {
    for is_big_endian in [false, true] {
        if let Some(link) = DebugLink::parse(section, is_big_endian) {
            assert!(!link.name.contains('/') && ![".", "..", ""].contains(&&*link.name));
        }
    }
    if let Some(link) = AltLink::parse(section) {
        assert!(link.path.file_name().is_some());
    }
});
