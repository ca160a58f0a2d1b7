//! Go's own table of functions, files and lines, `gopclntab`: what the run time of a Go program makes its tracebacks
//! from, and so in it however it was stripped.
//!
//! It is tens of megabytes in a large program. Nothing of it is held: where its parts are is kept, functions are found
//! by binary search in the file, and what belongs to one is read when it is wanted.
//!
//! The format is that of the Go sources: `runtime/symtab.go` (`pcHeader`, `moduledata`), `runtime/runtime2.go`
//! (`_func`), `runtime/symtabinl.go` (`inlinedCall`) and `cmd/link/internal/ld/pcln.go`. It changed with Go 1.16, 1.18
//! and 1.20; older ones are not read.

mod find;
mod function;
mod header;
mod lookup;
mod module_data;
mod relocations;
mod values;

use crate::Error;
use crate::dwarf::{Bytes, DebugFrame, Effort, Limits, PagedReader, Pages, Section};
use crate::elf::{Elf, run_time_endian};
use header::{Header, Version};
use lookup::Lookup;
use std::rc::Rc;

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
        let Some((offset, length, header)) = find::header(elf)? else { return Ok(None) };
        let address = elf.address_of_data(offset).ok_or(Error::GoTable("it is in no segment"))?;
        let mut table = Self { offset, length, header, text: header.text, inline_trees: None };
        let module = module_data::find(elf, address, &header)?;
        if let Some(module) = &module {
            table.text = module.text;
        }
        if table.text == 0 && header.version != Version::Go116 {
            return Err(Error::GoTable("where its functions begin is not known"));
        }
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
