//! The skeleton of an ELF file, read piece by piece.

use crate::Error;
use object::elf::{
    ELFCLASS32, ELFDATA2MSB, EM_AARCH64, EM_ARM, EM_RISCV, FileHeader32, FileHeader64, PF_X, PT_DYNAMIC,
    PT_LOAD, PT_NOTE, SHF_ALLOC, SHF_EXECINSTR, SHT_NOBITS, SHT_NOTE,
};
use object::pod;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::{Endian as _, Endianness};
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use telegen_model::FileOffset;

/// Program headers that are looked at; linkers write about a dozen.
const MAX_SEGMENTS: usize = 256;
/// Section headers that are looked at; a linked file has well below a hundred.
const MAX_SECTIONS: usize = 4096;
/// Bytes of section names that are looked at.
const MAX_SECTION_NAMES: u64 = 256 << 10;

/// A loadable segment.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
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

/// The loadable segments of a file that may be run, in the order of the program header table.
///
/// # Errors
///
/// If the file cannot be read, is not ELF, or ends before its program headers do.
pub fn executable_segments(file: &File) -> Result<Vec<Segment>, Error> {
    let mut segments = Elf::read(file)?.segments;
    segments.retain(|segment| segment.executable);
    Ok(segments)
}

/// A section of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Section {
    name: u32,
    pub(crate) kind: u32,
    pub(crate) flags: u64,
    pub(crate) address: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    pub(crate) link: u32,
}

/// The headers of an ELF file of either class and byte order.
#[derive(Debug)]
pub(crate) struct Elf<'a> {
    pub(crate) file: &'a File,
    pub(crate) is_64: bool,
    pub(crate) endian: Endianness,
    /// Whether the machine's assemblers mark code and data by local symbols without a type, such as `$x`.
    pub(crate) has_mapping_symbols: bool,
    pub(crate) segments: Vec<Segment>,
    /// Offset and size of each `PT_NOTE` segment and `SHT_NOTE` section.
    pub(crate) notes: Vec<(u64, u64)>,
    /// Offset and size of the `PT_DYNAMIC` segment.
    pub(crate) dynamic: Option<(u64, u64)>,
    pub(crate) sections: Vec<Section>,
    section_names: Vec<u8>,
}

impl<'a> Elf<'a> {
    /// Reads the headers. A file without a usable section table has no sections; one without usable program headers is
    /// an error, as it could not have been loaded.
    pub(crate) fn read(file: &'a File) -> Result<Self, Error> {
        let mut ident = [0; 20];
        match read_exact_at(file, &mut ident, 0) {
            Err(Error::Damaged(_)) => return Err(Error::NotElf),
            read => read?,
        }
        if !ident.starts_with(&object::elf::ELFMAG) {
            return Err(Error::NotElf);
        }
        if ident[4] == ELFCLASS32.0 {
            Self::read_headers::<FileHeader32<Endianness>>(file)
        } else {
            Self::read_headers::<FileHeader64<Endianness>>(file)
        }
    }

    fn read_headers<H: FileHeader<Endian = Endianness>>(file: &'a File) -> Result<Self, Error> {
        let header: Vec<H> = read_table(file, 0, 1).map_err(|error| match error {
            Error::Damaged(_) => Error::NotElf,
            error => error,
        })?;
        let header = *header.first().ok_or(Error::NotElf)?;
        if !header.is_supported() {
            return Err(Error::NotElf);
        }
        let endian = if header.e_ident().data == ELFDATA2MSB { Endianness::Big } else { Endianness::Little };
        let mut elf = Self {
            file,
            is_64: header.is_class_64(),
            endian,
            has_mapping_symbols: [EM_ARM, EM_AARCH64, EM_RISCV].contains(&header.e_machine(endian)),
            segments: Vec::new(),
            notes: Vec::new(),
            dynamic: None,
            sections: Vec::new(),
            section_names: Vec::new(),
        };
        elf.read_segments(&header)?;
        // Sections are for linkers and debuggers: a file runs without them, and may be stripped of them.
        let _ = elf.read_sections(&header);
        Ok(elf)
    }

    fn read_segments<H: FileHeader<Endian = Endianness>>(&mut self, header: &H) -> Result<(), Error> {
        let endian = self.endian;
        if usize::from(header.e_phentsize(endian)) != size_of::<H::ProgramHeader>()
            && header.e_phnum(endian) != 0
        {
            return Err(Error::Damaged("program headers of a wrong size"));
        }
        let count = usize::from(header.e_phnum(endian)).min(MAX_SEGMENTS);
        let headers: Vec<H::ProgramHeader> = read_table(self.file, header.e_phoff(endian).into(), count)?;
        for header in &headers {
            let (offset, file_bytes) = (header.p_offset(endian).into(), header.p_filesz(endian).into());
            match header.p_type(endian) {
                PT_LOAD => self.segments.push(Segment {
                    address: header.p_vaddr(endian).into(),
                    offset,
                    file_bytes,
                    memory_bytes: header.p_memsz(endian).into(),
                    executable: header.p_flags(endian).contains(PF_X),
                }),
                PT_NOTE => self.notes.push((offset, file_bytes)),
                PT_DYNAMIC => self.dynamic = Some((offset, file_bytes)),
                _ => {}
            }
        }
        Ok(())
    }

    fn read_sections<H: FileHeader<Endian = Endianness>>(&mut self, header: &H) -> Result<(), Error> {
        let endian = self.endian;
        if usize::from(header.e_shentsize(endian)) != size_of::<H::SectionHeader>() {
            return Err(Error::Damaged("section headers of a wrong size"));
        }
        let count = usize::from(header.e_shnum(endian)).min(MAX_SECTIONS);
        let headers: Vec<H::SectionHeader> = read_table(self.file, header.e_shoff(endian).into(), count)?;
        let section = |header: &H::SectionHeader| Section {
            name: header.sh_name(endian),
            kind: header.sh_type(endian).0,
            flags: header.sh_flags(endian).0,
            address: header.sh_addr(endian).into(),
            offset: header.sh_offset(endian).into(),
            bytes: header.sh_size(endian).into(),
            link: header.sh_link(endian),
        };
        self.sections = headers.iter().map(section).collect();
        let names = self.sections.get(usize::from(header.e_shstrndx(endian).0));
        let names = names.ok_or(Error::Damaged("no section names"))?;
        self.section_names =
            read_up_to(self.file, names.offset, names.bytes.min(MAX_SECTION_NAMES) as usize)?;
        let notes = self.sections.iter().filter(|section| section.kind == SHT_NOTE.0);
        self.notes.extend(notes.map(|section| (section.offset, section.bytes)));
        Ok(())
    }

    /// The address at which a byte of the file is linked to stand, and the segment that it is in.
    pub(crate) fn address(&self, offset: FileOffset) -> Option<(u64, &Segment)> {
        let within = |segment: &&Segment| {
            offset.0.checked_sub(segment.offset).is_some_and(|at| at < segment.file_bytes)
        };
        // Where two segments overlap in the file, the one that can be run is meant.
        let segment = self.segments.iter().filter(within).max_by_key(|segment| segment.executable)?;
        Some((segment.address.wrapping_add(offset.0 - segment.offset), segment))
    }

    /// Where in the file the byte is that is linked to stand at an address.
    pub(crate) fn offset(&self, address: u64) -> Option<u64> {
        let within = |segment: &&Segment| {
            address.checked_sub(segment.address).is_some_and(|at| at < segment.file_bytes)
        };
        let segment = self.segments.iter().find(within)?;
        segment.offset.checked_add(address - segment.address)
    }

    /// The first section of that name that has bytes in the file.
    pub(crate) fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|section| section.kind != SHT_NOBITS.0 && self.has_name(section, name))
    }

    /// Whether it has debug information of its own.
    pub(crate) fn has_debug_info(&self) -> bool {
        [".debug_info", ".zdebug_info"].iter().any(|name| self.section(name).is_some())
    }

    /// Whether it has the symbols that stripping takes away.
    pub(crate) fn has_symbol_table(&self) -> bool {
        self.section(".symtab").is_some()
    }

    /// The number of the section of code that an address lies in.
    pub(crate) fn code_section(&self, address: u64) -> Option<u16> {
        let code = (SHF_ALLOC | SHF_EXECINSTR).0;
        let holds = |section: &Section| {
            section.flags & code == code && address.wrapping_sub(section.address) < section.bytes
        };
        self.sections.iter().position(holds).and_then(|number| u16::try_from(number).ok())
    }

    fn has_name(&self, section: &Section, name: &str) -> bool {
        let rest = self.section_names.get(section.name as usize..).unwrap_or_default();
        rest.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&0))
    }
}

/// `count` records at an offset.
pub(crate) fn read_table<T: pod::Pod>(file: &File, offset: u64, count: usize) -> Result<Vec<T>, Error> {
    let bytes = count.checked_mul(size_of::<T>()).ok_or(Error::Damaged("a table too large"))?;
    let mut table = vec![0; bytes];
    read_exact_at(file, &mut table, offset)?;
    let (records, _) = pod::slice_from_bytes(&table, count).map_err(|()| Error::Damaged("a table"))?;
    Ok(records.to_vec())
}

/// As many bytes as there are, but no more than `most`.
pub(crate) fn read_up_to(file: &File, offset: u64, most: usize) -> Result<Vec<u8>, Error> {
    let mut bytes = vec![0; most];
    let mut filled = 0;
    while filled < most {
        match file.read_at(&mut bytes[filled..], offset.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // An offset beyond what the kernel takes.
            Err(error) if error.kind() == ErrorKind::InvalidInput => break,
            Err(error) => return Err(Error::Io(error)),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

pub(crate) fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> Result<(), Error> {
    file.read_exact_at(bytes, offset).map_err(|error| match error.kind() {
        ErrorKind::UnexpectedEof | ErrorKind::InvalidInput => Error::Damaged("it ends too soon"),
        _ => Error::Io(error),
    })
}

/// gimli's idea of a byte order from object's.
pub(crate) fn run_time_endian(endian: Endianness) -> gimli::RunTimeEndian {
    if endian.is_big_endian() { gimli::RunTimeEndian::Big } else { gimli::RunTimeEndian::Little }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn what_is_not_elf_is_said_to_be_not() {
        for bytes in
            [&b""[..], b"#!/bin/sh\n", b"\x7fELF", &[0; 100], b"\x7fELF\x03\x07 neither 32 nor 64 bits"]
        {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            let error = Elf::read(&file).expect_err("it is not ELF");
            assert!(matches!(error, Error::NotElf), "{bytes:?}: {error}");
        }
    }

    #[test]
    fn the_running_test_has_one_segment_that_can_be_run_and_it_holds_this_function() {
        let file = File::open("/proc/self/exe").unwrap();
        let segments = executable_segments(&file).unwrap();
        assert_eq!(segments.len(), 1);
        let elf = Elf::read(&file).unwrap();
        let (address, segment) = elf.address(FileOffset(segments[0].offset + 16)).unwrap();
        assert_eq!((address, *segment), (segments[0].address + 16, segments[0]));
        let text = elf.section(".text").expect("a text section");
        let number = elf.code_section(text.address + 1).expect("within the text section");
        assert_eq!(&elf.sections[usize::from(number)], text);
        assert_eq!(elf.section(".tex"), None, "names are compared to their end");
    }
}
