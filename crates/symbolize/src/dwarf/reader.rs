//! Sections as gimli reads them, without having them in memory.

use super::pages::{Effort, PAGE_BYTES, Pages};
use gimli::{Error, Reader, ReaderOffsetId, Result, RunTimeEndian};
use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

/// The longest piece that is handed out in one: names and paths are far shorter.
const MAX_PIECE: u64 = 64 << 10;

/// The bytes of a section.
#[derive(Debug)]
pub(crate) struct Section {
    pub(crate) bytes: Bytes,
    pub(crate) length: u64,
    pub(crate) endian: RunTimeEndian,
    pub(crate) effort: Rc<Effort>,
}

/// Where the bytes of a section are.
#[derive(Debug)]
pub(crate) enum Bytes {
    /// In the file, from this offset on.
    File { pages: Rc<Pages>, offset: u64 },
    /// In memory: it was compressed.
    Memory(Arc<[u8]>),
}

impl Section {
    /// The bytes around a position that are held together, and the position of the first of them, which lies before
    /// the section (and hence wraps around) if the section begins within a page.
    fn page(&self, position: u64) -> Result<(Arc<[u8]>, u64)> {
        match &self.bytes {
            Bytes::Memory(bytes) => Ok((bytes.clone(), 0)),
            Bytes::File { pages, offset } => {
                let number = offset.checked_add(position).ok_or(Error::Io)? / PAGE_BYTES;
                Ok((pages.page(number)?, (number * PAGE_BYTES).wrapping_sub(*offset)))
            }
        }
    }
}

/// A range of a section. It keeps hold of the page that was read last, as most reads are a few bytes further on.
#[derive(Clone)]
pub(crate) struct PagedReader {
    section: Rc<Section>,
    position: u64,
    end: u64,
    page: Arc<[u8]>,
    page_start: u64,
}

impl PagedReader {
    /// All of a section.
    pub(crate) fn new(section: Section) -> Self {
        let end = section.length;
        Self { section: Rc::new(section), position: 0, end, page: Arc::default(), page_start: 0 }
    }

    /// The first bytes of the range as text, with what is not UTF-8 replaced.
    pub(crate) fn text(&self, most: u64) -> Result<String> {
        let mut head = self.clone();
        head.truncate(self.len().min(most))?;
        let mut bytes = vec![0; head.len() as usize];
        head.read_slice(&mut bytes)?;
        Ok(String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// `length` bytes at the position, if they are within the page at hand.
    #[inline]
    fn at_hand(&self, length: usize) -> Option<&[u8]> {
        let at = usize::try_from(self.position.wrapping_sub(self.page_start)).ok()?;
        self.page.get(at..at.checked_add(length)?)
    }

    fn turn_page(&mut self) -> Result<()> {
        (self.page, self.page_start) = self.section.page(self.position)?;
        Ok(())
    }

    /// The bytes at the position up to the end of its page or of the range; an error if the file ends before.
    fn piece(&mut self) -> Result<&[u8]> {
        if self.at_hand(1).is_none() {
            self.turn_page()?;
        }
        let at = usize::try_from(self.position.wrapping_sub(self.page_start)).map_err(|_| Error::Io)?;
        let most = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
        match self.page.get(at..) {
            Some(piece) if !piece.is_empty() => Ok(&piece[..piece.len().min(most)]),
            _ => Err(Error::Io),
        }
    }

    #[cold]
    fn read_across_pages(&mut self, mut out: &mut [u8]) -> Result<()> {
        while !out.is_empty() {
            let piece = self.piece()?;
            let length = piece.len().min(out.len());
            let (now, later) = out.split_at_mut(length);
            now.copy_from_slice(&piece[..length]);
            out = later;
            self.position += length as u64;
        }
        Ok(())
    }

    fn at_end(&self) -> Error {
        Error::UnexpectedEof(self.offset_id())
    }
}

impl fmt::Debug for PagedReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PagedReader({}..{})", self.position, self.end)
    }
}

impl Reader for PagedReader {
    type Endian = RunTimeEndian;
    type Offset = u64;

    fn endian(&self) -> RunTimeEndian {
        self.section.endian
    }

    #[inline]
    fn len(&self) -> u64 {
        self.end - self.position
    }

    fn empty(&mut self) {
        self.end = self.position;
    }

    fn truncate(&mut self, length: u64) -> Result<()> {
        if length > self.len() {
            return Err(self.at_end());
        }
        self.end = self.position + length;
        Ok(())
    }

    fn offset_from(&self, base: &Self) -> u64 {
        self.position.wrapping_sub(base.position)
    }

    fn offset_id(&self) -> ReaderOffsetId {
        ReaderOffsetId(self.position)
    }

    fn lookup_offset_id(&self, id: ReaderOffsetId) -> Option<u64> {
        id.0.checked_sub(self.position).filter(|&offset| offset <= self.len())
    }

    fn find(&self, byte: u8) -> Result<u64> {
        let mut reader = self.clone();
        while reader.position < self.end && reader.position - self.position < MAX_PIECE {
            let piece = reader.piece()?;
            let length = piece.len() as u64;
            if let Some(at) = piece.iter().position(|&found| found == byte) {
                self.section.effort.spend(1 + at as u64 / 16)?;
                return Ok(reader.position - self.position + at as u64);
            }
            self.section.effort.spend(1 + length / 16)?;
            reader.position += length;
        }
        Err(self.at_end())
    }

    #[inline]
    fn skip(&mut self, length: u64) -> Result<()> {
        if length > self.len() {
            return Err(self.at_end());
        }
        self.position += length;
        Ok(())
    }

    fn split(&mut self, length: u64) -> Result<Self> {
        self.section.effort.spend(1)?;
        let mut first = self.clone();
        first.truncate(length)?;
        self.position += length;
        Ok(first)
    }

    fn to_slice(&self) -> Result<Cow<'_, [u8]>> {
        if self.len() > MAX_PIECE {
            return Err(Error::Io);
        }
        let length = self.len() as usize;
        if let Some(bytes) = self.at_hand(length) {
            return Ok(bytes.into());
        }
        let mut bytes = vec![0; length];
        self.clone().read_slice(&mut bytes)?;
        Ok(bytes.into())
    }

    fn to_string(&self) -> Result<Cow<'_, str>> {
        String::from_utf8(self.to_slice()?.into_owned()).map(Cow::Owned).map_err(|_| Error::BadUtf8)
    }

    fn to_string_lossy(&self) -> Result<Cow<'_, str>> {
        Ok(String::from_utf8_lossy(&self.to_slice()?).into_owned().into())
    }

    #[inline]
    fn read_slice(&mut self, out: &mut [u8]) -> Result<()> {
        if out.len() as u64 > self.len() {
            return Err(self.at_end());
        }
        self.section.effort.spend(1)?;
        match self.at_hand(out.len()) {
            Some(bytes) => {
                out.copy_from_slice(bytes);
                self.position += out.len() as u64;
                Ok(())
            }
            None => self.read_across_pages(out),
        }
    }

    /// Most of what DWARF consists of is bytes: tags, LEB128, opcodes.
    #[inline]
    fn read_u8(&mut self) -> Result<u8> {
        if self.position >= self.end {
            return Err(self.at_end());
        }
        self.section.effort.spend(1)?;
        let byte = match self.at_hand(1) {
            Some(bytes) => bytes[0],
            None => self.piece()?[0],
        };
        self.position += 1;
        Ok(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gimli::{EndianSlice, LittleEndian};
    use proptest::prelude::*;
    use std::io::Write;

    /// The bytes in a file, behind `before` other ones, in which the section claims to be `length` long.
    fn reader(bytes: &[u8], before: u64, length: u64) -> PagedReader {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![0xee; before as usize]).unwrap();
        file.write_all(bytes).unwrap();
        PagedReader::new(Section {
            bytes: Bytes::File { pages: Rc::new(Pages::new(file, 2)), offset: before },
            length,
            endian: RunTimeEndian::Little,
            effort: Rc::new(Effort::new(1 << 20)),
        })
    }

    fn numbered(length: u64) -> Vec<u8> {
        (0..length).map(|n| (n % 251) as u8).collect()
    }

    #[test]
    fn reads_cross_pages_and_end_with_the_section() {
        let bytes = numbered(2 * PAGE_BYTES + 10);
        let mut reader = reader(&bytes, 3, bytes.len() as u64);
        reader.skip(PAGE_BYTES - 7).unwrap();
        let mut piece = [0; 8];
        reader.read_slice(&mut piece).unwrap();
        assert_eq!(piece, bytes[PAGE_BYTES as usize - 7..][..8]);
        assert_eq!(reader.read_u8().unwrap(), bytes[PAGE_BYTES as usize + 1]);
        reader.skip(PAGE_BYTES + 8).unwrap();
        assert!(matches!(reader.read_u8(), Err(Error::UnexpectedEof(_))));
    }

    #[test]
    fn a_file_that_is_cut_short_is_an_error_and_not_a_signal() {
        let mut reader = reader(&[1; 100], 0, 1_000);
        reader.skip(96).unwrap();
        assert!(reader.clone().read_u32().is_ok());
        assert!(reader.read_u64().is_err());
        reader.skip(500).unwrap();
        assert!(reader.read_u8().is_err());
        assert!(reader.find(7).is_err());
        assert!(reader.to_slice().is_err());
    }

    #[test]
    fn reading_on_and_on_ends_when_the_effort_is_spent() {
        let mut reader = reader(&numbered(100), 0, 100);
        let ends = (0..=1 << 20).any(|_| reader.clone().read_u8().is_err());
        assert!(ends && reader.section.effort.is_spent());
        assert!(reader.read_u8().is_err());
    }

    proptest! {
        #[test]
        fn it_reads_as_a_slice_does(
            before in prop::sample::select(vec![0, 5, PAGE_BYTES - 3, PAGE_BYTES, 3 * PAGE_BYTES - 60]),
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            steps in prop::collection::vec((0u8..7, 0u64..40), 0..30),
        ) {
            let mut paged = reader(&bytes, before, bytes.len() as u64);
            let whole = EndianSlice::new(&bytes, LittleEndian);
            let mut slice = whole;
            for (kind, length) in steps {
                let equal = match kind {
                    0 => paged.skip(length).is_ok() == Reader::skip(&mut slice, length as usize).is_ok(),
                    1 => paged.read_u32().ok() == slice.read_u32().ok(),
                    2 => paged.read_uleb128().ok() == slice.read_uleb128().ok(),
                    3 => paged.find(length as u8).ok() == Reader::find(&slice, length as u8).ok().map(|at| at as u64),
                    4 => paged.read_u8().ok() == slice.read_u8().ok(),
                    5 => paged.text(length).unwrap() == String::from_utf8_lossy(&slice[..slice.len().min(length as usize)]),
                    _ => match (paged.split(length), Reader::split(&mut slice, length as usize)) {
                        (Ok(paged), Ok(slice)) => paged.to_slice().unwrap() == &slice[..],
                        (paged, slice) => paged.is_err() && slice.is_err(),
                    },
                };
                prop_assert!(equal, "step {kind} {length}");
                if paged.len() != slice.len() as u64 {
                    // A number that could not be read may leave the two at different places.
                    break;
                }
            }
        }
    }
}
