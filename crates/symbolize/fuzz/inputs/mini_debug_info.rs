//! Any bytes as the compressed symbols of an ELF file that is otherwise in order.

const NAMES: &[u8] = b"\0.shstrtab\0.gnu_debugdata\0";
const HEADER_BYTES: u64 = 64;
const SEGMENT_BYTES: u64 = 56;

/// The file.
pub(crate) fn file(data: &[u8]) -> Vec<u8> {
    let names_at = HEADER_BYTES + SEGMENT_BYTES;
    let data_at = names_at + NAMES.len() as u64;
    let table_at = data_at + data.len() as u64;
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let mut put = |value: u64, bytes: usize| file.extend(&value.to_le_bytes()[..bytes]);
    for (value, bytes) in [(3, 2), (62, 2), (1, 4), (0, 8), (HEADER_BYTES, 8), (table_at, 8), (0, 4)] {
        put(value, bytes);
    }
    for value in [HEADER_BYTES, SEGMENT_BYTES, 1, 64, 2, 0] {
        put(value, 2);
    }
    // Read and execute.
    put(1 | 5 << 32, 8);
    for value in [0, 0, 0, 0x1000, 0x1000, 0x1000] {
        put(value, 8);
    }
    file.extend(NAMES);
    file.extend(data);
    for (name, kind, offset, bytes) in
        [(1_u32, 3_u32, names_at, NAMES.len() as u64), (11, 1, data_at, data.len() as u64)]
    {
        file.extend(name.to_le_bytes());
        file.extend(kind.to_le_bytes());
        for value in [0, 0, offset, bytes, 0, 1, 0] {
            file.extend(u64::to_le_bytes(value));
        }
    }
    file
}
