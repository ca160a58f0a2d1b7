//! The DWARF sections of a file, those that are compressed held decompressed.

use super::pages::{Effort, Pages};
use super::reader::{Bytes, PagedReader, Section};
use super::zstd;
use crate::Error;
use crate::elf::{self, Elf, read_table, read_up_to, run_time_endian};
use flate2::{Decompress, FlushDecompress, Status};
use gimli::{Dwarf, RunTimeEndian, SectionId};
use object::Endianness;
use object::elf::{
    CompressionHeader32, CompressionHeader64, CompressionType, ELFCOMPRESS_ZLIB, ELFCOMPRESS_ZSTD,
    SHF_COMPRESSED,
};
use object::read::elf::CompressionHeader;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

/// The sections that functions, files and lines are found in.
const WANTED: [SectionId; 9] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
];
/// The index of a package, beside those.
const INDEX: SectionId = SectionId::DebugCuIndex;
/// Compressed bytes read at a time.
const CHUNK_BYTES: usize = 64 << 10;

/// What a file with DWARF is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Something that is run, or what was stripped from it.
    Linked,
    /// What the compiler did not give to the linker.
    Split,
    /// Many of those in one.
    Package,
}

/// Where the DWARF sections of a file are. What is in it was made to be kept: no file, no reader.
#[derive(Debug, Default)]
pub(crate) struct Sections {
    found: Vec<(SectionId, Place)>,
}

#[derive(Debug)]
enum Place {
    File { offset: u64, bytes: u64 },
    Memory(Arc<[u8]>),
}

impl Sections {
    /// Finds them, and decompresses them if all that are compressed have no more than `most` bytes together; `None` if
    /// the file has no debug information.
    pub(super) fn read(elf: &Elf<'_>, most: usize, kind: Kind) -> Result<Option<Self>, Error> {
        let mut sections = Self::default();
        let mut left = most;
        let index = (kind == Kind::Package).then_some(INDEX);
        for id in WANTED.into_iter().chain(index) {
            let name = if kind == Kind::Linked { Some(id.name()) } else { id.dwo_name() };
            let Some(name) = name else { continue };
            let Some(place) = find(elf, name, left)? else { continue };
            if let Place::Memory(bytes) = &place {
                left -= bytes.len();
            }
            sections.found.push((id, place));
        }
        let has_info = sections.found.iter().any(|(id, _)| *id == SectionId::DebugInfo);
        Ok(has_info.then_some(sections))
    }

    /// Readers of them.
    pub(crate) fn open(
        &self,
        endian: Endianness,
        pages: &Rc<Pages>,
        effort: &Rc<Effort>,
    ) -> Dwarf<PagedReader> {
        let Ok(dwarf) = Dwarf::load(|id| Ok::<_, Infallible>(self.section(id, endian, pages, effort)));
        dwarf
    }

    /// A reader of one of them, of nothing if it is not there.
    pub(super) fn section(
        &self,
        id: SectionId,
        endian: Endianness,
        pages: &Rc<Pages>,
        effort: &Rc<Effort>,
    ) -> PagedReader {
        let place = self.found.iter().find(|(found, _)| *found == id).map(|(_, place)| place);
        let (bytes, length) = match place {
            Some(&Place::File { offset, bytes }) => (Bytes::File { pages: pages.clone(), offset }, bytes),
            Some(Place::Memory(bytes)) => (Bytes::Memory(bytes.clone()), bytes.len() as u64),
            None => (Bytes::Memory(Arc::default()), 0),
        };
        let endian: RunTimeEndian = run_time_endian(endian);
        PagedReader::new(Section { bytes, length, endian, effort: effort.clone() })
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let held = |place: &Place| match place {
            Place::File { .. } => 0,
            Place::Memory(bytes) => bytes.len(),
        };
        self.found.iter().map(|(_, place)| size_of::<(SectionId, Place)>() + held(place)).sum()
    }
}

fn find(elf: &Elf<'_>, name: &str, most: usize) -> Result<Option<Place>, Error> {
    if let Some(section) = elf.section(name) {
        if section.flags & SHF_COMPRESSED.0 == 0 {
            return Ok(Some(Place::File { offset: section.offset, bytes: section.bytes }));
        }
        let (method, header_bytes, size) = compression_header(elf, section)?;
        return inflate(elf, section, method, header_bytes, size, most).map(Some);
    }
    let Some(section) = elf.section(&format!(".z{}", name.trim_start_matches('.'))) else { return Ok(None) };
    let (header_bytes, size) = gnu_compression_header(elf, section)?;
    inflate(elf, section, ELFCOMPRESS_ZLIB, header_bytes, size, most).map(Some)
}

/// How a section with `SHF_COMPRESSED` is compressed, the size of its header, and of the section when decompressed.
fn compression_header(elf: &Elf<'_>, section: &elf::Section) -> Result<(CompressionType, u64, u64), Error> {
    fn read<H: CompressionHeader<Endian = Endianness>>(
        elf: &Elf<'_>,
        at: u64,
    ) -> Result<(CompressionType, u64, u64), Error> {
        let header: Vec<H> = read_table(elf.file, at, 1)?;
        let header = header.first().ok_or(Error::Damaged("a compressed section"))?;
        Ok((header.ch_type(elf.endian), size_of::<H>() as u64, header.ch_size(elf.endian).into()))
    }
    if elf.is_64 {
        read::<CompressionHeader64<Endianness>>(elf, section.offset)
    } else {
        read::<CompressionHeader32<Endianness>>(elf, section.offset)
    }
}

/// The same of a `.zdebug_*` section: "ZLIB" and the size as a big-endian number.
fn gnu_compression_header(elf: &Elf<'_>, section: &elf::Section) -> Result<(u64, u64), Error> {
    let header = read_up_to(elf.file, section.offset, 12)?;
    let size = header.strip_prefix(b"ZLIB").and_then(|size| size.try_into().ok());
    Ok((12, u64::from_be_bytes(size.ok_or(Error::Damaged("a compressed section"))?)))
}

/// Decompresses a section. The memory for it grows with what comes out of it, not with what its header promises.
fn inflate(
    elf: &Elf<'_>,
    section: &elf::Section,
    method: CompressionType,
    skipped: u64,
    size: u64,
    most: usize,
) -> Result<Place, Error> {
    let size = usize::try_from(size).ok().filter(|&size| size <= most);
    let size = size.ok_or(Error::TooLarge("compressed debug information"))?;
    let offset = section.offset.saturating_add(skipped);
    let length = section.bytes.saturating_sub(skipped);
    // What is incompressible grows by less than this; the rest would be read for nothing.
    if length > (size + size / 8) as u64 + CHUNK_BYTES as u64 {
        return Err(Error::Damaged("a compressed section is larger than what comes out of it"));
    }
    let inflated = match method {
        ELFCOMPRESS_ZLIB => inflate_zlib(elf, offset, length, size)?,
        ELFCOMPRESS_ZSTD => zstd::inflate(elf.file, offset, length, size, most)?,
        _ => return Err(Error::Compression),
    };
    Ok(Place::Memory(inflated.into()))
}

fn inflate_zlib(elf: &Elf<'_>, offset: u64, length: u64, size: usize) -> Result<Vec<u8>, Error> {
    let mut inflated = Vec::new();
    let mut stream = Decompress::new(true);
    let (mut at, end) = (offset, offset.saturating_add(length));
    loop {
        let wanted = end.saturating_sub(at).min(CHUNK_BYTES as u64) as usize;
        let chunk = read_up_to(elf.file, at, wanted)?;
        inflated.reserve((4 * CHUNK_BYTES).min(size + 1 - inflated.len()));
        let before = stream.total_in();
        let status = stream
            .decompress_vec(&chunk, &mut inflated, FlushDecompress::None)
            .map_err(|_| Error::Damaged("a compressed section"))?;
        let used = stream.total_in() - before;
        at += used;
        if inflated.len() > size {
            return Err(Error::Damaged("a compressed section is larger than it says"));
        }
        if status == Status::StreamEnd {
            break;
        }
        if used == 0 && (chunk.is_empty() || inflated.len() < inflated.capacity()) {
            return Err(Error::Damaged("a compressed section ends too soon"));
        }
    }
    Ok(inflated)
}
