//! Any bytes as debug information compressed with zstd, which says that it makes a megabyte.

const NAMES: &[u8] = b"\0.shstrtab\0.debug_info\0";
const SIZE: u64 = 1 << 20;

/// The file.
pub(crate) fn file(bytes: &[u8]) -> Vec<u8> {
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
