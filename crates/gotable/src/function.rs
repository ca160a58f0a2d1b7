//! The entry of a function: `_func` in `runtime/runtime2.go`.

use crate::header::{Header, Version};
use gimli::{Reader, ReaderOffset, Result};

/// Which of the tables of values says what is inlined where: `PCDATA_InlTreeIndex`.
const INLINE_INDEX: u64 = 2;
/// Which of the lists is that of the inlined calls: `FUNCDATA_InlTree`.
const INLINE_TREE: u64 = 3;
/// `funcFlag_TOPFRAME`.
const OUTERMOST: u8 = 1;

/// A function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Function {
    /// Where among the names its name is.
    pub name: u32,
    /// Where among the tables of values that of its stack begins: how far below the caller's the stack pointer is, the return
    /// address not counted; 0 if there is none.
    pub stack_values: u32,
    /// The same of its files.
    pub file_values: u32,
    /// The same of its lines.
    pub line_values: u32,
    /// The same of its inlined calls.
    pub inline_values: u32,
    /// Where among the lists of files that of its package begins.
    pub unit: u32,
    /// The line that it begins at, 0 if not known.
    pub start_line: u32,
    /// Nothing has called it: a traceback ends here.
    pub is_outermost: bool,
    /// Where the list of what is inlined in it is: an address, or its distance from that of all.
    pub inline_tree: Option<u64>,
}

impl Function {
    /// Reads the entry at the position of a reader, which is `position` bytes behind the beginning of the table.
    ///
    /// # Errors
    ///
    /// If it ends too soon.
    pub fn read<R: Reader>(mut reader: R, position: u64, header: &Header) -> Result<Self> {
        let start = reader.clone();
        let is_old = header.version == Version::Go116;
        // The address.
        skip(&mut reader, if is_old { header.pointer.into() } else { 4 })?;
        let name = reader.read_u32()?;
        // Arguments, calls of deferred functions.
        skip(&mut reader, 8)?;
        let stack_values = reader.read_u32()?;
        let (file_values, line_values) = (reader.read_u32()?, reader.read_u32()?);
        let tables = u64::from(reader.read_u32()?);
        let unit = reader.read_u32()?;
        let start_line = if header.version >= Version::Go120 { reader.read_u32()? } else { 0 };
        // What kind of function it is; Go 1.16 has no flags, and zeroes in their place.
        skip(&mut reader, 1)?;
        let is_outermost = reader.read_u8()? & OUTERMOST != 0;
        skip(&mut reader, 1)?;
        let lists = u64::from(reader.read_u8()?);
        let mut inline_values = 0;
        if tables > INLINE_INDEX {
            let mut at = reader.clone();
            skip(&mut at, 4 * INLINE_INDEX)?;
            inline_values = at.read_u32()?;
        }
        let mut inline_tree = None;
        if lists > INLINE_TREE {
            skip(&mut reader, 4 * tables)?;
            inline_tree = if is_old {
                let read = reader.offset_from(&start).into_u64();
                let aligned = position.saturating_add(read).next_multiple_of(header.pointer.into());
                let pointer = u64::from(header.pointer);
                skip(&mut reader, aligned - position - read + INLINE_TREE * pointer)?;
                Some(reader.read_address(header.pointer)?).filter(|&address| address != 0)
            } else {
                skip(&mut reader, 4 * INLINE_TREE)?;
                Some(reader.read_u32()?).filter(|&distance| distance != u32::MAX).map(u64::from)
            };
        }
        Ok(Self {
            name,
            stack_values,
            file_values,
            line_values,
            inline_values,
            unit,
            start_line,
            is_outermost,
            inline_tree,
        })
    }
}

fn skip<R: Reader>(reader: &mut R, bytes: u64) -> Result<()> {
    reader.skip(R::Offset::from_u64(bytes)?)
}
