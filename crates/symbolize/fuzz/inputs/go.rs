//! Go's table of functions around any bytes: the first say where its parts are, the rest is what is in them. Header and `moduledata`
//! are in order, so that few bytes are a whole table.

const CODE: u64 = 0x10_0000;
const CODE_BYTES: u64 = 0x1000;
const DATA: u64 = 0x20_0000;
const DATA_OFFSET: u64 = 64 + 2 * 56;
const NAMES: &[u8] = b"\0.shstrtab\0.gopclntab\0";
const MAGIC: [u32; 3] = [0xffff_fffa, 0xffff_fff0, 0xffff_fff1];
/// Where in `moduledata` the address of the inlined calls is, by version.
const INLINE_TREES: [usize; 3] = [38, 38, 40];

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// The table, and behind it `moduledata`.
fn table(bytes: &[u8]) -> (Vec<u8>, usize) {
    let (settings, data) = bytes.split_at(8.min(bytes.len()));
    let setting = |at: usize| settings.get(at).copied().unwrap_or_default();
    let version = usize::from(setting(0)) % 3;
    let header_bytes = if version == 0 { 64 } else { 72 };
    let mut parts: Vec<u64> =
        (1..6).map(|at| header_bytes + u64::from(setting(at)).min(data.len() as u64)).collect();
    parts.sort_unstable();
    let mut table = MAGIC[version].to_le_bytes().to_vec();
    table.extend([0, 0, 1, 8]);
    table.extend(words(&[setting(6).into(), 1]));
    if version > 0 {
        table.extend(words(&[CODE * u64::from(setting(7) & 1)]));
    }
    table.extend(words(&parts));
    table.extend(data);
    table.resize(table.len().next_multiple_of(8), 0);
    let length = table.len();
    let mut module = [0; 56];
    for (at, part) in [(1, 0), (4, 1), (7, 2), (10, 3), (13, 4), (16, 4)] {
        module[at] = DATA + parts[part];
    }
    (module[0], module[22], module[INLINE_TREES[version]]) = (DATA, CODE, DATA + header_bytes);
    table.extend(words(&module));
    (table, length)
}

/// The file.
pub(crate) fn file(bytes: &[u8]) -> Vec<u8> {
    let (data, table_bytes) = table(bytes);
    let sections_at = DATA_OFFSET + data.len() as u64 + NAMES.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0".to_vec();
    file.extend(words(&[0, 64, sections_at]));
    file.extend([0; 4]);
    for half in [64u16, 56, 2, 64, 2, 0] {
        file.extend(half.to_le_bytes());
    }
    let segments = [(5, CODE, CODE_BYTES), (6, DATA, data.len() as u64)];
    for ((flags, address, bytes), offset) in segments.into_iter().zip([0, DATA_OFFSET]) {
        file.extend(words(&[1 | flags << 32, offset, address, address, bytes, bytes, 0x1000]));
    }
    file.extend(&data);
    file.extend(NAMES);
    let mut section = |name: u32, kind: u32, offset: u64, bytes: u64| {
        file.extend(name.to_le_bytes());
        file.extend(kind.to_le_bytes());
        file.extend(words(&[2, 0, offset, bytes, 0, 8, 0]));
    };
    section(1, 3, DATA_OFFSET + data.len() as u64, NAMES.len() as u64);
    section(11, 1, DATA_OFFSET, table_bytes as u64);
    file
}
