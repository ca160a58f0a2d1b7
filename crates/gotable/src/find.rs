//! Where in a file the table is.

use crate::header::{Header, MAX_HEADER_BYTES};
use crate::{Error, Image};

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
pub(crate) fn header(image: &impl Image) -> Result<Option<(u64, u64, Header)>, Error> {
    if let Some((offset, length)) = SECTIONS.iter().find_map(|name| image.section(name)) {
        let bytes = image.read_up_to(offset, MAX_HEADER_BYTES)?;
        let header = Header::read(&bytes, length, image.endian(), image.is_64());
        let header = header.ok_or(Error::Table("it has another layout than those of Go 1.16 and later"))?;
        return Ok(Some((offset, length, header)));
    }
    let is_go = MARKS.iter().any(|name| image.section(name).is_some());
    if is_go || !image.has_sections() { search(image) } else { Ok(None) }
}

/// Looks for the table in all segments of data.
fn search(image: &impl Image) -> Result<Option<(u64, u64, Header)>, Error> {
    let mut left = MAX_SEARCHED_BYTES;
    for segment in image.segments().iter().filter(|segment| !segment.executable) {
        let (mut at, end) = (segment.offset, segment.offset.saturating_add(segment.file_bytes.min(left)));
        left -= segment.file_bytes.min(left);
        while at < end {
            let wanted = (end - at).min(CHUNK_BYTES as u64) as usize;
            // A header may begin at the end of what is looked at.
            let bytes = image.read_up_to(at, wanted + MAX_HEADER_BYTES)?;
            for start in (0..bytes.len().min(wanted)).step_by(ALIGNMENT) {
                let length = end - at - start as u64;
                if let Some(header) = Header::read(&bytes[start..], length, image.endian(), image.is_64()) {
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
