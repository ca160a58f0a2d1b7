//! A table of rows, as the kernel side searches it.
//!
//! A table is an array of blocks of [`BLOCK_BYTES`]. The first ones are the index, an array of 32-bit numbers: how many
//! pages there are, then, for each page of 64 KiB, the number of its first block, and last the number of blocks. All
//! other blocks are rows: 256 times the low half of an address and the number of a rule, in ascending order; the last
//! row of a page is repeated, at the page's last address, until its block is full. A page without blocks is unknown
//! throughout. `c/unwind_table.h` reads the same.

use crate::{Error, RuleId};

/// Bytes of a block; the kernel's map has values of this size.
pub const BLOCK_BYTES: usize = 1024;

const PAGE_BITS: u32 = 16;
const ROWS: usize = BLOCK_BYTES / 4;
const WORDS: usize = BLOCK_BYTES / 4;
/// 4 GiB of code.
const MAX_PAGES: usize = 1 << 16;
/// 32 MiB: some eight million rows, more than the largest browser has.
const MAX_BLOCKS: usize = 32 << 10;

/// The table of one binary.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Table {
    base: u64,
    blocks: Vec<u8>,
    rows: usize,
}

impl Table {
    /// A table of rows, each an address and the rule that holds from there on, in ascending order.
    ///
    /// # Errors
    ///
    /// If the addresses span more, or there are more rows, than a table may hold.
    pub fn of_rows(rows: impl IntoIterator<Item = (u64, RuleId)>) -> Result<Self, Error> {
        let mut rows = rows.into_iter().peekable();
        let mut writer = TableWriter::new(rows.peek().map_or(0, |row| row.0));
        rows.try_for_each(|(address, rule)| writer.push(address, rule))?;
        writer.finish()
    }

    /// The address, as linked, that position 0 of the table stands for; a multiple of 64 KiB.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// The blocks, one after the other.
    pub fn bytes(&self) -> &[u8] {
        &self.blocks
    }

    /// How many blocks there are; none if the table knows nothing.
    pub fn blocks(&self) -> usize {
        self.blocks.len() / BLOCK_BYTES
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Gives every row's rule the number that stands at its present one in `numbers`.
    pub(crate) fn renumber(&mut self, numbers: &[RuleId]) {
        let index_blocks = self.index(1).unwrap_or(0) as usize;
        let rows = self.blocks.get_mut(index_blocks * BLOCK_BYTES..).unwrap_or_default();
        for row in rows.chunks_exact_mut(4) {
            let number = usize::from(u16::from_ne_bytes([row[2], row[3]]));
            let number = numbers.get(number).copied().unwrap_or(RuleId::UNKNOWN);
            row[2..].copy_from_slice(&number.0.to_ne_bytes());
        }
    }

    /// The rule at an address, as linked.
    pub fn find(&self, address: u64) -> RuleId {
        self.search(address).unwrap_or(RuleId::UNKNOWN)
    }

    fn search(&self, address: u64) -> Option<RuleId> {
        let position = u32::try_from(address.checked_sub(self.base)?).ok()?;
        let page = (position >> PAGE_BITS) as usize;
        if page >= self.index(0)? as usize {
            return None;
        }
        let blocks = self.index(1 + page)? as usize..self.index(2 + page)? as usize;
        let low = position as u16;
        let after = blocks.start + partition(blocks.len(), |nth| self.row(blocks.start + nth, 0).0 <= low);
        let block = after.checked_sub(1).filter(|block| blocks.contains(block))?;
        let row = partition(ROWS, |nth| self.row(block, nth).0 <= low).checked_sub(1)?;
        Some(RuleId(self.row(block, row).1))
    }

    fn index(&self, word: usize) -> Option<u32> {
        let bytes = self.blocks.get(word * 4..)?.first_chunk()?;
        Some(u32::from_ne_bytes(*bytes))
    }

    fn row(&self, block: usize, row: usize) -> (u16, u16) {
        let at = block * BLOCK_BYTES + row * 4;
        let half = |at: usize| u16::from_ne_bytes([self.blocks[at], self.blocks[at + 1]]);
        (half(at), half(at + 2))
    }
}

/// How many of the first `count` fulfil what only the first ones do.
fn partition(count: usize, fulfils: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if fulfils(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// Puts a table together from rows in ascending order.
#[derive(Debug)]
pub(crate) struct TableWriter {
    base: u64,
    /// The number of the first block of each page that is done, from 0.
    pages: Vec<u32>,
    blocks: Vec<u8>,
    /// Rows of the page being filled.
    page: Vec<(u16, RuleId)>,
    /// The rule that holds after the last row.
    current: RuleId,
    rows: usize,
}

impl TableWriter {
    /// A table for addresses from `lowest` on.
    pub(crate) fn new(lowest: u64) -> Self {
        Self {
            base: lowest >> PAGE_BITS << PAGE_BITS,
            pages: Vec::new(),
            blocks: Vec::new(),
            page: Vec::new(),
            current: RuleId::UNKNOWN,
            rows: 0,
        }
    }

    /// From an address on, which is not below that of the row before, a rule holds.
    pub(crate) fn push(&mut self, address: u64, rule: RuleId) -> Result<(), Error> {
        let Some(position) = address.checked_sub(self.base) else { return Ok(()) };
        let page = usize::try_from(position >> PAGE_BITS).unwrap_or(usize::MAX);
        if page >= MAX_PAGES {
            return Err(Error::TooLarge { what: "pages of code", limit: MAX_PAGES });
        }
        while self.pages.len() < page {
            self.finish_page()?;
        }
        let low = position as u16;
        if self.page.last().is_some_and(|last| last.0 == low) {
            self.page.pop();
            self.current = self.page.last().map_or(RuleId::UNKNOWN, |last| last.1);
        }
        if rule != self.current {
            self.page.push((low, rule));
            self.current = rule;
        }
        Ok(())
    }

    fn finish_page(&mut self) -> Result<(), Error> {
        self.pages.push((self.blocks.len() / BLOCK_BYTES) as u32);
        for block in self.page.chunks(ROWS) {
            let last = (u16::MAX, block[block.len() - 1].1);
            for (low, rule) in block.iter().copied().chain(std::iter::repeat(last)).take(ROWS) {
                self.blocks.extend(low.to_ne_bytes());
                self.blocks.extend(rule.0.to_ne_bytes());
            }
        }
        self.rows += self.page.len();
        self.page.clear();
        if self.current != RuleId::UNKNOWN {
            self.page.push((0, self.current));
        }
        if self.blocks.len() / BLOCK_BYTES > MAX_BLOCKS {
            return Err(Error::TooLarge { what: "blocks of rows", limit: MAX_BLOCKS });
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<Table, Error> {
        self.finish_page()?;
        if self.rows == 0 {
            return Ok(Table { base: self.base, ..Table::default() });
        }
        let words = 1 + self.pages.len() + 1;
        let index_blocks = words.div_ceil(WORDS);
        let mut blocks = Vec::with_capacity(index_blocks * BLOCK_BYTES + self.blocks.len());
        let ends = (self.blocks.len() / BLOCK_BYTES) as u32;
        blocks.extend((self.pages.len() as u32).to_ne_bytes());
        for first in self.pages.iter().chain([&ends]) {
            blocks.extend((index_blocks as u32 + first).to_ne_bytes());
        }
        blocks.resize(index_blocks * BLOCK_BYTES, 0);
        blocks.append(&mut self.blocks);
        Ok(Table { base: self.base, blocks, rows: self.rows })
    }
}
