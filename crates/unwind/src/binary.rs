//! The sections of a binary that describe its frames.

use crate::go::{GoFile, GoFrames, Outline};
use crate::undescribed::Undescribed;
use crate::{Arch, Compiled, Elsewhere, Error, MachineCode, Sections, compile_with};
use gimli::{EndianArcSlice, LittleEndian};
use object::elf::{
    ET_DYN, ET_EXEC, FileHeader64, PF_W, PF_X, PT_DYNAMIC, PT_LOAD, SHF_EXECINSTR, SHT_NOBITS,
};
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader, SectionHeader};
use object::{LittleEndian as Little, Object, ObjectSection, ObjectSymbol, ReadCache, ReadRef, SymbolKind};
use std::cell::RefCell;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

/// A section that is larger is left alone; that of a large browser has 30 MiB. It is held in memory while the table is made.
const MAX_SECTION_BYTES: u64 = 64 << 20;
/// Executable segments that are looked at; linkers write one or two.
const MAX_SEGMENTS: usize = 16;

/// What is needed of a binary to unwind it.
#[derive(Clone, Debug)]
pub struct Binary {
    /// The table.
    pub compiled: Compiled,
    /// How its file lies in memory.
    pub layout: Layout,
}

/// How a file lies in memory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layout {
    base: u64,
    segments: Vec<Segment>,
}

/// An executable segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Segment {
    offset: u64,
    address: u64,
    bytes: u64,
}

impl Binary {
    /// Reads a file, or what is left of one in memory, and makes its table. Only what is needed is read.
    ///
    /// # Errors
    ///
    /// If it is no ELF file of a machine that can be unwound, or its call frame information makes no sense.
    pub fn read<R: Read + Seek>(from: R) -> Result<Self, Error> {
        let from = Shared(Rc::new(RefCell::new(from)));
        let mut described = Described::read(from.clone())?;
        // What has been read so far is not kept: a large binary's sections are in memory once only.
        let cache = ReadCache::new(from.clone());
        let elf = ElfFile64::parse(&cache).map_err(Error::NotElf)?;
        let mut compile = |tells_rbx| {
            let Described { arch, code, outline, .. } = described.clone();
            let loaded = |address, bytes| constant_bytes(&elf, address, bytes);
            let mut sources: Vec<Box<dyn Undescribed + '_>> = Vec::new();
            if arch == Arch::X86_64 {
                if let Some(go) = GoFrames::find(GoFile::new(from.clone(), outline)) {
                    // It is made from Go's table, and says less.
                    described.sections.debug_frame = None;
                    sources.push(Box::new(go));
                }
                sources.push(Box::new(MachineCode::new(code.clone(), &loaded, || functions(&elf))));
            }
            let sections = Sections { tells_rbx, ..described.sections.clone() };
            compile_with(arch, sections, Elsewhere { code, sources })
        };
        let mut compiled = compile(false)?;
        if compiled.by_rbx > 0 {
            compiled = compile(true)?;
        }
        let base = compiled.table.base();
        Ok(Self { compiled, layout: Layout { base, segments: described.segments } })
    }
}

/// A file from which several read in turns, each from where it says.
struct Shared<R>(Rc<RefCell<R>>);

impl<R> Clone for Shared<R> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<R: Read> Read for Shared<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().read(into)
    }
}

impl<R: Seek> Seek for Shared<R> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.0.borrow_mut().seek(to)
    }
}

/// What a file says of itself.
#[derive(Clone)]
struct Described {
    arch: Arch,
    segments: Vec<Segment>,
    sections: Sections<Bytes>,
    code: Vec<Range<u64>>,
    outline: Outline,
}

impl Described {
    fn read<R: Read + Seek>(from: R) -> Result<Self, Error> {
        let cache = ReadCache::new(from);
        let elf = ElfFile64::<Little, _>::parse(&cache).map_err(Error::NotElf)?;
        let header = elf.elf_header();
        let kind = header.e_type(Little);
        let arch = match header.e_machine(Little) {
            object::elf::EM_X86_64 => Arch::X86_64,
            object::elf::EM_AARCH64 => Arch::Aarch64,
            _ => return Err(Error::OtherMachine),
        };
        if kind != ET_DYN && kind != ET_EXEC {
            return Err(Error::OtherMachine);
        }
        let segments = executable_segments(&elf);
        let address = |name| elf.section_by_name(name).map_or(0, |section| section.address());
        let sections = Sections {
            start: segments.iter().map(|segment| segment.address).min().unwrap_or(0),
            eh_frame: bytes(&elf, ".eh_frame")?,
            debug_frame: bytes(&elf, ".debug_frame")?.map(|(bytes, _)| bytes),
            text: address(".text"),
            got: address(".got"),
            tells_rbx: false,
        };
        Ok(Self { arch, segments, sections, code: code(&elf), outline: outline(&elf) })
    }
}

impl Layout {
    /// The position in the table of a byte of the file, if it is in an executable segment.
    pub fn position(&self, offset: u64) -> Option<u32> {
        let segment = self
            .segments
            .iter()
            .find(|segment| offset.checked_sub(segment.offset).is_some_and(|at| at < segment.bytes))?;
        let address = segment.address.checked_add(offset - segment.offset)?;
        u32::try_from(address.checked_sub(self.base)?).ok()
    }
}

type Elf<'a, R> = ElfFile64<'a, Little, R>;

fn executable_segments<'a, R: ReadRef<'a>>(elf: &Elf<'a, R>) -> Vec<Segment> {
    let headers: &[<FileHeader64<Little> as FileHeader>::ProgramHeader] = elf.elf_program_headers();
    let executable = headers
        .iter()
        .filter(|header| header.p_type(Little) == PT_LOAD && header.p_flags(Little).contains(PF_X));
    let segment = |header: &&_| {
        let header: &object::elf::ProgramHeader64<Little> = header;
        // The loader maps whole pages.
        let before = header.p_offset(Little) % PAGE_BYTES;
        Segment {
            offset: header.p_offset(Little) - before,
            address: header.p_vaddr(Little).saturating_sub(before),
            bytes: header.p_filesz(Little).saturating_add(before).next_multiple_of(PAGE_BYTES),
        }
    };
    executable.take(MAX_SEGMENTS).map(|header| segment(&header)).collect()
}

const PAGE_BYTES: u64 = 4096;

/// Sections and segments that are kept in mind of a file that may be a Go program's.
const MAX_OUTLINED: usize = 4096;

fn outline<'a, R: ReadRef<'a>>(elf: &Elf<'a, R>) -> Outline {
    let mut outline = Outline::default();
    for header in elf.elf_program_headers().iter().take(MAX_OUTLINED) {
        let (offset, file_bytes) = (header.p_offset(Little), header.p_filesz(Little));
        match header.p_type(Little) {
            PT_LOAD => outline.segments.push(telegen_gotable::Segment {
                address: header.p_vaddr(Little),
                offset,
                file_bytes,
                executable: header.p_flags(Little).contains(PF_X),
            }),
            PT_DYNAMIC => outline.dynamic = Some((offset, file_bytes)),
            _ => {}
        }
    }
    let in_file = elf.sections().take(MAX_OUTLINED).filter_map(|section| {
        let (offset, bytes) = section.file_range()?;
        Some((section.name().ok()?.to_owned(), offset, bytes))
    });
    outline.sections.extend(in_file);
    outline
}

/// Executable sections that are looked at; linkers write five to ten.
const MAX_CODE_SECTIONS: usize = 256;

/// Where code is, ascending and apart: the executable sections, since a segment may hold more than code, or the segments if there are
/// no sections.
fn code<'a, R: ReadRef<'a>>(elf: &Elf<'a, R>) -> Vec<Range<u64>> {
    let range = |start: u64, bytes: u64| start..start.saturating_add(bytes);
    let sections = elf.elf_section_table().iter();
    let mut code: Vec<_> = sections
        .filter(|section| section.sh_flags(Little).contains(SHF_EXECINSTR))
        .filter(|section| section.sh_type(Little) != SHT_NOBITS)
        .take(MAX_CODE_SECTIONS)
        .map(|section| range(section.sh_addr(Little), section.sh_size(Little)))
        .collect();
    if code.is_empty() {
        let headers = elf.elf_program_headers().iter();
        let executable = headers
            .filter(|header| header.p_type(Little) == PT_LOAD && header.p_flags(Little).contains(PF_X));
        code.extend(
            executable
                .take(MAX_SEGMENTS)
                .map(|header| range(header.p_vaddr(Little), header.p_filesz(Little))),
        );
    }
    code.sort_by_key(|range| range.start);
    let mut end = 0;
    code.retain_mut(|range| {
        range.start = range.start.max(end);
        end = end.max(range.end);
        range.start < range.end
    });
    code
}

/// Symbols that are looked at, of each table.
const MAX_SYMBOLS: usize = 1 << 20;

/// Bytes that are in memory as they are in the file.
fn constant_bytes<'a, R: ReadRef<'a>>(elf: &Elf<'a, R>, address: u64, bytes: usize) -> Option<Vec<u8>> {
    let mut headers = elf.elf_program_headers().iter();
    let bytes = u64::try_from(bytes).ok()?;
    let at = headers.find_map(|header| {
        let is_constant = header.p_type(Little) == PT_LOAD && !header.p_flags(Little).contains(PF_W);
        let within = address.checked_sub(header.p_vaddr(Little)).filter(|_| is_constant)?;
        let is_inside = within.checked_add(bytes)? <= header.p_filesz(Little);
        header.p_offset(Little).checked_add(within).filter(|_| is_inside)
    })?;
    elf.data().read_bytes_at(at, bytes).ok().map(<[u8]>::to_vec)
}

/// Symbols whose names are read. Of more, those that only their own file refers to are left out: some are no functions, but parts that
/// stand apart from them, which only their names tell.
const MAX_NAMED_SYMBOLS: usize = 16 << 10;

/// Where functions begin, as symbols tell.
fn functions<'a, R: ReadRef<'a>>(elf: &Elf<'a, R>) -> Vec<u64> {
    let are_named = elf.elf_symbol_table().len() <= MAX_NAMED_SYMBOLS;
    let is_part = |name: &[u8]| name.ends_with(b".cold") || name.windows(6).any(|part| part == b".cold.");
    let symbols = elf.dynamic_symbols().take(MAX_SYMBOLS).chain(elf.symbols().take(MAX_SYMBOLS));
    let functions = symbols.filter(|symbol| {
        let is_function = symbol.kind() == SymbolKind::Text && !symbol.is_undefined();
        is_function
            && (symbol.is_global() || are_named && symbol.name_bytes().is_ok_and(|name| !is_part(name)))
    });
    functions.map(|symbol| symbol.address()).chain([elf.entry()]).collect()
}

type Bytes = EndianArcSlice<LittleEndian>;

/// A section's bytes, and where it stands.
fn bytes<'a, R: ReadRef<'a>>(elf: &Elf<'a, R>, name: &'static str) -> Result<Option<(Bytes, u64)>, Error> {
    let Some(section) = elf.section_by_name(name) else { return Ok(None) };
    let in_file = section.compressed_file_range().map_err(Error::NotElf)?;
    if in_file.uncompressed_size > MAX_SECTION_BYTES || in_file.compressed_size > MAX_SECTION_BYTES {
        return Err(Error::TooLarge { what: "bytes", limit: MAX_SECTION_BYTES as usize });
    }
    if in_file.uncompressed_size == 0 {
        return Ok(None);
    }
    let data = section.uncompressed_data().map_err(Error::NotElf)?;
    Ok(Some((Bytes::new(Arc::from(&*data), LittleEndian), section.address())))
}
