//! `moduledata`: what the run time knows of the program by, and the only place where some of it is written.

use super::header::Header;
use super::relocations;
use crate::Error;
use crate::elf::{Elf, Segment, read_up_to, word};

/// Words of it that are looked at. It has been growing, from 71 words in Go 1.16.
pub(super) const WORDS: usize = 56;
/// Where in it the address of the program's functions stands: the same in all versions.
const TEXT: usize = 22;
/// Places that may be it which are looked at.
const MAX_CANDIDATES: usize = 16;
/// Bytes of segments that are searched.
const MAX_SEARCHED_BYTES: u64 = 128 << 20;
const CHUNK_BYTES: usize = 256 << 10;

#[derive(Clone, Debug)]
pub(super) struct ModuleData {
    pub(super) words: Vec<u64>,
    pub(super) text: u64,
}

/// Finds it by the address of the table, which it begins with.
pub(super) fn find(elf: &Elf<'_>, table: u64, header: &Header) -> Result<Option<ModuleData>, Error> {
    let mut places = Vec::new();
    relocations::for_each(elf, |place, value| {
        if value == table && places.len() < MAX_CANDIDATES {
            places.push(place);
        }
    })?;
    if places.is_empty() {
        for segment in elf.segments.iter().filter(|segment| !segment.executable) {
            search(elf, segment, table, header.pointer.into(), &mut places)?;
        }
    }
    let mut modules = places.iter().map(|&place| (place, words(elf, place, header.pointer.into()))).collect();
    relocate(elf, &mut modules, header.pointer.into())?;
    let module = modules.into_iter().map(|(_, words)| words).find(|words| is_of(words, table, header));
    Ok(module.map(|words| ModuleData { text: words[TEXT], words }))
}

/// Whether the words are those of the module whose table has this address.
fn is_of(words: &[u64], table: u64, header: &Header) -> bool {
    let parts = [
        (0, 0),
        (1, header.names),
        (4, header.units),
        (7, header.files),
        (10, header.values),
        (13, header.table),
        (16, header.table),
    ];
    words.len() == WORDS && parts.iter().all(|&(at, part)| words[at] == table.wrapping_add(part))
}

/// Looks for the address of the table.
fn search(
    elf: &Elf<'_>,
    segment: &Segment,
    table: u64,
    pointer: usize,
    places: &mut Vec<u64>,
) -> Result<(), Error> {
    let mut done = 0;
    let bytes = segment.file_bytes.min(MAX_SEARCHED_BYTES);
    while done < bytes && places.len() < MAX_CANDIDATES {
        let wanted = (bytes - done).min(CHUNK_BYTES as u64) as usize;
        let chunk = read_up_to(elf.file, segment.offset.saturating_add(done), wanted)?;
        for (at, word_bytes) in chunk.chunks_exact(pointer).enumerate() {
            if word(word_bytes, elf.endian) == Some(table) && places.len() < MAX_CANDIDATES {
                places.push(segment.address.wrapping_add(done + (at * pointer) as u64));
            }
        }
        if chunk.len() < wanted {
            break;
        }
        done += wanted as u64;
    }
    Ok(())
}

/// The words at an address as they stand in the file.
fn words(elf: &Elf<'_>, address: u64, pointer: usize) -> Vec<u64> {
    let bytes = elf.offset(address).and_then(|offset| read_up_to(elf.file, offset, WORDS * pointer).ok());
    let bytes = bytes.unwrap_or_default();
    bytes.chunks_exact(pointer).filter_map(|bytes| word(bytes, elf.endian)).collect()
}

/// Puts in what is put in when the program is loaded.
fn relocate(elf: &Elf<'_>, modules: &mut Vec<(u64, Vec<u64>)>, pointer: u64) -> Result<(), Error> {
    if modules.is_empty() {
        return Ok(());
    }
    relocations::for_each(elf, |place, value| {
        for (start, words) in &mut *modules {
            let at = place.wrapping_sub(*start) / pointer;
            if let Some(word) = usize::try_from(at).ok().and_then(|at| words.get_mut(at)) {
                *word = value;
            }
        }
    })
}
