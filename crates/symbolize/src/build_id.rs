//! The build id of an ELF file: its `NT_GNU_BUILD_ID` note.

use crate::Error;
use crate::elf::{Elf, read_up_to};
use object::Endianness;
use object::elf::{NT_GNU_BUILD_ID, NoteHeader32};
use object::pod;
use std::fs::File;
use telegen_model::BuildId;

/// Bytes of one note segment that are looked at; linkers write below one KiB.
const MAX_NOTE_BYTES: u64 = 64 << 10;
/// Note segments and sections that are looked at.
const MAX_NOTES: usize = 32;

/// Reads it from the file's note segments, or its note sections; `None` if there is none.
///
/// # Errors
///
/// If the file cannot be read, is not ELF, or ends before its program headers do.
pub fn read(file: &File) -> Result<Option<BuildId>, Error> {
    of(&Elf::read(file)?)
}

/// The same, of a file whose headers have been read.
pub(crate) fn of(elf: &Elf<'_>) -> Result<Option<BuildId>, Error> {
    for &(offset, bytes) in elf.notes.iter().take(MAX_NOTES) {
        let notes = read_up_to(elf.file, offset, bytes.min(MAX_NOTE_BYTES) as usize)?;
        if let Some(id) = find(&notes, elf.endian) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// The first build id among the notes of a segment. Notes are aligned to 4 bytes, also in 64-bit files, whatever the
/// specification says; some are aligned to 8 (`NT_GNU_PROPERTY_TYPE_0`), and stand in segments of their own.
fn find(mut notes: &[u8], endian: Endianness) -> Option<BuildId> {
    loop {
        let (note, rest) = pod::from_bytes::<NoteHeader32<Endianness>>(notes).ok()?;
        let name_bytes = note.n_namesz.get(endian) as usize;
        let id_bytes = note.n_descsz.get(endian) as usize;
        let name = rest.get(..name_bytes)?;
        let id = rest.get(name_bytes.checked_next_multiple_of(4)?..)?;
        if note.n_type.get(endian) == NT_GNU_BUILD_ID && name == b"GNU\0" {
            return BuildId::new(id.get(..id_bytes)?);
        }
        notes = id.get(id_bytes.checked_next_multiple_of(4)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn note(name: &[u8], kind: u32, id: &[u8], endian: Endianness) -> Vec<u8> {
        let word = |value: usize| match endian {
            Endianness::Little => (value as u32).to_le_bytes(),
            Endianness::Big => (value as u32).to_be_bytes(),
        };
        let mut note = Vec::new();
        for value in [name.len(), id.len(), kind as usize] {
            note.extend(word(value));
        }
        for part in [name, id] {
            note.extend(part);
            note.resize(note.len().next_multiple_of(4), 0);
        }
        note
    }

    #[test]
    fn the_build_id_is_found_behind_other_notes() {
        for endian in [Endianness::Little, Endianness::Big] {
            let mut notes = note(b"GNU\0", 1, &[9; 16], endian);
            notes.extend(note(b"stapsdt\0", 3, b"not that", endian));
            notes.extend(note(b"GNU\0", 3, b"abc", endian));
            assert_eq!(find(&notes, endian).map(|id| id.to_string()), Some("616263".into()));
        }
    }

    #[test]
    fn notes_that_lie_about_their_size_end_the_search() {
        assert_eq!(find(&[0xff; 64], Endianness::Little), None);
        let whole = note(b"GNU\0", 3, b"abcd", Endianness::Little);
        assert!(find(&whole, Endianness::Little).is_some());
        assert_eq!(find(&whole[..whole.len() - 1], Endianness::Little), None);
        assert_eq!(find(&note(b"GNU\0", 3, &[1; 65], Endianness::Little), Endianness::Little), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(notes in prop::collection::vec(prop::sample::select(vec![0, 1, 3, 4, 0x47, 0xff]), 0..80)) {
            find(&notes, Endianness::Little);
        }
    }
}
