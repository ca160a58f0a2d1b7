//! Debug information: the bytes are its sections, in an ELF file that is otherwise in order. Every address gets a name,
//! in bounded time.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::Write;
use telegen_model::{FileId, FileOffset};
use telegen_symbolize::{Budget, Source, Symbolizer};

const SECTIONS: [&str; 9] = [
    ".debug_abbrev",
    ".debug_info",
    ".debug_line",
    ".debug_line_str",
    ".debug_ranges",
    ".debug_rnglists",
    ".debug_str",
    ".debug_str_offsets",
    ".debug_addr",
];
const HEADER_BYTES: usize = 64;
const SEGMENT_BYTES: usize = 56;
const CODE_BYTES: u64 = 0x1000;

/// All sections hold all bytes but for the first ones, which say where each begins: so few bytes are a whole program.
fn file(bytes: &[u8]) -> Vec<u8> {
    let (starts, data) = bytes.split_at(SECTIONS.len().min(bytes.len()));
    let mut names = b"\0.shstrtab\0".to_vec();
    let name_offsets: Vec<usize> = SECTIONS
        .iter()
        .map(|name| {
            let at = names.len();
            names.extend(name.as_bytes());
            names.push(0);
            at
        })
        .collect();
    let data_at = HEADER_BYTES + SEGMENT_BYTES + names.len();
    let table_at = data_at + data.len();
    let mut file = Vec::new();
    let mut put = |value: u64, bytes: usize| file.extend(&value.to_le_bytes()[..bytes]);
    put(u64::from_le_bytes(*b"\x7fELF\x02\x01\x01\0"), 8);
    put(0, 8);
    for (value, bytes) in
        [(3, 2), (62, 2), (1, 4), (0, 8), (HEADER_BYTES as u64, 8), (table_at as u64, 8), (0, 4)]
    {
        put(value, bytes);
    }
    for value in [64, 56, 1, 64, SECTIONS.len() as u64 + 1, 0] {
        put(value, 2);
    }
    // Read and execute.
    put(1 | 5 << 32, 8);
    for value in [0, 0, 0, CODE_BYTES, CODE_BYTES, 0x1000] {
        put(value, 8);
    }
    file.extend(&names);
    file.extend(data);
    let mut section = |name: usize, kind: u32, offset: usize, bytes: usize| {
        file.extend((name as u32).to_le_bytes());
        file.extend(kind.to_le_bytes());
        for value in [0, 0, offset as u64, bytes as u64, 0, 1, 0] {
            file.extend(u64::to_le_bytes(value));
        }
    };
    section(1, 3, HEADER_BYTES + SEGMENT_BYTES, names.len());
    for (at, name) in name_offsets.into_iter().enumerate() {
        let start = starts.get(at).map_or(0, |&start| usize::from(start)).min(data.len());
        section(name, 1, data_at + start, data.len() - start);
    }
    file
}

fuzz_target!(|bytes: &[u8]| {
    let mut in_memory = File::from(memfd_create("fuzz", MemfdFlags::CLOEXEC).expect("a file in memory"));
    in_memory.write_all(&file(bytes)).expect("room for it");
    let id = FileId::Inode { device: 0, inode: 0, ctime_ns: 0, size: 0 };
    let offsets: Vec<FileOffset> = (0..64).map(|n| FileOffset(n * 61)).collect();
    let source = Source { id: &id, file: Some(&in_memory), module: "fuzz", split_files: None };
    let budget = Budget { effort: 2_000_000, ..Budget::default() };
    let mut symbolizer = Symbolizer::new(budget);
    let places = symbolizer.symbolize(source, &offsets);
    assert!(places.len() == offsets.len() && places.iter().all(|place| !place.frames[0].name.is_empty()));
    assert!(symbolizer.figures().debug_info_bytes <= budget.debug_info_bytes);
});
