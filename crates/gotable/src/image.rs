//! A file, as far as the table is to be found in it.

use object::{Endian as _, Endianness};
use std::io;

/// A loadable segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// `p_vaddr`: where it is linked to stand.
    pub address: u64,
    /// `p_offset`: where in the file it begins.
    pub offset: u64,
    /// `p_filesz`.
    pub file_bytes: u64,
    /// Whether it may be run.
    pub executable: bool,
}

/// An ELF file, as whoever has opened it knows it.
pub trait Image {
    /// Its byte order.
    fn endian(&self) -> Endianness;
    /// Whether it is of the 64-bit class.
    fn is_64(&self) -> bool;
    /// Its loadable segments, in the order of the program header table.
    fn segments(&self) -> Vec<Segment>;
    /// Offset and size of the first section of a name that has bytes in the file.
    fn section(&self, name: &str) -> Option<(u64, u64)>;
    /// Whether it has sections at all.
    fn has_sections(&self) -> bool;
    /// Offset and size of the `PT_DYNAMIC` segment.
    fn dynamic(&self) -> Option<(u64, u64)>;
    /// As many bytes from an offset on as there are, but no more than `most`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    fn read_up_to(&self, offset: u64, most: usize) -> io::Result<Vec<u8>>;

    /// Where in the file the byte is that is linked to stand at an address.
    fn offset_of(&self, address: u64) -> Option<u64> {
        let segments = self.segments();
        let within = |segment: &&Segment| {
            address.checked_sub(segment.address).is_some_and(|at| at < segment.file_bytes)
        };
        let segment = segments.iter().find(within)?;
        segment.offset.checked_add(address - segment.address)
    }

    /// The address at which a byte of the file is linked to stand: where two segments overlap in the file, in the one that
    /// cannot be run.
    fn address_of(&self, offset: u64) -> Option<u64> {
        let segments = self.segments();
        let within =
            |segment: &&Segment| offset.checked_sub(segment.offset).is_some_and(|at| at < segment.file_bytes);
        let segment = segments.iter().filter(within).min_by_key(|segment| segment.executable)?;
        Some(segment.address.wrapping_add(offset - segment.offset))
    }
}

/// A number of the size of an address, 8 or 4 bytes.
pub(crate) fn word(bytes: &[u8], endian: Endianness) -> Option<u64> {
    match <[u8; 8]>::try_from(bytes) {
        Ok(bytes) => Some(endian.read_u64(bytes)),
        Err(_) => Some(endian.read_u32(bytes.try_into().ok()?).into()),
    }
}
