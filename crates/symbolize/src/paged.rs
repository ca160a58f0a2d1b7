//! Sections of a file as gimli reads them, without having them in memory.

use crate::elf::read_exact_at;
use gimli::{Error, LittleEndian, Reader, ReaderOffsetId, Result};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::rc::Rc;

const BLOCK_BYTES: usize = 16 << 10;
/// Blocks of one file that are held.
const MAX_BLOCKS: usize = 512;
/// The longest piece that is handed out in one: strings and expressions are far shorter.
const MAX_SLICE: usize = 1 << 20;

/// The blocks of a file that were read last.
pub(crate) struct Blocks {
    file: File,
    held: RefCell<Held>,
}

#[derive(Default)]
struct Held {
    blocks: HashMap<u64, Rc<[u8]>>,
    order: VecDeque<u64>,
    read: u64,
}

impl Blocks {
    pub(crate) fn new(file: File) -> Rc<Self> {
        Rc::new(Self { file, held: RefCell::default() })
    }

    /// Bytes read from the file so far: what has been made of them is about as large.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.held.borrow().read
    }

    /// A block of the file, by number. Only the last one of a file may be shorter.
    fn block(&self, number: u64) -> Result<Rc<[u8]>> {
        let mut held = self.held.borrow_mut();
        if let Some(block) = held.blocks.get(&number) {
            return Ok(block.clone());
        }
        let block: Rc<[u8]> = self.read(number).ok_or(Error::Io)?.into();
        if held.order.len() >= MAX_BLOCKS
            && let Some(oldest) = held.order.pop_front()
        {
            held.blocks.remove(&oldest);
        }
        held.read += block.len() as u64;
        held.order.push_back(number);
        held.blocks.insert(number, block.clone());
        Ok(block)
    }

    fn read(&self, number: u64) -> Option<Vec<u8>> {
        use std::os::unix::fs::FileExt;
        let offset = number.checked_mul(BLOCK_BYTES as u64)?;
        let mut bytes = vec![0; BLOCK_BYTES];
        if read_exact_at(&self.file, &mut bytes, offset).is_err() {
            let read = self.file.read_at(&mut bytes, offset).ok()?;
            bytes.truncate(read);
        }
        Some(bytes)
    }
}

/// Where the bytes of a section are.
#[derive(Clone)]
pub(crate) enum Bytes {
    /// In the file, from this offset on.
    File { blocks: Rc<Blocks>, offset: u64 },
    /// In memory: decompressed.
    Memory(Rc<[u8]>),
}

/// A range of a section.
#[derive(Clone)]
pub(crate) struct PagedReader {
    bytes: Bytes,
    start: usize,
    length: usize,
    /// The block that was read last: most reads are a few bytes further on.
    current: Option<(u64, Rc<[u8]>)>,
}

impl PagedReader {
    /// A section of `length` bytes.
    pub(crate) fn new(bytes: Bytes, length: usize) -> Self {
        Self { bytes, start: 0, length, current: None }
    }

    pub(crate) fn empty_section() -> Self {
        Self::new(Bytes::Memory(Rc::from([])), 0)
    }

    /// Copies bytes from a place relative to the start of this range, which the caller has checked.
    fn copy(&mut self, mut at: usize, mut out: &mut [u8]) -> Result<()> {
        while !out.is_empty() {
            let piece = self.piece(at)?;
            let length = piece.len().min(out.len());
            let (now, later) = out.split_at_mut(length);
            now.copy_from_slice(&piece[..length]);
            out = later;
            at += length;
        }
        Ok(())
    }

    /// The bytes from a place of the section on that lie together; never none.
    fn piece(&mut self, at: usize) -> Result<&[u8]> {
        let (blocks, offset) = match &self.bytes {
            Bytes::Memory(bytes) => {
                return bytes.get(at..).filter(|piece| !piece.is_empty()).ok_or(Error::Io);
            }
            Bytes::File { blocks, offset } => (blocks, *offset),
        };
        let place = offset.checked_add(at as u64).ok_or(Error::Io)?;
        let number = place / BLOCK_BYTES as u64;
        if self.current.as_ref().is_none_or(|(held, _)| *held != number) {
            self.current = Some((number, blocks.block(number)?));
        }
        let block = self.current.as_ref().map_or(&[][..], |(_, block)| block);
        block.get((place % BLOCK_BYTES as u64) as usize..).filter(|piece| !piece.is_empty()).ok_or(Error::Io)
    }

    fn eof(&self) -> Error {
        Error::UnexpectedEof(self.offset_id())
    }
}

impl fmt::Debug for PagedReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PagedReader({}+{})", self.start, self.length)
    }
}

impl Reader for PagedReader {
    type Endian = LittleEndian;
    type Offset = usize;

    fn endian(&self) -> LittleEndian {
        LittleEndian
    }

    fn len(&self) -> usize {
        self.length
    }

    fn empty(&mut self) {
        self.length = 0;
    }

    fn truncate(&mut self, len: usize) -> Result<()> {
        if len > self.length {
            return Err(self.eof());
        }
        self.length = len;
        Ok(())
    }

    fn offset_from(&self, base: &Self) -> usize {
        self.start.saturating_sub(base.start)
    }

    fn offset_id(&self) -> ReaderOffsetId {
        ReaderOffsetId(self.start as u64)
    }

    fn lookup_offset_id(&self, id: ReaderOffsetId) -> Option<usize> {
        let offset = usize::try_from(id.0).ok()?.checked_sub(self.start)?;
        (offset <= self.length).then_some(offset)
    }

    fn find(&self, byte: u8) -> Result<usize> {
        let mut reader = self.clone();
        let mut passed = 0;
        while passed < self.length.min(MAX_SLICE) {
            let most = self.length - passed;
            let piece = reader.piece(self.start + passed)?;
            let piece = &piece[..piece.len().min(most)];
            if let Some(at) = piece.iter().position(|&found| found == byte) {
                return Ok(passed + at);
            }
            passed += piece.len();
        }
        Err(self.eof())
    }

    fn skip(&mut self, len: usize) -> Result<()> {
        if len > self.length {
            return Err(self.eof());
        }
        self.start += len;
        self.length -= len;
        Ok(())
    }

    fn split(&mut self, len: usize) -> Result<Self> {
        let mut first = self.clone();
        first.truncate(len)?;
        self.skip(len)?;
        Ok(first)
    }

    fn to_slice(&self) -> Result<Cow<'_, [u8]>> {
        if self.length > MAX_SLICE {
            return Err(Error::Io);
        }
        let mut bytes = vec![0; self.length];
        self.clone().copy(self.start, &mut bytes)?;
        Ok(bytes.into())
    }

    fn to_string(&self) -> Result<Cow<'_, str>> {
        String::from_utf8(self.to_slice()?.into_owned()).map(Cow::Owned).map_err(|_| Error::BadUtf8)
    }

    fn to_string_lossy(&self) -> Result<Cow<'_, str>> {
        Ok(Cow::Owned(String::from_utf8_lossy(&self.to_slice()?).into_owned()))
    }

    fn read_slice(&mut self, out: &mut [u8]) -> Result<()> {
        if out.len() > self.length {
            return Err(self.eof());
        }
        // Nearly always the bytes lie within the block at hand.
        let start = self.start;
        let piece = self.piece_or_empty(start, out.len())?;
        if piece.len() >= out.len() {
            out.copy_from_slice(&piece[..out.len()]);
        } else {
            self.copy(start, out)?;
        }
        self.start += out.len();
        self.length -= out.len();
        Ok(())
    }
}

impl PagedReader {
    fn piece_or_empty(&mut self, at: usize, wanted: usize) -> Result<&[u8]> {
        if wanted == 0 { Ok(&[]) } else { self.piece(at) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn over_file(bytes: &[u8], offset: u64) -> PagedReader {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![0xee; offset as usize]).unwrap();
        file.write_all(bytes).unwrap();
        PagedReader::new(Bytes::File { blocks: Blocks::new(file), offset }, bytes.len())
    }

    #[test]
    fn reads_cross_blocks_and_end_with_the_section() {
        let bytes: Vec<u8> = (0..BLOCK_BYTES * 2 + 10).map(|n| n as u8).collect();
        let mut reader = over_file(&bytes, 3);
        reader.skip(BLOCK_BYTES - 5).unwrap();
        let mut piece = [0; 8];
        reader.read_slice(&mut piece).unwrap();
        assert_eq!(piece, bytes[BLOCK_BYTES - 5..BLOCK_BYTES + 3]);
        reader.skip(BLOCK_BYTES + 7).unwrap();
        assert!(matches!(reader.read_u8(), Err(Error::UnexpectedEof(_))));
    }

    #[test]
    fn a_file_that_is_cut_short_is_an_error_and_not_a_signal() {
        let mut reader = over_file(&[1; 100], 0);
        reader.length = 1_000;
        reader.skip(500).unwrap();
        assert!(reader.read_u64().is_err());
        assert!(reader.find(7).is_err());
    }

    proptest! {
        #[test]
        fn it_reads_as_a_slice_does(
            bytes in prop::collection::vec(any::<u8>(), 0..200), steps in prop::collection::vec((0u8..5, 0usize..40), 0..30)
        ) {
            let mut paged = over_file(&bytes, 11);
            let mut slice = gimli::EndianSlice::new(&bytes, LittleEndian);
            for (kind, length) in steps {
                let (one, two) = match kind {
                    0 => (paged.skip(length).is_ok(), slice.skip(length).is_ok()),
                    1 => (paged.read_u32().ok() == slice.read_u32().ok(), true),
                    2 => (paged.read_uleb128().ok() == slice.read_uleb128().ok(), true),
                    3 => (paged.find(length as u8).ok() == Reader::find(&slice, length as u8).ok(), true),
                    _ => {
                        let (a, b) = (paged.split(length), slice.split(length));
                        let equal = match (&a, &b) {
                            (Ok(a), Ok(b)) => a.to_slice().unwrap() == b.to_slice().unwrap(),
                            (a, b) => a.is_err() && b.is_err(),
                        };
                        (equal, true)
                    }
                };
                prop_assert_eq!(one, two);
                if paged.len() != slice.len() {
                    // A number that could not be read may leave the two at different places.
                    break;
                }
            }
        }
    }
}
