//! DWARF: functions, inlined ones too, with files and lines.

use crate::Error;
use crate::demangle::demangle;
use crate::elf::{Elf, Fields, Section, read_bytes};
use crate::paged::{Blocks, Bytes, PagedReader};
use crate::symbolizer::SourceFrame;
use addr2line::Context;
use flate2::read::ZlibDecoder;
use gimli::{Dwarf, DwarfSections, SectionId};
use std::io::Read;
use std::rc::Rc;

const SHF_COMPRESSED: u64 = 1 << 11;
const ELFCOMPRESS_ZLIB: u32 = 1;
const COMPRESSION_HEADER_BYTES: usize = 24;
/// Debug information of one file that is looked at, in bytes of `.debug_info`.
const MAX_INFO_BYTES: u64 = 2 << 30;
/// Bytes that the compressed sections of one file may have when decompressed.
const MAX_DECOMPRESSED_BYTES: u64 = 64 << 20;
/// Functions inlined into each other at one place.
const MAX_INLINED: usize = 64;

/// The debug information of one file, as far as it has been looked at.
pub(crate) struct DebugInfo {
    context: Context<PagedReader>,
    blocks: Rc<Blocks>,
    decompressed: u64,
}

impl DebugInfo {
    /// Reads the list of units; `None` if the file has no debug information.
    pub(crate) fn read(elf: &Elf<'_>) -> Result<Option<Self>, Error> {
        let Some(info) = elf.section(".debug_info").or_else(|| elf.section(".zdebug_info")) else {
            return Ok(None);
        };
        if info.bytes > MAX_INFO_BYTES {
            return Err(Error::TooLarge(".debug_info"));
        }
        let blocks = Blocks::new(elf.file.try_clone()?);
        let mut decompressed = 0;
        let sections = DwarfSections::load(|id| load(elf, id, &blocks, &mut decompressed))?;
        let dwarf: Dwarf<PagedReader> = sections.borrow(Clone::clone);
        Ok(Some(Self { context: Context::from_dwarf(dwarf)?, blocks, decompressed }))
    }

    /// The functions at an address, innermost first; none if the debug information does not cover it. The outermost
    /// has no name if only its line is known.
    pub(crate) fn frames(&self, address: u64) -> Result<Vec<SourceFrame>, Error> {
        let mut found = self.context.find_frames(address).skip_all_loads()?;
        let mut frames = Vec::new();
        while let Some(frame) = found.next()? {
            // Line tables alone (`-g1`, `debug = "line-tables-only"`) have places without functions.
            let system_name = match frame.function {
                Some(function) => function.raw_name()?.into_owned(),
                None => String::new(),
            };
            let (file, line) = match frame.location {
                Some(location) => (location.file.unwrap_or_default().to_owned(), location.line.unwrap_or(0)),
                None => Default::default(),
            };
            frames.push(SourceFrame {
                name: demangle(&system_name).into(),
                system_name: system_name.into(),
                file: file.into(),
                line,
                start_line: 0,
            });
            if frames.len() >= MAX_INLINED {
                break;
            }
        }
        Ok(frames)
    }

    /// Bytes held, about: what was read has been turned into tables of like size.
    pub(crate) fn bytes(&self) -> u64 {
        self.blocks.bytes_read() + self.decompressed
    }
}

fn load(
    elf: &Elf<'_>,
    id: SectionId,
    blocks: &Rc<Blocks>,
    decompressed: &mut u64,
) -> Result<PagedReader, Error> {
    let name = id.name();
    if let Some(section) = elf.section(name) {
        if section.flags & SHF_COMPRESSED != 0 {
            return decompress(elf, section, decompressed);
        }
        let length = usize::try_from(section.bytes).map_err(|_| Error::TooLarge("a section"))?;
        return Ok(PagedReader::new(Bytes::File { blocks: blocks.clone(), offset: section.offset }, length));
    }
    match name.strip_prefix('.').and_then(|name| elf.section(&format!(".z{name}"))) {
        Some(section) => decompress_gnu(elf, section, decompressed),
        None => Ok(PagedReader::empty_section()),
    }
}

/// A section that begins with an `Elf64_Chdr`.
fn decompress(elf: &Elf<'_>, section: &Section, total: &mut u64) -> Result<PagedReader, Error> {
    let header = read_bytes(elf.file, section.offset, COMPRESSION_HEADER_BYTES)?;
    let header = Fields(&header);
    if header.u32(0) != ELFCOMPRESS_ZLIB {
        return Err(Error::TooLarge("a section compressed by other means than zlib"));
    }
    let at = section.offset.saturating_add(COMPRESSION_HEADER_BYTES as u64);
    inflate(elf, at, section.bytes.saturating_sub(COMPRESSION_HEADER_BYTES as u64), header.u64(8), total)
}

/// A `.zdebug_*` section: "ZLIB" and the size as a big-endian number come first.
fn decompress_gnu(elf: &Elf<'_>, section: &Section, total: &mut u64) -> Result<PagedReader, Error> {
    let header = read_bytes(elf.file, section.offset, 12)?;
    let size = header.strip_prefix(b"ZLIB").and_then(|size| size.try_into().ok());
    let size = u64::from_be_bytes(size.ok_or(Error::Damaged("a compressed section"))?);
    inflate(elf, section.offset.saturating_add(12), section.bytes.saturating_sub(12), size, total)
}

fn inflate(elf: &Elf<'_>, offset: u64, bytes: u64, size: u64, total: &mut u64) -> Result<PagedReader, Error> {
    *total = total.saturating_add(size);
    if *total > MAX_DECOMPRESSED_BYTES || bytes > MAX_DECOMPRESSED_BYTES {
        return Err(Error::TooLarge("compressed debug information"));
    }
    let compressed = read_bytes(elf.file, offset, bytes as usize)?;
    let mut plain = Vec::with_capacity(size as usize);
    // Not a byte more than was announced, whatever the stream holds.
    ZlibDecoder::new(&compressed[..]).take(size).read_to_end(&mut plain)?;
    let length = plain.len();
    Ok(PagedReader::new(Bytes::Memory(plain.into()), length))
}
