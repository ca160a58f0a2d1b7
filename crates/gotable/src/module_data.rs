//! `moduledata`: what the run time knows of the program by, and the only place where some of it is written.

use crate::header::Header;
use crate::image::word;
use crate::{Error, Image, Segment, relocations};

/// Words of it that are looked at. It has been growing, from 71 words in Go 1.16.
const WORDS: usize = 56;
/// Where in it the address of the program's functions stands: the same in all versions.
const TEXT: usize = 22;
/// Places that may be it which are looked at.
const MAX_CANDIDATES: usize = 16;
/// Bytes of segments that are searched.
const MAX_SEARCHED_BYTES: u64 = 128 << 20;
const CHUNK_BYTES: usize = 256 << 10;

/// What is read of it.
#[derive(Clone, Debug)]
pub struct ModuleData {
    /// Its first words, as they are when the program is loaded where it is linked to stand.
    pub words: Vec<u64>,
    /// The address that functions are counted from.
    pub text: u64,
}

impl ModuleData {
    /// How many of its words are read.
    pub const WORDS: usize = WORDS;
}

/// Finds it by the address of the table, which it begins with.
pub(crate) fn find(image: &impl Image, table: u64, header: &Header) -> Result<Option<ModuleData>, Error> {
    let mut places = Vec::new();
    relocations::for_each(image, |place, value| {
        if value == table && places.len() < MAX_CANDIDATES {
            places.push(place);
        }
    })?;
    if places.is_empty() {
        for segment in image.segments().iter().filter(|segment| !segment.executable) {
            search(image, segment, table, header.pointer.into(), &mut places)?;
        }
    }
    let mut modules =
        places.iter().map(|&place| (place, words(image, place, header.pointer.into()))).collect();
    relocate(image, &mut modules, header.pointer.into())?;
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
    image: &impl Image,
    segment: &Segment,
    table: u64,
    pointer: usize,
    places: &mut Vec<u64>,
) -> Result<(), Error> {
    let mut done = 0;
    let bytes = segment.file_bytes.min(MAX_SEARCHED_BYTES);
    while done < bytes && places.len() < MAX_CANDIDATES {
        let wanted = (bytes - done).min(CHUNK_BYTES as u64) as usize;
        let chunk = image.read_up_to(segment.offset.saturating_add(done), wanted)?;
        for (at, word_bytes) in chunk.chunks_exact(pointer).enumerate() {
            if word(word_bytes, image.endian()) == Some(table) && places.len() < MAX_CANDIDATES {
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
fn words(image: &impl Image, address: u64, pointer: usize) -> Vec<u64> {
    let bytes = image.offset_of(address).and_then(|offset| image.read_up_to(offset, WORDS * pointer).ok());
    let bytes = bytes.unwrap_or_default();
    bytes.chunks_exact(pointer).filter_map(|bytes| word(bytes, image.endian())).collect()
}

/// Puts in what is put in when the program is loaded.
fn relocate(image: &impl Image, modules: &mut Vec<(u64, Vec<u64>)>, pointer: u64) -> Result<(), Error> {
    if modules.is_empty() {
        return Ok(());
    }
    relocations::for_each(image, |place, value| {
        for (start, words) in &mut *modules {
            let at = place.wrapping_sub(*start) / pointer;
            if let Some(word) = usize::try_from(at).ok().and_then(|at| words.get_mut(at)) {
                *word = value;
            }
        }
    })
}
