//! The build id of a mapped file, and its segments: whatever the bytes are, nothing but an answer or an error.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::Write;
use telegen_model::BuildId;
use telegen_symbolize::{build_id, executable_segments};

fuzz_target!(|bytes: &[u8]| {
    let mut file = File::from(memfd_create("fuzz", MemfdFlags::CLOEXEC).expect("a file in memory"));
    file.write_all(bytes).expect("room for it");
    if let Ok(Some(id)) = build_id::read(&file) {
        assert!((1..=BuildId::MAX_BYTES).contains(&id.as_bytes().len()));
    }
    if let Ok(segments) = executable_segments(&file) {
        assert!(segments.iter().all(|segment| segment.executable));
    }
});
