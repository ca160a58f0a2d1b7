//! Where in a file the table is.

use super::header::{Header, MAX_HEADER_BYTES};
use crate::Error;
use crate::elf::{Elf, read_up_to};

/// What its section is called, without and with addresses that are put in when the program is loaded.
const SECTIONS: [&str; 2] = [".gopclntab", ".data.rel.ro.gopclntab"];
/// Sections of every Go program. Another linker than Go's may have put the table among other data.
const MARKS: [&str; 2] = [".go.buildinfo", ".note.go.buildid"];
/// Bytes of segments that are searched if there is no section of it.
const MAX_SEARCHED_BYTES: u64 = 256 << 20;
/// Bytes that are searched at a time.
const CHUNK_BYTES: usize = 256 << 10;
/// What its address is a multiple of.
const ALIGNMENT: usize = 4;

/// Where the table begins, how long it may be, and its header.
pub(super) fn header(elf: &Elf<'_>) -> Result<Option<(u64, u64, Header)>, Error> {
    if let Some(section) = SECTIONS.iter().find_map(|name| elf.section(name)) {
        let bytes = read_up_to(elf.file, section.offset, MAX_HEADER_BYTES)?;
        let header = Header::read(&bytes, section.bytes, elf.endian, elf.is_64);
        let header = header.ok_or(Error::GoTable("it has another layout than those of Go 1.16 and later"))?;
        return Ok(Some((section.offset, section.bytes, header)));
    }
    let is_go = MARKS.iter().any(|name| elf.section(name).is_some());
    if is_go || elf.sections.is_empty() { search(elf) } else { Ok(None) }
}

/// Looks for the table in all segments of data.
fn search(elf: &Elf<'_>) -> Result<Option<(u64, u64, Header)>, Error> {
    let mut left = MAX_SEARCHED_BYTES;
    for segment in elf.segments.iter().filter(|segment| !segment.executable) {
        let (mut at, end) = (segment.offset, segment.offset.saturating_add(segment.file_bytes.min(left)));
        left -= segment.file_bytes.min(left);
        while at < end {
            let wanted = (end - at).min(CHUNK_BYTES as u64) as usize;
            // A header may begin at the end of what is looked at.
            let bytes = read_up_to(elf.file, at, wanted + MAX_HEADER_BYTES)?;
            for start in (0..bytes.len().min(wanted)).step_by(ALIGNMENT) {
                let length = end - at - start as u64;
                if let Some(header) = Header::read(&bytes[start..], length, elf.endian, elf.is_64) {
                    return Ok(Some((at + start as u64, length, header)));
                }
            }
            if bytes.len() < wanted {
                break;
            }
            at += wanted as u64;
        }
    }
    Ok(None)
}
