//! Debug information compressed with zstd: the bytes are the section, which says that it makes a megabyte.

#![no_main]

#[path = "../inputs/zstd.rs"]
mod input;

use libfuzzer_sys::fuzz_target;
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::Write;
use telegen_model::{FileId, FileOffset};
use telegen_symbolize::{Budget, Source, Symbolizer};

fuzz_target!(|bytes: &[u8]| {
    let mut in_memory = File::from(memfd_create("fuzz", MemfdFlags::CLOEXEC).expect("a file in memory"));
    in_memory.write_all(&input::file(bytes)).expect("room for it");
    let id = FileId::Inode { device: 0, inode: 0, ctime_ns: 0, size: 0 };
    let source = Source { id: &id, file: Some(&in_memory), module: "fuzz", split_files: None };
    let budget = Budget { effort: 2_000_000, ..Budget::default() };
    let mut symbolizer = Symbolizer::new(budget);
    let places = symbolizer.symbolize(source, &[FileOffset(16)]);
    assert!(places.iter().all(|place| !place.frames[0].name.is_empty()));
    assert!(symbolizer.figures().debug_info_bytes <= budget.debug_info_bytes);
});
