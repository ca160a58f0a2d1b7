//! Symbol tables, in one pass and without keeping them.

use crate::Error;
use crate::elf::{Elf, Fields, Section, read_bytes};
use std::os::unix::fs::FileExt;

const SYMBOL_BYTES: usize = 24;
const CHUNK_SYMBOLS: usize = 4096;
/// Symbols of one table that are looked at.
const MAX_SYMBOLS: u64 = 16 << 20;
const MAX_NAME_BYTES: usize = 8192;
const STT_NOTYPE: u8 = 0;
const STT_FUNC: u8 = 2;
const STT_GNU_IFUNC: u8 = 10;
const STB_LOCAL: u8 = 0;
const SHN_UNDEF: u16 = 0;
const SHN_ABS: u16 = 0xfff1;
/// A symbol without a size reaches no further than this.
const MAX_UNSIZED_BYTES: u64 = 64 << 10;

/// A symbol that a wanted address may lie in.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    start: u64,
    rank: u8,
    name: u32,
    strings: u64,
    string_bytes: u64,
}

/// The names of the symbols that addresses lie in; `addresses` ascend, and so do the answers.
pub(crate) fn find(elf: &Elf<'_>, addresses: &[u64]) -> Result<Vec<Option<String>>, Error> {
    let mut search = Search {
        addresses,
        sized: vec![None; addresses.len()],
        unsized_: vec![None; addresses.len()],
        sized_starts: vec![0; addresses.len()],
    };
    for table in [".symtab", ".dynsym"] {
        if let Some(section) = elf.section(table) {
            search.scan(elf, section)?;
        }
    }
    search.spread_unsized();
    let name = |(sized, unsized_): (&Option<Candidate>, &Option<Candidate>)| {
        let candidate = (*sized).or(*unsized_)?;
        read_name(elf, &candidate).ok().flatten()
    };
    Ok(search.sized.iter().zip(&search.unsized_).map(name).collect())
}

struct Search<'a> {
    addresses: &'a [u64],
    sized: Vec<Option<Candidate>>,
    /// Symbols without a size; each stands at the first address that it could contain.
    unsized_: Vec<Option<Candidate>>,
    /// Where the last symbol with a size before each address begins, entered as the ones without are.
    sized_starts: Vec<u64>,
}

impl Search<'_> {
    fn scan(&mut self, elf: &Elf<'_>, table: &Section) -> Result<(), Error> {
        let strings = elf.sections.get(table.link as usize).ok_or(Error::Damaged("symbols without names"))?;
        let count = (table.bytes / SYMBOL_BYTES as u64).min(MAX_SYMBOLS);
        let mut at = 0;
        while at < count {
            let symbols = (count - at).min(CHUNK_SYMBOLS as u64) as usize;
            let bytes = read_bytes(
                elf.file,
                table.offset.saturating_add(at * SYMBOL_BYTES as u64),
                symbols * SYMBOL_BYTES,
            )?;
            for symbol in bytes.chunks_exact(SYMBOL_BYTES) {
                self.take(Fields(symbol), symbol[4], strings);
            }
            at += symbols as u64;
        }
        Ok(())
    }

    fn take(&mut self, symbol: Fields<'_>, info: u8, strings: &Section) {
        let (kind, section, start, size) = (info & 0xf, symbol.u16(6), symbol.u64(8), symbol.u64(16));
        let is_code = matches!(kind, STT_FUNC | STT_GNU_IFUNC | STT_NOTYPE);
        if !is_code || section == SHN_UNDEF || section == SHN_ABS || symbol.u32(0) == 0 {
            return;
        }
        let first = self.addresses.partition_point(|&address| address < start);
        if first == self.addresses.len() {
            return;
        }
        // Functions before labels, names that others can see before private ones.
        let rank = 2 * u8::from(kind != STT_NOTYPE) + u8::from(info >> 4 != STB_LOCAL);
        let (name, strings, string_bytes) = (symbol.u32(0), strings.offset, strings.bytes);
        let candidate = Candidate { start, rank, name, strings, string_bytes };
        if size == 0 {
            keep_better(&mut self.unsized_[first], candidate);
            return;
        }
        self.sized_starts[first] = self.sized_starts[first].max(start);
        let end = start.saturating_add(size);
        for (place, _) in self.sized[first..]
            .iter_mut()
            .zip(&self.addresses[first..])
            .take_while(|(_, address)| **address < end)
        {
            keep_better(place, candidate);
        }
    }

    /// A symbol without a size reaches up to the next one, with a size or without.
    fn spread_unsized(&mut self) {
        let mut last: Option<Candidate> = None;
        let mut sized_start = 0;
        for ((place, &address), &start) in
            self.unsized_.iter_mut().zip(self.addresses).zip(&self.sized_starts)
        {
            sized_start = sized_start.max(start);
            last = match (*place, last) {
                (Some(here), Some(before)) if before.start > here.start => Some(before),
                (here, before) => here.or(before),
            };
            *place = last.filter(|candidate| {
                candidate.start >= sized_start && address - candidate.start < MAX_UNSIZED_BYTES
            });
        }
    }
}

/// The innermost symbol, and of several for one place the one with the higher rank, then the first.
fn keep_better(place: &mut Option<Candidate>, candidate: Candidate) {
    if place.is_none_or(|held| (candidate.start, candidate.rank) > (held.start, held.rank)) {
        *place = Some(candidate);
    }
}

fn read_name(elf: &Elf<'_>, candidate: &Candidate) -> Result<Option<String>, Error> {
    let Some(left) = candidate.string_bytes.checked_sub(u64::from(candidate.name)) else { return Ok(None) };
    // Most names are short; only the rest costs a second read.
    for most in [128, MAX_NAME_BYTES] {
        let mut bytes = vec![0; most.min(left as usize)];
        let read =
            elf.file.read_at(&mut bytes, candidate.strings.saturating_add(u64::from(candidate.name)))?;
        if let Some(end) = bytes[..read].iter().position(|&byte| byte == 0) {
            let name = String::from_utf8_lossy(&bytes[..end]).into_owned();
            return Ok((!name.is_empty()).then_some(name));
        }
    }
    Ok(None)
}
