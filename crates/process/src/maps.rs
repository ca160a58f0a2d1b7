//! `/proc/PID/maps`, as proc_pid_maps(5) describes it.

use std::borrow::Cow;

/// Mappings that are taken from one process at the most; the kernel's own default limit is 65,530.
pub const MAX_MAPPINGS: usize = 262_144;
/// Bytes of names that are taken from one process at the most. Each of its mappings may have a path of 4 KiB.
const MAX_NAME_BYTES: usize = 16 << 20;
/// The longest line: a path of 4 KiB, each byte of it a newline that is written as four, and the numbers before it.
const MAX_LINE_BYTES: usize = 20 << 10;

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
    /// Executable mappings that were left out for being too many, or for having too long names all together.
    pub surplus: usize,
    /// Bytes of code, as the kernel counts it (`exec_vm`): what is executable and cannot be written.
    pub code_bytes: u64,
    /// Mappings that were looked at: lines, or answers of the kernel.
    pub looked_at: usize,
}

/// Takes the executable mappings out of the text of `/proc/PID/maps`.
pub fn parse_executable(text: &[u8]) -> ParsedMaps {
    let mut parser = MapsParser::default();
    parser.push(text);
    parser.finish()
}

/// Takes the executable mappings out of `/proc/PID/maps` piece by piece, so that nobody need hold all of it.
#[derive(Debug, Default)]
pub struct MapsParser {
    parsed: ParsedMaps,
    name_bytes: usize,
    /// The beginning of a line whose end has not come yet.
    begun: Vec<u8>,
    /// Whether the line that has begun is longer than any the kernel writes.
    overlong: bool,
}

impl MapsParser {
    /// Takes the next piece of the text, wherever that has been cut.
    pub fn push(&mut self, mut text: &[u8]) {
        while let Some(end) = text.iter().position(|&byte| byte == b'\n') {
            self.end_line(&text[..end]);
            text = &text[end + 1..];
        }
        self.keep(text);
    }

    /// What was found.
    pub fn finish(mut self) -> ParsedMaps {
        self.end_line(&[]);
        self.parsed
    }

    fn end_line(&mut self, rest: &[u8]) {
        if self.begun.is_empty() && !self.overlong && rest.len() <= MAX_LINE_BYTES {
            return self.take(rest);
        }
        self.keep(rest);
        let mut line = std::mem::take(&mut self.begun);
        if std::mem::take(&mut self.overlong) {
            self.parsed.malformed += 1;
        } else {
            self.take(&line);
        }
        line.clear();
        self.begun = line;
    }

    fn keep(&mut self, piece: &[u8]) {
        self.overlong |= self.begun.len() + piece.len() > MAX_LINE_BYTES;
        if self.overlong {
            self.begun.clear();
        } else {
            self.begun.extend_from_slice(piece);
        }
    }

    fn take(&mut self, line: &[u8]) {
        if line.is_empty() {
            return;
        }
        self.parsed.looked_at += 1;
        match parse_line(line) {
            Line::Executable(mapping, access) => self.add(mapping, access),
            Line::Other => {}
            Line::Malformed => self.parsed.malformed += 1,
        }
    }

    /// Takes an executable mapping that the kernel has told in another way.
    pub(crate) fn answer(&mut self, mapping: Mapping, access: Access) {
        self.parsed.looked_at += 1;
        self.add(mapping, access);
    }

    fn add(&mut self, mapping: Mapping, access: Access) {
        if access == Access::ReadOnly && mapping.start <= LAST_USER_ADDRESS {
            self.parsed.code_bytes += mapping.end - mapping.start;
        }
        let name_bytes = self.name_bytes + mapping.backing.name().map_or(0, str::len);
        if self.parsed.mappings.len() >= MAX_MAPPINGS || name_bytes > MAX_NAME_BYTES {
            self.parsed.surplus += 1;
        } else {
            self.name_bytes = name_bytes;
            self.parsed.mappings.push(mapping);
        }
    }
}

impl Backing {
    /// The path or the name, if there is one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::File { path, .. } => Some(path),
            Self::Named(name) => Some(name),
            Self::Anonymous => None,
        }
    }
}

/// Whether what is executable can be written too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    ReadOnly,
    Writable,
}

/// The page of vsyscalls, which is in no address space, stands above.
const LAST_USER_ADDRESS: u64 = i64::MAX as u64;

enum Line {
    Executable(Mapping, Access),
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
    let access = if permissions.as_bytes()[1] == b'w' { Access::Writable } else { Access::ReadOnly };
    parse_executable_line(range, offset, device, inode, name)
        .map_or(Line::Malformed, |mapping| Line::Executable(mapping, access))
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
    let name = unescape(name.trim_ascii_start());
    Some(Mapping { start, end, offset, backing: backing(&name, device, inode) })
}

/// What a name, as it is in the kernel, device and inode say.
pub(crate) fn backing(name: &[u8], device: (u32, u32), inode: u64) -> Backing {
    match name.first() {
        None => Backing::Anonymous,
        Some(b'/') => file(name, device, inode),
        Some(_) => Backing::Named(String::from_utf8_lossy(name).into()),
    }
}

fn file(name: &[u8], device: (u32, u32), inode: u64) -> Backing {
    let (name, deleted) = match name.strip_suffix(b" (deleted)") {
        Some(name) => (name, true),
        None => (name, false),
    };
    Backing::File { path: String::from_utf8_lossy(name).into(), deleted, device, inode }
}

/// The kernel writes a newline in a path as `\012`, and nothing else in a special way.
fn unescape(name: &[u8]) -> Cow<'_, [u8]> {
    if !name.contains(&b'\\') {
        return Cow::Borrowed(name);
    }
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
    Cow::Owned(plain)
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

    #[test]
    fn what_looks_like_a_file_but_is_in_memory_only_is_told_by_its_path() {
        for path in ["/SYSV00001234", "/dev/zero", "/anon_hugepage", "//anon"] {
            let Backing::File { path: found, deleted, .. } =
                one(&format!("1-2 r-xs 0 00:01 9    {path} (deleted)")).backing
            else {
                panic!("a file")
            };
            assert_eq!((&*found, deleted), (path, true));
        }
        assert_eq!(
            one("1-2 r-xp 0 00:00 0  [anon:jit code]").backing,
            Backing::Named("[anon:jit code]".into())
        );
        assert_eq!(one("1-2 rwxp 0 00:00 0  [stack]").backing.name(), Some("[stack]"));
    }

    #[test]
    fn the_longest_path_is_taken_and_longer_lines_are_counted() {
        let path = format!("/{}", "\\012".repeat(4095));
        let Backing::File { path, .. } = one(&format!("1-2 r-xp 0 00:01 9    {path}")).backing else {
            panic!("a file")
        };
        assert_eq!(path.len(), 4096);
        let long = format!("1-2 r-xp 0 00:01 9 /{}\n3-4 r-xp 0 00:01 9 /b\n", "x".repeat(MAX_LINE_BYTES));
        let parsed = parse_executable(long.as_bytes());
        assert_eq!((parsed.mappings.len(), parsed.malformed), (1, 1));
    }

    #[test]
    fn what_one_process_can_make_the_agent_hold_is_bounded() {
        let line = format!("1-2 r-xp 0 00:01 9    /{}\n", "x".repeat(4095));
        let mut parser = MapsParser::default();
        let fitting = MAX_NAME_BYTES / 4096;
        (0..fitting + 3).for_each(|_| parser.push(line.as_bytes()));
        let parsed = parser.finish();
        assert_eq!((parsed.mappings.len(), parsed.surplus), (fitting, 3));
        let mut parser = MapsParser::default();
        (0..MAX_MAPPINGS + 3).for_each(|_| parser.push(b"1-2 r-xp 0 00:01 9\n"));
        let parsed = parser.finish();
        assert_eq!((parsed.mappings.len(), parsed.surplus), (MAX_MAPPINGS, 3));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_text_is_cut(
            text in "([1-9a-f]{1,3}-[a-f]{4} r-xp 0 0:1 9  (/[a-z]{0,9})?\n?|[a-z \n]{0,9}){0,9}",
            cuts in prop::collection::vec(0usize..200, 0..6),
        ) {
            let mut parser = MapsParser::default();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            cuts.windows(2).for_each(|cut| parser.push(&text.as_bytes()[cut[0]..cut[1]]));
            prop_assert_eq!(parser.finish(), parse_executable(text.as_bytes()));
        }

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
