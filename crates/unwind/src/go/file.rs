//! A Go program's file, read in pieces of bounded size.

use object::Endianness;
use std::cell::RefCell;
use std::io::{self, Read, Seek, SeekFrom};
use telegen_gotable::{Image, Segment};

const PAGE_BYTES: u64 = 16 << 10;
/// 1 MiB in all: the table is gone through in several places at once, ascending in most of them.
const PAGES: usize = 64;

/// What is known of a file besides its bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outline {
    pub(crate) segments: Vec<Segment>,
    /// Names, offsets and sizes of those that have bytes in the file.
    pub(crate) sections: Vec<(String, u64, u64)>,
    pub(crate) dynamic: Option<(u64, u64)>,
}

/// The file.
pub(crate) struct GoFile<R> {
    from: RefCell<R>,
    outline: Outline,
    /// Each page of the file has one place here, which it shares with others.
    pages: Vec<Option<(u64, Vec<u8>)>>,
}

impl<R: Read + Seek> GoFile<R> {
    pub(crate) fn new(from: R, outline: Outline) -> Self {
        Self { from: RefCell::new(from), outline, pages: vec![None; PAGES] }
    }

    /// As many bytes as there are from an offset on, but no more than `most`.
    pub(crate) fn bytes(&mut self, mut offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(most);
        while bytes.len() < most {
            let number = offset / PAGE_BYTES;
            let place = (number % PAGES as u64) as usize;
            if self.pages[place].as_ref().is_none_or(|page| page.0 != number) {
                let read = self.read_up_to(number * PAGE_BYTES, PAGE_BYTES as usize)?;
                self.pages[place] = Some((number, read));
            }
            let page = self.pages[place].as_ref().map_or(&[][..], |page| &page.1);
            let rest = page.get((offset % PAGE_BYTES) as usize..).unwrap_or_default();
            let wanted = rest.len().min(most - bytes.len());
            if wanted == 0 {
                break;
            }
            bytes.extend_from_slice(&rest[..wanted]);
            offset = offset.saturating_add(wanted as u64);
        }
        Ok(bytes)
    }

    /// The same of bytes that are linked to stand at an address.
    pub(crate) fn code(&mut self, address: u64, most: usize) -> io::Result<Vec<u8>> {
        self.offset_of(address).map_or(Ok(Vec::new()), |offset| self.bytes(offset, most))
    }
}

impl<R: Read + Seek> Image for GoFile<R> {
    fn endian(&self) -> Endianness {
        Endianness::Little
    }

    fn is_64(&self) -> bool {
        true
    }

    fn segments(&self) -> Vec<Segment> {
        self.outline.segments.clone()
    }

    fn section(&self, name: &str) -> Option<(u64, u64)> {
        let section = self.outline.sections.iter().find(|section| section.0 == name)?;
        Some((section.1, section.2))
    }

    fn has_sections(&self) -> bool {
        !self.outline.sections.is_empty()
    }

    fn dynamic(&self) -> Option<(u64, u64)> {
        self.outline.dynamic
    }

    fn read_up_to(&self, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let mut from = self.from.borrow_mut();
        from.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::with_capacity(most);
        from.by_ref().take(most as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
