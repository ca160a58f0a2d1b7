//! Names by Go's own table of functions, files and lines.
//!
//! Nothing of it is held: where its parts are is kept, functions are found by binary search in the file, and what belongs to
//! one is read when it is wanted.

mod lookup;

use crate::Error;
use crate::dwarf::{Bytes, DebugFrame, Effort, Limits, PagedReader, Pages, Section};
use crate::elf::{Elf, read_up_to, run_time_endian};
use lookup::Lookup;
use std::io;
use std::rc::Rc;
use telegen_gotable::{Header, Image, Segment, Table};

/// Pages of a file that are held while it is read: 1 MiB.
const MAX_PAGES: usize = 64;
/// What going to another place in the file costs beside what is read there: a page may have to be fetched.
const JUMP_EFFORT: u64 = 500;

/// Where the parts of a file's table are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GoTable {
    /// Where in the file it begins.
    offset: u64,
    /// Bytes up to the end of its section, or of the segment.
    length: u64,
    header: Header,
    /// The address that functions are counted from.
    text: u64,
    /// The address that the lists of inlined calls are counted from, if known.
    inline_trees: Option<u64>,
}

impl GoTable {
    /// Finds the table of a file; `None` if it is no Go program's.
    pub(crate) fn find(elf: &Elf<'_>, limits: Limits) -> Result<Option<Self>, Error> {
        let effort = Rc::new(Effort::new(limits.effort));
        let Some(Table { offset, length, header, text, module }) = Table::find(elf)? else {
            return Ok(None);
        };
        let mut table = Self { offset, length, header, text, inline_trees: None };
        let lookup = Lookup::new(&table, elf, &effort)?;
        table.inline_trees = match &module {
            // A damaged list costs the inlined calls only.
            Some(module) => lookup.find_inline_trees(module).unwrap_or_default(),
            None => None,
        };
        Ok(Some(table))
    }

    /// The functions at each of some ascending addresses, innermost first; none where there is no Go code.
    /// Beside them stands what has kept it from knowing more.
    pub(crate) fn frames(
        &self,
        elf: &Elf<'_>,
        addresses: &[u64],
        limits: Limits,
    ) -> (Vec<Vec<DebugFrame>>, Option<Error>) {
        let effort = Rc::new(Effort::new(limits.effort));
        let mut lookup = match Lookup::new(self, elf, &effort) {
            Ok(lookup) => lookup,
            Err(error) => return (vec![Vec::new(); addresses.len()], Some(error)),
        };
        let (frames, failure) = lookup.run(addresses);
        let failure = match failure {
            _ if effort.is_spent() => Some(Error::TooCostly),
            Some(_) => Some(Error::GoTable("it contradicts itself, or ends too soon")),
            None => None,
        };
        (frames, failure)
    }
}

/// A reader of a part of a file.
fn reader(elf: &Elf<'_>, pages: &Rc<Pages>, offset: u64, length: u64, effort: &Rc<Effort>) -> PagedReader {
    PagedReader::new(Section {
        bytes: Bytes::File { pages: pages.clone(), offset },
        length,
        endian: run_time_endian(elf.endian),
        effort: effort.clone(),
    })
}

impl Image for Elf<'_> {
    fn endian(&self) -> object::Endianness {
        self.endian
    }

    fn is_64(&self) -> bool {
        self.is_64
    }

    fn segments(&self) -> Vec<Segment> {
        let segment = |segment: &crate::Segment| Segment {
            address: segment.address,
            offset: segment.offset,
            file_bytes: segment.file_bytes,
            executable: segment.executable,
        };
        self.segments.iter().map(segment).collect()
    }

    fn section(&self, name: &str) -> Option<(u64, u64)> {
        self.section(name).map(|section| (section.offset, section.bytes))
    }

    fn has_sections(&self) -> bool {
        !self.sections.is_empty()
    }

    fn dynamic(&self) -> Option<(u64, u64)> {
        self.dynamic
    }

    fn read_up_to(&self, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        read_up_to(self.file, offset, most).map_err(|error| match error {
            Error::Io(error) => error,
            error => io::Error::other(error),
        })
    }
}

impl From<telegen_gotable::Error> for Error {
    fn from(error: telegen_gotable::Error) -> Self {
        match error {
            telegen_gotable::Error::Io(error) => Self::Io(error),
            telegen_gotable::Error::Damaged(what) => Self::Damaged(what),
            telegen_gotable::Error::Table(what) => Self::GoTable(what),
            _ => Self::GoTable("it cannot be read"),
        }
    }
}
