//! Debug information compressed with zstd: the bytes are the section, which says that it makes a megabyte.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::Write;
use telegen_model::{FileId, FileOffset};
use telegen_symbolize::{Budget, Source, Symbolizer};

const NAMES: &[u8] = b"\0.shstrtab\0.debug_info\0";
const SIZE: u64 = 1 << 20;

fn file(bytes: &[u8]) -> Vec<u8> {
    let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0".to_vec();
    let names_at = 64 + 56;
    let data_at = names_at + NAMES.len() as u64;
    let data_bytes = 24 + bytes.len() as u64;
    file.extend(words(&[0, 64, data_at + data_bytes]));
    file.extend([0; 4]);
    for half in [64u16, 56, 1, 64, 2, 0] {
        file.extend(half.to_le_bytes());
    }
    file.extend(words(&[1 | 5 << 32, 0, 0x1000, 0x1000, 0x1000, 0x1000, 0x1000]));
    file.extend(NAMES);
    // ELFCOMPRESS_ZSTD.
    file.extend(words(&[2, SIZE, 1]));
    file.extend(bytes);
    let mut section = |name: u32, kind: u32, flags: u64, offset: u64, bytes: u64| {
        file.extend(name.to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend(words(&[flags, 0, offset, bytes, 0, 1, 0]));
    };
    section(1, 3, 0, names_at, NAMES.len() as u64);
    section(11, 1, 0x800, data_at, data_bytes);
    file
}

fuzz_target!(|bytes: &[u8]| {
    let mut in_memory = File::from(memfd_create("fuzz", MemfdFlags::CLOEXEC).expect("a file in memory"));
    in_memory.write_all(&file(bytes)).expect("room for it");
    let id = FileId::Inode { device: 0, inode: 0, ctime_ns: 0, size: 0 };
    let source = Source { id: &id, file: Some(&in_memory), module: "fuzz", split_files: None };
    let budget = Budget { effort: 2_000_000, ..Budget::default() };
    let mut symbolizer = Symbolizer::new(budget);
    let places = symbolizer.symbolize(source, &[FileOffset(16)]);
    assert!(places.iter().all(|place| !place.frames[0].name.is_empty()));
    assert!(symbolizer.figures().debug_info_bytes <= budget.debug_info_bytes);
});
