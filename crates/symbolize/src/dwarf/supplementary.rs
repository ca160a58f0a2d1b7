//! The supplementary file of dwz, in which is what several files have in common.

use super::pages::Effort;
use super::reader::PagedReader;
use super::sections::{Kind, Sections};
use super::{index::UnitIndex, pages_of};
use crate::Error;
use crate::elf::Elf;
use gimli::Dwarf;
use std::rc::Rc;

/// What is kept of a supplementary file.
#[derive(Debug)]
pub(crate) struct Supplementary {
    sections: Sections,
    /// Of its units it tells where they are: none has code.
    pub(crate) index: UnitIndex,
}

impl Supplementary {
    /// Reads which units there are; `None` if the file has no debug information.
    pub(crate) fn read(elf: &Elf<'_>, most: usize, effort: &Rc<Effort>) -> Result<Option<Self>, Error> {
        let Some(sections) = Sections::read(elf, most, Kind::Linked)? else { return Ok(None) };
        let index = UnitIndex::read(&sections.open(elf.endian, &pages_of(elf)?, effort), effort)?;
        Ok(Some(Self { sections, index }))
    }

    /// Readers of its sections.
    pub(crate) fn open(&self, elf: &Elf<'_>, effort: &Rc<Effort>) -> Result<Dwarf<PagedReader>, Error> {
        Ok(self.sections.open(elf.endian, &pages_of(elf)?, effort))
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.sections.bytes() + self.index.bytes()
    }
}
