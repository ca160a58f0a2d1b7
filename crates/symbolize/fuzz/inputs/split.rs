//! Any bytes as the sections of a `.dwo` file or, if the first one is odd, of a package. The binary is in order, and its one unit is
//! the skeleton of one with the id 0.

const SPLIT: [&str; 6] = [
    ".debug_abbrev.dwo",
    ".debug_info.dwo",
    ".debug_rnglists.dwo",
    ".debug_str.dwo",
    ".debug_str_offsets.dwo",
    ".debug_cu_index",
];
const CODE_BYTES: u64 = 0x1000;
/// A skeleton unit with a name, `x` in no directory, and the addresses from 0x1000 on.
const ABBREVIATIONS: &[u8] = b"\x01\x4a\0\x76\x08\x11\x01\x12\x06\0\0\0";
const UNIT: &[u8] = b"\x1f\0\0\0\x05\0\x04\x08\0\0\0\0\0\0\0\0\0\0\0\0\x01x\0\0\x10\0\0\0\0\0\0\0\x10\0\0";

fn file(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let mut names = b"\0.shstrtab\0".to_vec();
    let mut data = Vec::new();
    let mut table = Vec::new();
    for (name, bytes) in sections {
        table.push((names.len(), data.len(), bytes.len()));
        names.extend(name.as_bytes());
        names.push(0);
        data.extend(*bytes);
    }
    let names_at = 64 + 56;
    let data_at = names_at + names.len();
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0".to_vec();
    let words = |words: &[u64]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    file.extend(words(&[0, 64, (data_at + data.len()) as u64]));
    file.extend([0; 4]);
    for half in [64u16, 56, 1, 64, sections.len() as u16 + 1, 0] {
        file.extend(half.to_le_bytes());
    }
    file.extend(words(&[1 | 5 << 32, 0, 0x1000, 0x1000, CODE_BYTES, CODE_BYTES, 0x1000]));
    file.extend(&names);
    file.extend(&data);
    let mut section = |name: usize, kind: u32, offset: usize, bytes: usize| {
        file.extend((name as u32).to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend(words(&[0, 0, offset as u64, bytes as u64, 0, 1, 0]));
    };
    section(1, 3, names_at, names.len());
    for (name, offset, bytes) in table {
        section(name, 1, data_at + offset, bytes);
    }
    file
}

/// What is split off, whether it is a package, and the binary.
pub(crate) fn files(bytes: &[u8]) -> (Vec<u8>, bool, Vec<u8>) {
    // All sections end with the last byte, and begin where the first ones say.
    let (starts, data) = bytes.split_at((SPLIT.len() + 1).min(bytes.len()));
    let start = |at: usize| starts.get(at).map_or(0, |&start| usize::from(start)).min(data.len());
    let sections: Vec<(&str, &[u8])> =
        SPLIT.iter().enumerate().map(|(at, name)| (*name, &data[start(at + 1)..])).collect();
    let is_package = starts.first().is_some_and(|first| first % 2 == 1);
    (file(&sections), is_package, file(&[(".debug_abbrev", ABBREVIATIONS), (".debug_info", UNIT)]))
}
