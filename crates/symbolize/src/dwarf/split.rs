//! Debug information that was not linked but left in the files of the compiler (`-gsplit-dwarf`), or gathered from those
//! in a package.
//!
//! What is linked of a unit is its skeleton: where its code and its lines are, and which file has the rest. See section
//! 3.1.3 of DWARF 5, and for version 4 <https://gcc.gnu.org/wiki/DebugFission>.

use super::pages::{Effort, Pages};
use super::reader::{Bytes, PagedReader, Section};
use super::sections::{Kind, Sections};
use super::unit::OpenUnit;
use super::{Limits, MAX_PAGES};
use crate::Error;
use crate::elf::{Elf, run_time_endian};
use gimli::{Dwarf, DwarfPackage, DwoId, Reader, SectionId};
use object::Endianness;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

/// Bytes of a path that are looked at.
const MAX_PATH_BYTES: u64 = 4096;
/// Units of one file that are looked at: compilers write one, and linkers that optimise some more.
const MAX_UNITS: usize = 1024;
/// Sections of a package that are of no interest here, but which its index has the parts of.
const UNREAD: [SectionId; 5] = [
    SectionId::DebugLoc,
    SectionId::DebugLocLists,
    SectionId::DebugMacinfo,
    SectionId::DebugMacro,
    SectionId::DebugTypes,
];

/// Gives out the files that have what was split off from a binary.
///
/// Paths in a binary are those of whoever built it. Whoever implements this decides where they may lead; only regular
/// files may be given out.
pub trait SplitFiles: fmt::Debug {
    /// The package of the binary, which lies beside it, as `program.dwp` beside `program`.
    fn package(&self) -> Option<File>;

    /// The file that the compiler has left at a path.
    fn object(&self, path: &Path) -> Option<File>;
}

/// What was split off from a unit.
pub(crate) struct Split {
    pub(crate) dwarf: Dwarf<PagedReader>,
    pub(crate) unit: Rc<OpenUnit>,
}

/// What was split off from the units of a binary, as far as a lookup needs it. One file is open at a time, beside the
/// package.
#[derive(Debug)]
pub(crate) struct Splits<'a> {
    files: Option<&'a dyn SplitFiles>,
    main: &'a Dwarf<PagedReader>,
    effort: Rc<Effort>,
    limits: Limits,
    /// Once it was asked for.
    package: Option<Option<DwarfPackage<PagedReader>>>,
}

impl<'a> Splits<'a> {
    pub(crate) fn new(
        files: Option<&'a dyn SplitFiles>,
        main: &'a Dwarf<PagedReader>,
        effort: Rc<Effort>,
        limits: Limits,
    ) -> Self {
        Self { files, main, effort, limits, package: None }
    }

    /// What was split off from a unit; `None` if it is whole.
    pub(crate) fn of(&mut self, skeleton: &OpenUnit) -> Result<Option<Split>, Error> {
        let (Some(id), Some(path)) = (skeleton.unit.dwo_id, path_of(skeleton)) else { return Ok(None) };
        let files = self.files.ok_or(Error::Split("there is nothing to find it by"))?;
        // A package that cannot be read is none.
        if let Some(dwarf) = self.in_package(files, id).unwrap_or_default() {
            return self.find(dwarf, id, skeleton);
        }
        let file = files.object(&path).ok_or(Error::Split("it is not there"))?;
        let elf = Elf::read(&file)?;
        let sections = Sections::read(&elf, self.limits.inflated_bytes, Kind::Split)?;
        let sections = sections.ok_or(Error::Split("it is not in the file it should be in"))?;
        let mut dwarf = sections.open(elf.endian, &pages_of(&elf)?, &self.effort);
        dwarf.make_dwo(self.main);
        self.find(dwarf, id, skeleton)
    }

    fn in_package(&mut self, files: &dyn SplitFiles, id: DwoId) -> Result<Option<Dwarf<PagedReader>>, Error> {
        if self.package.is_none() {
            self.package = Some(None);
            self.package = Some(self.open_package(files)?);
        }
        let Some(Some(package)) = &self.package else { return Ok(None) };
        Ok(package.find_cu(id, self.main)?)
    }

    fn open_package(&self, files: &dyn SplitFiles) -> Result<Option<DwarfPackage<PagedReader>>, Error> {
        let Some(file) = files.package() else { return Ok(None) };
        let elf = Elf::read(&file)?;
        let sections = Sections::read(&elf, self.limits.inflated_bytes, Kind::Package)?;
        let Some(sections) = sections else { return Ok(None) };
        let pages = pages_of(&elf)?;
        let section = |id| {
            let endian = elf.endian;
            Ok::<_, gimli::Error>(match UNREAD.contains(&id) {
                true => unread(endian, &self.effort),
                false => sections.section(id, endian, &pages, &self.effort),
            })
        };
        let mut empty = unread(elf.endian, &self.effort);
        empty.empty();
        Ok(Some(DwarfPackage::load(section, empty)?))
    }

    /// The unit with an id in what was split off. A unit of another build has another id.
    fn find(
        &self,
        dwarf: Dwarf<PagedReader>,
        id: DwoId,
        skeleton: &OpenUnit,
    ) -> Result<Option<Split>, Error> {
        let mut headers = dwarf.units();
        for _ in 0..MAX_UNITS {
            let Some(header) = headers.next()? else { break };
            let (mut unit, _) = OpenUnit::open(&dwarf, header, &self.effort)?;
            if unit.unit.dwo_id == Some(id) {
                unit.unit.copy_relocated_attributes(&skeleton.unit);
                return Ok(Some(Split { dwarf, unit: Rc::new(unit) }));
            }
        }
        Err(Error::Split("what is there is another build's"))
    }
}

/// A reader of which parts can be taken, but nothing read.
fn unread(endian: Endianness, effort: &Rc<Effort>) -> PagedReader {
    PagedReader::new(Section {
        bytes: Bytes::Memory(Arc::default()),
        length: i64::MAX as u64,
        endian: run_time_endian(endian),
        effort: effort.clone(),
    })
}

fn pages_of(elf: &Elf<'_>) -> Result<Rc<Pages>, Error> {
    Ok(Rc::new(Pages::new(elf.file.try_clone()?, MAX_PAGES / 2)))
}

/// Where the compiler has left what was split off from a unit.
fn path_of(skeleton: &OpenUnit) -> Option<PathBuf> {
    let text = |text: &PagedReader| text.text(MAX_PATH_BYTES).ok();
    let name = text(skeleton.split_name.as_ref()?)?;
    let directory = skeleton.unit.comp_dir.as_ref().and_then(text).unwrap_or_default();
    Some(Path::new(&directory).join(name))
}
