//! A mapped file: headers, notes, symbol tables, debug information and the names in them. Whatever the bytes are, every
//! address gets a name.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::Write;
use telegen_model::{FileId, FileOffset};
use telegen_symbolize::{Budget, Source, Symbolizer, build_id};

fuzz_target!(|bytes: &[u8]| {
    let mut file = File::from(memfd_create("fuzz", MemfdFlags::CLOEXEC).expect("a file in memory"));
    file.write_all(bytes).expect("room for it");
    let _ = build_id::read(&file);
    let id = FileId::Inode { device: 0, inode: 0, ctime_ns: 0, size: 0 };
    let offsets: Vec<FileOffset> = (0..32).map(|n| FileOffset(n * 131)).collect();
    let source = Source { id: &id, file: Some(&file), module: "fuzz", split_files: None };
    let places = Symbolizer::new(Budget::default()).symbolize(source, &offsets);
    assert!(places.len() == offsets.len() && places.iter().all(|place| !place.frames.is_empty()));
});
