//! The executable mappings of a process by `PROCMAP_QUERY` (Linux 6.11, include/uapi/linux/fs.h): the kernel looks for the next
//! one itself and writes no line for any other.

use crate::maps::{Access, MAX_MAPPINGS, backing};
use crate::{Mapping, MapsParser, ParsedMaps};
use rustix::io::Errno;
use rustix::ioctl::{Updater, ioctl, opcode};
use std::fs::File;

/// `struct procmap_query`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Query {
    size: u64,
    query_flags: u64,
    query_addr: u64,
    vma_start: u64,
    vma_end: u64,
    vma_flags: u64,
    vma_page_size: u64,
    vma_offset: u64,
    inode: u64,
    dev_major: u32,
    dev_minor: u32,
    vma_name_size: u32,
    build_id_size: u32,
    vma_name_addr: u64,
    build_id_addr: u64,
}
const _: () = assert!(size_of::<Query>() == 104);

const QUERY: rustix::ioctl::Opcode = opcode::read_write::<Query>(b'f', 17);
const WRITABLE: u64 = 0x02;
const EXECUTABLE: u64 = 0x04;
const COVERING_OR_NEXT: u64 = 0x10;
/// `PATH_MAX`: the kernel takes no more room for a name.
const MAX_NAME_BYTES: usize = 4096;

/// Asks `/proc/PID/maps` for the executable mappings; `None` where that is not understood or not answered to the end, and the
/// text is to be read.
pub(crate) fn executable(maps: &File) -> Option<ParsedMaps> {
    let mut parser = MapsParser::default();
    let mut name = [0; MAX_NAME_BYTES];
    let mut from = 0;
    // One more than is taken, so that it shows when there are too many.
    for _ in 0..=MAX_MAPPINGS {
        match next(maps, from, &mut name) {
            Ok((mapping, access)) => {
                // Whatever the kernel says, it goes up.
                from = mapping.end.max(from.saturating_add(1));
                parser.answer(mapping, access);
            }
            Err(Errno::NOENT) => break,
            Err(_) => return None,
        }
    }
    Some(parser.finish())
}

/// The first executable mapping that ends above an address.
fn next(maps: &File, from: u64, name: &mut [u8; MAX_NAME_BYTES]) -> Result<(Mapping, Access), Errno> {
    let mut query = Query {
        size: size_of::<Query>() as u64,
        query_flags: EXECUTABLE | COVERING_OR_NEXT,
        query_addr: from,
        vma_name_size: MAX_NAME_BYTES as u32,
        vma_name_addr: name.as_mut_ptr() as u64,
        ..Query::default()
    };
    ask(maps, &mut query)?;
    let end = (query.vma_name_size as usize).clamp(1, MAX_NAME_BYTES) - 1;
    let device = (query.dev_major, query.dev_minor);
    let mapping = Mapping {
        start: query.vma_start,
        end: query.vma_end,
        offset: query.vma_offset,
        backing: backing(&name[..end], device, query.inode),
    };
    if mapping.start >= mapping.end {
        return Err(Errno::INVAL);
    }
    let access = if query.vma_flags & WRITABLE != 0 { Access::Writable } else { Access::ReadOnly };
    Ok((mapping, access))
}

#[allow(unsafe_code)]
fn ask(maps: &File, query: &mut Query) -> Result<(), Errno> {
    // SAFETY: the structure is the kernel's own of this name, and says how large it is. What it points to is a buffer of the
    // stated size, which outlives the call; the kernel writes to nothing else.
    unsafe { ioctl(maps, Updater::<{ QUERY }, Query>::new(query)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_executable;

    #[test]
    #[allow(clippy::print_stderr)] // that it was skipped
    fn the_answers_are_what_the_text_says() {
        let file = File::open("/proc/self/maps").unwrap();
        let Some(asked) = executable(&file) else {
            eprintln!("SKIPPED: this kernel has no PROCMAP_QUERY");
            return;
        };
        let read = parse_executable(&std::fs::read("/proc/self/maps").unwrap());
        let lower: Vec<_> = read.mappings.into_iter().filter(|mapping| mapping.start < 1 << 63).collect();
        assert_eq!(asked.mappings, lower);
        assert_eq!(asked.code_bytes, read.code_bytes);
        assert_eq!((asked.looked_at, asked.malformed, asked.surplus), (lower.len(), 0, 0));
        assert!(read.looked_at > lower.len());
    }

    #[test]
    fn what_is_no_such_file_is_left_to_the_text() {
        assert!(executable(&File::open("/dev/null").unwrap()).is_none());
        assert!(executable(&File::open("/proc/self/status").unwrap()).is_none());
    }
}
