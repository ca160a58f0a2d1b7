//! Split debug information: the bytes are the sections of a `.dwo` file or, if the first one is odd, of a package. The
//! binary is in order, and its one unit is the skeleton of one with the id 0. Every address gets a name, in bounded time.

#![no_main]

#[path = "../inputs/split.rs"]
mod input;

use libfuzzer_sys::fuzz_target;
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use telegen_model::{FileId, FileOffset};
use telegen_symbolize::{Budget, Source, SplitFiles, Symbolizer};

#[derive(Debug)]
struct Given {
    file: File,
    is_package: bool,
}

impl SplitFiles for Given {
    fn package(&self) -> Option<File> {
        self.is_package.then(|| self.file.try_clone().expect("another descriptor"))
    }

    fn object(&self, _path: &Path) -> Option<File> {
        Some(self.file.try_clone().expect("another descriptor"))
    }
}

fn in_memory(bytes: &[u8]) -> File {
    let mut in_memory = File::from(memfd_create("fuzz", MemfdFlags::CLOEXEC).expect("a file in memory"));
    in_memory.write_all(bytes).expect("room for it");
    in_memory
}

fuzz_target!(|bytes: &[u8]| {
    let (split, is_package, binary) = input::files(bytes);
    let [file, binary] = [split, binary].map(|file| in_memory(&file));
    let given = Given { file, is_package };
    let id = FileId::Inode { device: 0, inode: 0, ctime_ns: 0, size: 0 };
    let offsets: Vec<FileOffset> = (0..64).map(|n| FileOffset(n * 61)).collect();
    let source = Source { id: &id, file: Some(&binary), module: "fuzz", split_files: Some(&given) };
    let budget = Budget { effort: 2_000_000, ..Budget::default() };
    let mut symbolizer = Symbolizer::new(budget);
    let places = symbolizer.symbolize(source, &offsets);
    assert!(places.len() == offsets.len() && places.iter().all(|place| !place.frames[0].name.is_empty()));
    assert!(symbolizer.figures().debug_info_bytes <= budget.debug_info_bytes);
});
