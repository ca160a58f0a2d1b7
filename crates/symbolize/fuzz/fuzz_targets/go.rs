//! Go's table of functions: the first bytes say where its parts are, the rest is what is in them. Header and `moduledata`
//! are in order, so that few bytes are a whole table. Every address gets a name, in bounded time.

#![no_main]

#[path = "../inputs/go.rs"]
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
    let offsets: Vec<FileOffset> = (0..64).map(|n| FileOffset(n * 3)).collect();
    let source = Source { id: &id, file: Some(&in_memory), module: "fuzz", split_files: None };
    let budget = Budget { effort: 2_000_000, ..Budget::default() };
    let places = Symbolizer::new(budget).symbolize(source, &offsets);
    assert!(places.len() == offsets.len() && places.iter().all(|place| !place.frames[0].name.is_empty()));
});
