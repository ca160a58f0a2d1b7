//! Source lines of generated code: the `JIT_CODE_DEBUG_INFO` records of jitdump files.

use std::sync::Arc;

/// Bytes of a record that are looked at; a longer one tells no lines.
const MAX_RECORD_BYTES: usize = 64 << 10;
/// Bytes of a path that are kept.
const MAX_PATH_BYTES: usize = 4 << 10;
const SIZE_AT: usize = 4;
const CODE_AT: usize = 16;
const COUNT_AT: usize = 24;
const ENTRIES_AT: usize = 32;
/// Of an entry before its path.
const ENTRY_BYTES: usize = 16;
/// Stands for the path of the entry before.
const SAME_PATH: &[u8] = b"\xff";
/// `perf inject` makes an ELF file of each function, with the code behind the header; some compilers, V8 among them, add
/// that header's size to the addresses that they tell.
const ELF_HEADER_BYTES: u64 = 64;

/// A place in a source file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JitLine {
    /// The file.
    pub file: Arc<str>,
    /// The line.
    pub line: u32,
    /// The first line that is told of the function.
    pub start_line: u32,
}

impl JitLine {
    /// Bytes to read for [`JitLine::record_bytes`], from where a record begins.
    pub const BEGINNING_BYTES: usize = 8;

    /// How long the record is that begins so; `None` if it is too long.
    pub fn record_bytes(beginning: &[u8]) -> Option<usize> {
        let size = u32::from_ne_bytes(*beginning.get(SIZE_AT..)?.first_chunk()?);
        usize::try_from(size).ok().filter(|&size| size <= MAX_RECORD_BYTES)
    }
}

#[derive(Clone, Copy)]
struct Entry<'a> {
    address: u64,
    line: u32,
    path: &'a [u8],
}

/// The line at an address, from the record of the function that it lies in. `None` if the record is too long or says
/// anything that makes no sense: some compilers write paths that they have already freed.
pub fn jit_line(record: &[u8], address: u64) -> Option<JitLine> {
    let record = record.get(..JitLine::record_bytes(record)?)?;
    let code = long(record, CODE_AT)?;
    let count = long(record, COUNT_AT)?;
    let entries = entries(record.get(ENTRIES_AT..)?, count)?;
    let first = entries.iter().min_by_key(|entry| entry.address)?;
    let before_code = first.address.checked_sub(code)?;
    let shift = if before_code >= ELF_HEADER_BYTES { ELF_HEADER_BYTES } else { 0 };
    let reached = entries.iter().filter(|entry| entry.address - shift <= address);
    // The last one told of an address counts.
    let entry = reached.max_by_key(|entry| entry.address).unwrap_or(first);
    let file = std::str::from_utf8(entry.path).ok()?;
    Some(JitLine { file: file.into(), line: entry.line, start_line: first.line })
}

fn entries(mut bytes: &[u8], count: u64) -> Option<Vec<Entry<'_>>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for _ in 0..count {
        let address = long(bytes, 0)?;
        let line = u32::from_ne_bytes(*bytes.get(8..)?.first_chunk()?);
        let rest = bytes.get(ENTRY_BYTES..)?;
        let end = rest.iter().position(|&byte| byte == 0)?;
        let path = match &rest[..end] {
            SAME_PATH => entries.last()?.path,
            path => path,
        };
        let is_line = i32::try_from(line).is_ok() && !path.is_empty() && path.len() <= MAX_PATH_BYTES;
        if !is_line {
            return None;
        }
        entries.push(Entry { address, line, path });
        bytes = &rest[end + 1..];
    }
    Some(entries)
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(code: u64, entries: &[(u64, u32, &[u8])]) -> Vec<u8> {
        let mut body = Vec::new();
        for (address, line, path) in entries {
            body.extend(address.to_ne_bytes());
            body.extend(line.to_ne_bytes());
            body.extend(0u32.to_ne_bytes());
            body.extend(*path);
            body.push(0);
        }
        let mut record = Vec::new();
        record.extend(2u32.to_ne_bytes());
        record.extend(((ENTRIES_AT + body.len()) as u32).to_ne_bytes());
        for value in [0, code, entries.len() as u64] {
            record.extend(u64::to_ne_bytes(value));
        }
        record.extend(body);
        record
    }

    fn line(record: &[u8], address: u64) -> Option<(String, u32, u32)> {
        jit_line(record, address).map(|line| (line.file.to_string(), line.line, line.start_line))
    }

    fn at(file: &str, line: u32) -> Option<(String, u32, u32)> {
        Some((file.into(), line, 3))
    }

    #[test]
    fn the_last_entry_before_an_address_counts() {
        let record = record(0x1000, &[(0x1000, 3, b"/a.js"), (0x1010, 5, SAME_PATH), (0x1020, 4, b"/b.js")]);
        assert_eq!(line(&record, 0x100f), at("/a.js", 3));
        assert_eq!(line(&record, 0x1010), at("/a.js", 5));
        assert_eq!(line(&record, 0x2000), at("/b.js", 4));
    }

    #[test]
    fn addresses_may_count_the_header_of_an_elf_file_in() {
        let record = record(0x1000, &[(0x1044, 3, b"/a.js"), (0x1050, 5, b"/a.js")]);
        assert_eq!(line(&record, 0x1000), at("/a.js", 3));
        assert_eq!(line(&record, 0x1004), at("/a.js", 3));
        assert_eq!(line(&record, 0x1010), at("/a.js", 5));
    }

    #[test]
    fn what_makes_no_sense_has_no_line() {
        let good: (u64, u32, &[u8]) = (0x1000, 3, b"/a.js");
        for bad in [
            (0xfff, 3, &b"/a.js"[..]),
            (0x1000, u32::MAX, b"/a.js"),
            (0x1000, 3, b""),
            (0x1000, 3, b"\xc3\x28"),
            (0x1000, 3, &[b'a'; MAX_PATH_BYTES + 1]),
        ] {
            assert_eq!(line(&record(0x1000, &[good, bad]), 0x1000), None, "{bad:?}");
        }
        assert_eq!(line(&record(0x1000, &[(0x1000, 3, SAME_PATH)]), 0x1000), None);
        assert_eq!(line(&record(0x1000, &[]), 0x1000), None);
        let whole = record(0x1000, &[good]);
        assert!(line(&whole, 0x1000).is_some());
        assert_eq!(line(&whole[..whole.len() - 1], 0x1000), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(
            bytes in prop::collection::vec(prop::sample::select(vec![0, 1, 2, 32, 48, 0xff]), 0..120),
            size in 0u32..130,
            address: u64,
        ) {
            let mut bytes = bytes;
            if let Some(field) = bytes.get_mut(SIZE_AT..SIZE_AT + 4) {
                field.copy_from_slice(&size.to_ne_bytes());
            }
            jit_line(&bytes, address);
        }
    }
}
