//! What a binary says of where its debug information went: `.gnu_debuglink`.
//!
//! The format stands in the manual of GDB, "Debugging Information in Separate Files".

use crate::Error;
use crate::elf::{Elf, read_up_to};
use object::Endianness;

/// Bytes of the section that are looked at: a name, its end, and a number.
const MAX_BYTES: u64 = 4096;
/// `NAME_MAX`: no file has a longer one.
const MAX_NAME_BYTES: usize = 255;

/// The name of a debug file, and the CRC-32 of all that is in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DebugLink {
    /// A name without a directory.
    pub name: String,
    /// Of the whole file, as in Ethernet and gzip.
    pub crc: u32,
}

impl DebugLink {
    /// Reads the contents of the section; `None` if they are no name of a file and a number.
    pub fn parse(section: &[u8], is_big_endian: bool) -> Option<Self> {
        let end = section.iter().position(|&byte| byte == 0)?;
        let name = std::str::from_utf8(&section[..end]).ok()?;
        let is_plain = !name.is_empty() && name != "." && name != ".." && !name.contains('/');
        if !is_plain || name.len() > MAX_NAME_BYTES {
            return None;
        }
        let crc = section.get((end + 1).next_multiple_of(4)..)?.first_chunk()?;
        let crc = if is_big_endian { u32::from_be_bytes(*crc) } else { u32::from_le_bytes(*crc) };
        Some(Self { name: name.to_owned(), crc })
    }

    /// What a binary has.
    pub(crate) fn of(elf: &Elf<'_>) -> Result<Option<Self>, Error> {
        let Some(section) = elf.section(".gnu_debuglink") else { return Ok(None) };
        let bytes = read_up_to(elf.file, section.offset, section.bytes.min(MAX_BYTES) as usize)?;
        Ok(Self::parse(&bytes, elf.endian == Endianness::Big))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_and_a_number_are_read_in_either_byte_order() {
        let link = |crc| Some(DebugLink { name: "x.debug".into(), crc });
        assert_eq!(DebugLink::parse(b"x.debug\0\x01\x02\x03\x04", false), link(0x0403_0201));
        assert_eq!(DebugLink::parse(b"x.debug\0\x01\x02\x03\x04", true), link(0x0102_0304));
        let padded = DebugLink::parse(b"xy\0.\x01\0\0\0rest", false).expect("padded to four bytes");
        assert_eq!((&*padded.name, padded.crc), ("xy", 1));
    }

    #[test]
    fn what_is_no_plain_name_is_refused() {
        for name in ["", ".", "..", "a/b", "/etc/passwd", "../x"] {
            let mut section = name.as_bytes().to_vec();
            section.resize((name.len() + 1).next_multiple_of(4), 0);
            section.extend([1, 2, 3, 4]);
            assert_eq!(DebugLink::parse(&section, false), None, "{name}");
        }
        assert_eq!(DebugLink::parse(b"x.debug\0\x01\x02\x03", false), None, "cut short");
        assert_eq!(DebugLink::parse(b"x.debug", false), None, "without an end");
        assert_eq!(DebugLink::parse(b"\xff\xfe\xfd\0\x01\x02\x03\x04", false), None, "no text");
        assert_eq!(DebugLink::parse(&[b'a'; 4096], false), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(name in "[a-zA-Z0-9._+-]{3,255}", crc: u32, big: bool) {
            let mut section = name.clone().into_bytes();
            section.resize((name.len() + 1).next_multiple_of(4), 0);
            section.extend(if big { crc.to_be_bytes() } else { crc.to_le_bytes() });
            prop_assert_eq!(DebugLink::parse(&section, big), Some(DebugLink { name, crc }));
        }
    }
}
