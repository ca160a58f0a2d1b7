//! The first bytes of the table.

use crate::image::word as number;
use object::{Endian as _, Endianness};

/// Functions of one program: fifty times as many as the largest have.
const MAX_FUNCTIONS: u64 = 16 << 20;
/// Bytes of the longest header.
pub(crate) const MAX_HEADER_BYTES: usize = 8 + 8 * 8;

/// The layout of a table, by the first release of Go that wrote it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Version {
    /// Go 1.16 and 1.17.
    Go116,
    /// Go 1.18 and 1.19.
    Go118,
    /// Go 1.20 and later.
    Go120,
}

/// `pcHeader`: where the parts of the table are, from its beginning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Which layout it has.
    pub version: Version,
    /// What distances between instructions are multiples of.
    pub quantum: u8,
    /// Bytes of an address.
    pub pointer: u8,
    /// How many functions there are.
    pub functions: u32,
    /// The address that functions are counted from; 0 if it is not written here, or to be put here when the program is
    /// loaded.
    pub text: u64,
    /// Where the names begin.
    pub names: u64,
    /// Where the lists of files of each package begin.
    pub units: u64,
    /// Where the paths of files begin.
    pub files: u64,
    /// Where the tables of values begin.
    pub values: u64,
    /// Where the list of functions begins, and the entries that it leads to.
    pub table: u64,
}

impl Header {
    /// Reads the header that `bytes` begin with, of a table of no more than `length` bytes; `None` if it is none.
    pub(crate) fn read(bytes: &[u8], length: u64, endian: Endianness, is_64: bool) -> Option<Self> {
        let magic = endian.read_u32(bytes.get(..4)?.try_into().ok()?);
        let version = match magic {
            0xffff_fffa => Version::Go116,
            0xffff_fff0 => Version::Go118,
            0xffff_fff1 => Version::Go120,
            _ => return None,
        };
        let &[0, 0, quantum @ (1 | 2 | 4), pointer] = bytes.get(4..8)? else { return None };
        if pointer != if is_64 { 8 } else { 4 } {
            return None;
        }
        let word = |at: usize| {
            let at = 8 + at * usize::from(pointer);
            number(bytes.get(at..at + usize::from(pointer))?, endian)
        };
        let (text, parts) = if version == Version::Go116 { (0, 2) } else { (word(2)?, 3) };
        let functions = word(0).filter(|&functions| functions <= MAX_FUNCTIONS)?;
        let header = Self {
            version,
            quantum,
            pointer,
            functions: functions as u32,
            text,
            names: word(parts)?,
            units: word(parts + 1)?,
            files: word(parts + 2)?,
            values: word(parts + 3)?,
            table: word(parts + 4)?,
        };
        let parts = [header.names, header.units, header.files, header.values, header.table, length];
        // In the order in which the linker writes them.
        (parts[0] >= 8 && parts.is_sorted()).then_some(header)
    }

    /// Bytes of an entry of the list of functions, but for the last one, which is the first half of one.
    pub fn entry_bytes(&self) -> u64 {
        2 * self.half_entry_bytes()
    }

    /// Bytes of a half of an entry.
    pub fn half_entry_bytes(&self) -> u64 {
        if self.version == Version::Go116 { self.pointer.into() } else { 4 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(magic: u32, words: &[u64]) -> Vec<u8> {
        let mut bytes = magic.to_le_bytes().to_vec();
        bytes.extend([0, 0, 1, 8]);
        bytes.extend(words.iter().flat_map(|word| word.to_le_bytes()));
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Header> {
        Header::read(bytes, 1000, Endianness::Little, true)
    }

    #[test]
    fn each_version_has_its_own_header() {
        let old = read(&bytes(0xffff_fffa, &[7, 1, 100, 200, 300, 400, 500])).expect("a header");
        assert_eq!(
            (old.version, old.functions, old.text, old.names, old.table),
            (Version::Go116, 7, 0, 100, 500)
        );
        assert_eq!(old.entry_bytes(), 16);
        let new = read(&bytes(0xffff_fff1, &[7, 1, 0x40_1000, 100, 200, 300, 400, 500])).expect("a header");
        assert_eq!((new.version, new.functions, new.text), (Version::Go120, 7, 0x40_1000));
        assert_eq!((new.names, new.table, new.entry_bytes()), (100, 500, 8));
        assert!(Version::Go118 > Version::Go116 && Version::Go118 < Version::Go120);
    }

    #[test]
    fn what_contradicts_itself_is_none() {
        let good = [7, 1, 0, 100, 200, 300, 400, 500];
        assert!(read(&bytes(0xffff_fff0, &good)).is_some());
        assert_eq!(read(&bytes(0xffff_fffb, &good)), None, "of Go 1.2");
        for (at, word) in [(0, u64::MAX), (3, 0), (3, 201), (4, 301), (7, 1001)] {
            let mut words = good;
            words[at] = word;
            assert_eq!(read(&bytes(0xffff_fff0, &words)), None, "{at} is {word}");
        }
        for (at, byte) in [(4, 1), (6, 3), (7, 4)] {
            let mut header = bytes(0xffff_fff0, &good);
            header[at] = byte;
            assert_eq!(read(&header), None, "byte {at} is {byte}");
        }
        let whole = bytes(0xffff_fff0, &good);
        for end in 0..whole.len() {
            assert_eq!(read(&whole[..end]), None);
        }
    }
}
