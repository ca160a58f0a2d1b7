//! Addresses that are put into a file when it is loaded, where it may be loaded anywhere.

use crate::{Error, Image};
use object::Endianness;
use object::elf::{DT_NULL, DT_RELA, DT_RELASZ, Dyn64, Rela64};
use object::pod;

/// Entries of the dynamic section that are looked at.
const MAX_DYNAMIC_BYTES: u64 = 16 << 10;
/// Bytes of relocations that are looked at: those of a program of some hundred megabytes.
const MAX_BYTES: u64 = 64 << 20;
/// Bytes read at a time.
const CHUNK_BYTES: u64 = 256 * 1008;

/// Calls `take` with the place and the value of each relocation. Only those of 64-bit files have their value beside
/// them; else it stands in its place already.
pub(crate) fn for_each(image: &impl Image, mut take: impl FnMut(u64, u64)) -> Result<(), Error> {
    let Some((mut at, bytes)) = table(image)? else { return Ok(()) };
    let end = at.saturating_add(bytes.min(MAX_BYTES));
    while at < end {
        let bytes = image.read_up_to(at, (end - at).min(CHUNK_BYTES) as usize)?;
        let count = bytes.len() / size_of::<Rela64<Endianness>>();
        if count == 0 {
            break;
        }
        let relocations = pod::slice_from_bytes::<Rela64<Endianness>>(&bytes, count);
        let (relocations, _) = relocations.map_err(|()| Error::Damaged("relocations"))?;
        for relocation in relocations {
            take(relocation.r_offset.get(image.endian()), relocation.r_addend.get(image.endian()) as u64);
        }
        at += (count * size_of::<Rela64<Endianness>>()) as u64;
    }
    Ok(())
}

/// Where in the file they are, and how many bytes.
fn table(image: &impl Image) -> Result<Option<(u64, u64)>, Error> {
    let Some((offset, bytes)) = image.dynamic().filter(|_| image.is_64()) else { return Ok(None) };
    let bytes = image.read_up_to(offset, bytes.min(MAX_DYNAMIC_BYTES) as usize)?;
    let count = bytes.len() / size_of::<Dyn64<Endianness>>();
    let entries = pod::slice_from_bytes::<Dyn64<Endianness>>(&bytes, count);
    let (entries, _) = entries.map_err(|()| Error::Damaged("a dynamic section"))?;
    let (mut address, mut size) = (None, None);
    for entry in entries {
        let value = entry.d_val.get(image.endian());
        match entry.d_tag.get(image.endian()) {
            DT_NULL => break,
            DT_RELA => address = Some(value),
            DT_RELASZ => size = Some(value),
            _ => {}
        }
    }
    let offset = address.and_then(|address| image.offset_of(address));
    Ok(offset.zip(size))
}
