//! The functions that a section describes, in the order of their addresses.

use crate::Error;
use gimli::{BaseAddresses, CieOrFde, CommonInformationEntry, FrameDescriptionEntry, Reader, UnwindSection};
use hashbrown::HashMap;
use hashbrown::hash_map::Entry as CieEntry;

/// Functions of one binary; a browser has about a million.
const MAX_FUNCTIONS: usize = 8 << 20;
/// Kinds of functions; a linker leaves one or two for each object file that has its own.
const MAX_CIES: usize = 64 << 10;

/// A function's place in memory and in the section.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Function<O> {
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) entry: O,
}

/// The functions of a section, by address.
pub(crate) struct Functions<O> {
    pub(crate) list: Vec<Function<O>>,
    /// Entries that could not be read.
    pub(crate) damaged: u64,
}

impl<O> Functions<O> {
    pub(crate) fn none() -> Self {
        Self { list: Vec::new(), damaged: 0 }
    }
}

/// A section of call frame information.
pub(crate) struct Entries<S, R: Reader> {
    pub(crate) section: S,
    pub(crate) bases: BaseAddresses,
    cies: HashMap<R::Offset, CommonInformationEntry<R>, foldhash::fast::FixedState>,
}

impl<S: UnwindSection<R>, R: Reader> Entries<S, R>
where
    R::Offset: std::hash::Hash,
{
    pub(crate) fn new(section: S, bases: BaseAddresses) -> Self {
        Self { section, bases, cies: HashMap::default() }
    }

    /// All functions. Of those that overlap the first in the section stays.
    pub(crate) fn functions(&mut self) -> Result<Functions<R::Offset>, Error> {
        let (section, bases) = (self.section.clone(), self.bases.clone());
        let mut entries = section.entries(&bases);
        let mut functions = Vec::new();
        let mut damaged = 0;
        loop {
            let partial = match entries.next() {
                Ok(None) => break,
                Ok(Some(CieOrFde::Cie(_))) => continue,
                Ok(Some(CieOrFde::Fde(partial))) => partial,
                // The length is what leads to the next entry, so nothing can be found after one that makes no sense.
                Err(error) if functions.is_empty() => return Err(error.into()),
                Err(_) => {
                    damaged += 1;
                    break;
                }
            };
            match partial.parse(|section, bases, offset| self.cie(section, bases, offset)) {
                Ok(fde) if fde.len() > 0 => functions.push(Function {
                    start: fde.initial_address(),
                    end: fde.end_address(),
                    entry: fde.offset(),
                }),
                Ok(_) => {}
                Err(_) => damaged += 1,
            }
            if functions.len() > MAX_FUNCTIONS {
                return Err(Error::TooLarge { what: "functions", limit: MAX_FUNCTIONS });
            }
        }
        functions.sort_by_key(|function| function.start);
        let mut end = 0;
        functions.retain(|function| {
            let apart = function.start >= end;
            if apart {
                end = function.end;
            }
            apart
        });
        Ok(Functions { list: functions, damaged })
    }

    /// The entry of a function.
    pub(crate) fn entry(
        &mut self,
        function: &Function<R::Offset>,
    ) -> gimli::Result<FrameDescriptionEntry<R>> {
        let (section, bases) = (self.section.clone(), self.bases.clone());
        section.fde_from_offset(&bases, function.entry.into(), |section, bases, offset| {
            self.cie(section, bases, offset)
        })
    }

    fn cie(
        &mut self,
        section: &S,
        bases: &BaseAddresses,
        offset: S::Offset,
    ) -> gimli::Result<CommonInformationEntry<R>> {
        let full = self.cies.len() >= MAX_CIES;
        match self.cies.entry(gimli::UnwindOffset::into(offset)) {
            CieEntry::Occupied(known) => Ok(known.get().clone()),
            CieEntry::Vacant(_) if full => section.cie_from_offset(bases, offset),
            CieEntry::Vacant(new) => Ok(new.insert(section.cie_from_offset(bases, offset)?).clone()),
        }
    }
}
