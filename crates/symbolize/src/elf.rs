//! ELF files, read piece by piece.

use crate::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;
use telegen_model::{BuildId, FileOffset};

// Sizes and values of the System V ABI, <https://gabi.xinuos.com/>, for 64-bit files.
const HEADER_BYTES: usize = 64;
const SEGMENT_BYTES: usize = 56;
const SECTION_BYTES: usize = 64;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const PF_X: u32 = 1;
const SHT_NOBITS: u32 = 8;
const MAX_SEGMENTS: usize = 256;
const MAX_SECTIONS: usize = 65_536;
const MAX_NOTE_BYTES: u64 = 64 << 10;
const NT_GNU_BUILD_ID: u32 = 3;

/// A loadable segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// `p_vaddr`: where it is linked to stand.
    pub address: u64,
    /// `p_offset`: where in the file it begins.
    pub offset: u64,
    /// `p_filesz`.
    pub file_bytes: u64,
    /// `p_memsz`.
    pub memory_bytes: u64,
    /// Whether it may be run.
    pub executable: bool,
}

/// A section of a file.
#[derive(Clone, Debug)]
pub(crate) struct Section {
    pub(crate) name: Box<str>,
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    pub(crate) link: u32,
}

/// The skeleton of an ELF file.
#[derive(Debug)]
pub(crate) struct Elf<'a> {
    pub(crate) file: &'a File,
    pub(crate) segments: Vec<Segment>,
    notes: Vec<(u64, u64)>,
    pub(crate) sections: Vec<Section>,
}

impl<'a> Elf<'a> {
    /// Reads the headers. Sections that make no sense are left out; segments must make sense.
    pub(crate) fn read(file: &'a File) -> Result<Self, Error> {
        let mut header = [0; HEADER_BYTES];
        match read_exact_at(file, &mut header, 0) {
            Err(Error::Damaged(_)) => return Err(Error::NotElf),
            read => read?,
        }
        // Magic, 64 bits, little-endian.
        if !header.starts_with(b"\x7fELF\x02\x01") {
            return Err(Error::NotElf);
        }
        let header = Fields(&header);
        let count = usize::from(header.u16(56)).min(MAX_SEGMENTS);
        let table = read_bytes(file, header.u64(32), count * SEGMENT_BYTES)?;
        let headers: Vec<Fields<'_>> = table.chunks_exact(SEGMENT_BYTES).map(Fields).collect();
        let segments = headers.iter().filter(|header| header.u32(0) == PT_LOAD).map(segment).collect();
        let notes = headers.iter().filter(|header| header.u32(0) == PT_NOTE);
        let notes = notes.map(|header| (header.u64(8), header.u64(32))).collect();
        let sections = read_sections(file, header).unwrap_or_default();
        Ok(Self { file, segments, notes, sections })
    }

    /// The address at which a byte of the file is linked to stand, and the segment that it is in.
    pub(crate) fn address(&self, offset: FileOffset) -> Option<(u64, &Segment)> {
        let within = |segment: &&Segment| {
            offset.0.checked_sub(segment.offset).is_some_and(|at| at < segment.file_bytes)
        };
        // Where pages of the file belong to two segments, the one that can be run is meant.
        let segment = self.segments.iter().filter(within).max_by_key(|segment| segment.executable)?;
        Some((segment.address.wrapping_add(offset.0 - segment.offset), segment))
    }

    pub(crate) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| *section.name == *name && section.kind != SHT_NOBITS)
    }

    fn build_id(&self) -> Option<BuildId> {
        self.notes.iter().find_map(|&(offset, bytes)| {
            let mut note = vec![0; bytes.min(MAX_NOTE_BYTES) as usize];
            read_exact_at(self.file, &mut note, offset).ok()?;
            find_build_id(&note)
        })
    }
}

/// Little-endian numbers at fixed places of a record; places beyond its end are a fault of this program.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a>(pub(crate) &'a [u8]);

impl Fields<'_> {
    pub(crate) fn u16(self, at: usize) -> u16 {
        u16::from_le_bytes(self.array(at))
    }

    pub(crate) fn u32(self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }

    pub(crate) fn u64(self, at: usize) -> u64 {
        u64::from_le_bytes(self.array(at))
    }

    fn array<const N: usize>(self, at: usize) -> [u8; N] {
        let mut array = [0; N];
        array.copy_from_slice(&self.0[at..at + N]);
        array
    }
}

fn segment(header: &Fields<'_>) -> Segment {
    Segment {
        address: header.u64(16),
        offset: header.u64(8),
        file_bytes: header.u64(32),
        memory_bytes: header.u64(40),
        executable: header.u32(4) & PF_X != 0,
    }
}

fn read_sections(file: &File, header: Fields<'_>) -> Result<Vec<Section>, Error> {
    let count = usize::from(header.u16(60)).min(MAX_SECTIONS);
    let table = read_bytes(file, header.u64(40), count * SECTION_BYTES)?;
    let headers: Vec<Fields<'_>> = table.chunks_exact(SECTION_BYTES).map(Fields).collect();
    let names = headers.get(usize::from(header.u16(62))).ok_or(Error::Damaged("no section names"))?;
    let text = read_bytes(file, names.u64(24), names.u64(32).min(1 << 20) as usize)?;
    let name = |at: u32| {
        let name = text.get(at as usize..)?.split(|&byte| byte == 0).next()?;
        Some(String::from_utf8_lossy(name).into())
    };
    let section = |header: &Fields<'_>| Section {
        name: name(header.u32(0)).unwrap_or_default(),
        kind: header.u32(4),
        flags: header.u64(8),
        offset: header.u64(24),
        bytes: header.u64(32),
        link: header.u32(40),
    };
    Ok(headers.iter().map(section).collect())
}

fn find_build_id(mut notes: &[u8]) -> Option<BuildId> {
    loop {
        let (note, rest) = notes.split_at_checked(12)?;
        let note = Fields(note);
        let (name_bytes, desc_bytes) = (note.u32(0) as usize, note.u32(4) as usize);
        let name = rest.get(..name_bytes)?;
        let desc = rest.get(name_bytes.checked_next_multiple_of(4)?..)?;
        if note.u32(8) == NT_GNU_BUILD_ID && name == b"GNU\0" {
            return BuildId::new(desc.get(..desc_bytes)?);
        }
        notes = desc.get(desc_bytes.checked_next_multiple_of(4)?..)?;
    }
}

/// Bytes at an offset; the caller bounds their number.
pub(crate) fn read_bytes(file: &File, offset: u64, bytes: usize) -> Result<Vec<u8>, Error> {
    let mut buffer = vec![0; bytes];
    read_exact_at(file, &mut buffer, offset)?;
    Ok(buffer)
}

pub(crate) fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> Result<(), Error> {
    file.read_exact_at(bytes, offset).map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::InvalidInput => {
            Error::Damaged("it ends too soon")
        }
        _ => Error::Io(error),
    })
}

/// The build id of an ELF file.
pub mod build_id {
    use super::{Elf, Error};
    use std::fs::File;
    use telegen_model::BuildId;

    /// Reads it from the file's notes; `None` if there is none.
    pub fn read(file: &File) -> Result<Option<BuildId>, Error> {
        Ok(Elf::read(file)?.build_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn the_build_id_of_a_library_is_what_its_notes_say() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let path = maps
            .lines()
            .find_map(|line| line.split_whitespace().last().filter(|path| path.contains("libc.so")));
        let file = File::open(path.expect("libc is mapped")).unwrap();
        let id = build_id::read(&file).unwrap().expect("a build id");
        assert_eq!(id.as_bytes().len(), 20);
    }

    #[test]
    fn what_is_not_elf_is_said_to_be_not() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"#!/bin/sh\n").unwrap();
        assert!(matches!(build_id::read(&file), Err(Error::NotElf)));
    }

    #[test]
    fn notes_that_lie_about_their_size_end_the_search() {
        assert_eq!(find_build_id(&[0xff; 64]), None);
        let mut note = Vec::new();
        for word in [4u32, 3, 3] {
            note.extend(word.to_le_bytes());
        }
        note.extend(b"GNU\0abc");
        assert_eq!(find_build_id(&note).map(|id| id.to_string()), Some("616263".into()));
        note.truncate(note.len() - 1);
        assert_eq!(find_build_id(&note), None);
    }
}
