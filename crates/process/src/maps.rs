//! `/proc/PID/maps`, as proc_pid_maps(5) describes it.

/// Mappings that are taken from one process at the most; the kernel's own default limit is 65,530.
pub const MAX_MAPPINGS: usize = 262_144;

/// What lies behind a mapping.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Backing {
    /// A file, at this path as the process sees it; ` (deleted)` is cut off.
    File {
        /// The path.
        path: Box<str>,
        /// Whether the file has been unlinked since.
        deleted: bool,
        /// Major and minor number of the device, as `maps` shows them; differs from `st_dev` on some file systems.
        device: (u32, u32),
        /// Inode number.
        inode: u64,
    },
    /// Something without a file that the kernel has a name for: `[vdso]`, `[heap]`, `[anon:…]`.
    Named(Box<str>),
    /// Nothing that has a name.
    Anonymous,
}

/// An executable range of a process's memory.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// First address past it.
    pub end: u64,
    /// Offset in the file of `start`.
    pub offset: u64,
    /// What lies behind it.
    pub backing: Backing,
}

/// The executable mappings of a process, ascending.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ParsedMaps {
    /// The mappings.
    pub mappings: Vec<Mapping>,
    /// Lines that are not what they should be.
    pub malformed: usize,
    /// Executable mappings beyond [`MAX_MAPPINGS`].
    pub surplus: usize,
}

/// Takes the executable mappings out of the text of `/proc/PID/maps`.
pub fn parse_executable(text: &[u8]) -> ParsedMaps {
    let mut parsed = ParsedMaps::default();
    for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        match parse_line(line) {
            Line::Executable(_) if parsed.mappings.len() >= MAX_MAPPINGS => parsed.surplus += 1,
            Line::Executable(mapping) => parsed.mappings.push(mapping),
            Line::Other => {}
            Line::Malformed => parsed.malformed += 1,
        }
    }
    parsed
}

enum Line {
    Executable(Mapping),
    Other,
    Malformed,
}

fn parse_line(line: &[u8]) -> Line {
    let mut fields = line.splitn(6, |&byte| byte == b' ');
    let mut next = || fields.next().and_then(|field| std::str::from_utf8(field).ok());
    let (Some(range), Some(permissions)) = (next(), next()) else { return Line::Malformed };
    if permissions.len() != 4 {
        return Line::Malformed;
    }
    // Most lines are data: no need to read on.
    if permissions.as_bytes()[2] != b'x' {
        return Line::Other;
    }
    let (Some(offset), Some(device), Some(inode)) = (next(), next(), next()) else { return Line::Malformed };
    let name = fields.next().unwrap_or_default();
    parse_executable_line(range, offset, device, inode, name).map_or(Line::Malformed, Line::Executable)
}

fn parse_executable_line(
    range: &str,
    offset: &str,
    device: &str,
    inode: &str,
    name: &[u8],
) -> Option<Mapping> {
    let (start, end) = range.split_once('-')?;
    let (start, end) = (u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?);
    let (major, minor) = device.split_once(':')?;
    let device = (u32::from_str_radix(major, 16).ok()?, u32::from_str_radix(minor, 16).ok()?);
    let inode: u64 = inode.parse().ok()?;
    let offset = u64::from_str_radix(offset, 16).ok()?;
    if start >= end {
        return None;
    }
    let name = name.trim_ascii_start();
    let backing = match name.first() {
        None => Backing::Anonymous,
        Some(b'/') => file(name, device, inode),
        Some(_) => Backing::Named(String::from_utf8_lossy(name).into()),
    };
    Some(Mapping { start, end, offset, backing })
}

fn file(name: &[u8], device: (u32, u32), inode: u64) -> Backing {
    let (name, deleted) = match name.strip_suffix(b" (deleted)") {
        Some(name) => (name, true),
        None => (name, false),
    };
    Backing::File { path: String::from_utf8_lossy(&unescape(name)).into(), deleted, device, inode }
}

/// The kernel writes a newline in a path as `\012`, and nothing else in a special way.
fn unescape(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((&byte, behind)) = rest.split_first() {
        if let Some(behind) = rest.strip_prefix(b"\\012") {
            plain.push(b'\n');
            rest = behind;
        } else {
            plain.push(byte);
            rest = behind;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(line: &str) -> Mapping {
        let mut parsed = parse_executable(line.as_bytes());
        assert_eq!((parsed.mappings.len(), parsed.malformed), (1, 0), "{line}");
        parsed.mappings.remove(0)
    }

    #[test]
    fn a_file_is_told_from_its_deleted_self() {
        let mapping =
            one("7f12-7f34 r-xp 0001a000 fd:10 4711                       /usr/lib/a b.so (deleted)\n");
        assert_eq!((mapping.start, mapping.end, mapping.offset), (0x7f12, 0x7f34, 0x1a000));
        let path = "/usr/lib/a b.so".into();
        assert_eq!(mapping.backing, Backing::File { path, deleted: true, device: (0xfd, 0x10), inode: 4711 });
    }

    #[test]
    fn what_is_no_file_is_named_or_anonymous() {
        assert_eq!(one("1-2 r-xp 0 00:00 0    [vdso]").backing, Backing::Named("[vdso]".into()));
        assert_eq!(one("1-2 rwxp 0 00:00 0 ").backing, Backing::Anonymous);
        assert_eq!(one("1-2 rwxp 0 00:00 0").backing, Backing::Anonymous);
        let Backing::File { path, .. } = one("1-2 r-xs 0 00:01 9    /memfd:jit (deleted)").backing else {
            panic!("memfd is a file")
        };
        assert_eq!(&*path, "/memfd:jit");
    }

    #[test]
    fn a_newline_in_a_path_does_not_begin_a_line() {
        let Backing::File { path, .. } = one("1-2 r-xp 0 00:01 9    /a\\012b").backing else {
            panic!("a file")
        };
        assert_eq!(&*path, "/a\nb");
    }

    #[test]
    fn data_is_passed_over_and_garbage_counted() {
        let parsed = parse_executable(b"1-2 rw-p 0 0:0 0\nnonsense\n2-1 r-xp 0 0:0 0\nz-1 r-xp 0 0:0 0\n");
        assert_eq!((parsed.mappings.len(), parsed.malformed), (0, 3));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            parse_executable(&bytes);
        }

        #[test]
        fn what_is_written_as_the_kernel_does_is_read_back(
            start in 0u64..1 << 40, length in 1u64..1 << 20, offset in any::<u32>(), inode in any::<u64>(),
            path in "/[ -~]{0,30}[!-~]",
        ) {
            prop_assume!(!path.ends_with(" (deleted)") && !path.contains("\\012"));
            let end = start + length;
            let line = format!("{start:08x}-{end:08x} r-xp {offset:08x} fe:01 {inode}                  {path}\n");
            let backing = Backing::File { path: path.into(), deleted: false, device: (0xfe, 1), inode };
            prop_assert_eq!(one(&line), Mapping { start, end, offset: u64::from(offset), backing });
        }
    }
}
