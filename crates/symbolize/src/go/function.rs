//! The entry of a function: `_func` in `runtime/runtime2.go`.

use super::header::{Header, Version};
use gimli::{Reader, Result};

/// Which of the tables of values says what is inlined where: `PCDATA_InlTreeIndex`.
const INLINE_INDEX: u64 = 2;
/// Which of the lists is that of the inlined calls: `FUNCDATA_InlTree`.
const INLINE_TREE: u64 = 3;

/// A function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Function {
    /// Where among the names its name is.
    pub(super) name: u32,
    /// Where among the tables of values those of its files, lines and inlined calls begin; 0 if there is none.
    pub(super) file_values: u32,
    pub(super) line_values: u32,
    pub(super) inline_values: u32,
    /// Where among the lists of files that of its package begins.
    pub(super) unit: u32,
    /// The line that it begins at, 0 if not known.
    pub(super) start_line: u32,
    /// Where the list of what is inlined in it is: an address, or its distance from that of all.
    pub(super) inline_tree: Option<u64>,
}

impl Function {
    /// Reads the entry at the position of a reader, which is `position` bytes behind the beginning of the table.
    pub(super) fn read(
        mut reader: impl Reader<Offset = u64>,
        position: u64,
        header: &Header,
    ) -> Result<Self> {
        let start = reader.clone();
        let is_old = header.version == Version::Go116;
        // The address.
        reader.skip(if is_old { header.pointer.into() } else { 4 })?;
        let name = reader.read_u32()?;
        // Arguments, calls of deferred functions, the table of stack depths.
        reader.skip(12)?;
        let (file_values, line_values) = (reader.read_u32()?, reader.read_u32()?);
        let tables = u64::from(reader.read_u32()?);
        let unit = reader.read_u32()?;
        let start_line = if header.version >= Version::Go120 { reader.read_u32()? } else { 0 };
        // What kind of function it is.
        reader.skip(3)?;
        let lists = u64::from(reader.read_u8()?);
        let mut inline_values = 0;
        if tables > INLINE_INDEX {
            let mut at = reader.clone();
            at.skip(4 * INLINE_INDEX)?;
            inline_values = at.read_u32()?;
        }
        let mut inline_tree = None;
        if lists > INLINE_TREE {
            reader.skip(4 * tables)?;
            inline_tree = if is_old {
                let read = reader.offset_from(&start);
                let aligned = position.saturating_add(read).next_multiple_of(header.pointer.into());
                let pointer = u64::from(header.pointer);
                reader.skip(aligned - position - read + INLINE_TREE * pointer)?;
                Some(reader.read_address(header.pointer)?).filter(|&address| address != 0)
            } else {
                reader.skip(4 * INLINE_TREE)?;
                Some(reader.read_u32()?).filter(|&distance| distance != u32::MAX).map(u64::from)
            };
        }
        Ok(Self { name, file_values, line_values, inline_values, unit, start_line, inline_tree })
    }
}
