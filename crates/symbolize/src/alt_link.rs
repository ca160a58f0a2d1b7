//! What debug information says of where the rest of it is: `.gnu_debugaltlink`.
//!
//! dwz moves what several debug files have in common into a supplementary one. The format stands in the manual of GDB,
//! "Debugging Information in Separate Files".

use crate::Error;
use crate::elf::{Elf, read_up_to};
use std::path::{Path, PathBuf};
use telegen_model::BuildId;

/// Bytes of the section that are looked at: `PATH_MAX`, and a build id.
const MAX_BYTES: u64 = 4096 + BuildId::MAX_BYTES as u64;

/// Where the supplementary file is, and which it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AltLink {
    /// Absolute, or from the directory of the file that says so.
    pub path: PathBuf,
    /// Its build id.
    pub build_id: BuildId,
}

impl AltLink {
    /// Reads the contents of the section; `None` if they are no path and a build id.
    pub fn parse(section: &[u8]) -> Option<Self> {
        let end = section.iter().position(|&byte| byte == 0)?;
        let path = Path::new(std::str::from_utf8(&section[..end]).ok()?);
        // Without a last part it names a directory.
        path.file_name()?;
        Some(Self { path: path.to_owned(), build_id: BuildId::new(&section[end + 1..])? })
    }

    /// What a file with debug information has.
    pub(crate) fn of(elf: &Elf<'_>) -> Result<Option<Self>, Error> {
        let Some(section) = elf.section(".gnu_debugaltlink") else { return Ok(None) };
        if section.bytes > MAX_BYTES {
            return Ok(None);
        }
        Ok(Self::parse(&read_up_to(elf.file, section.offset, section.bytes as usize)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_and_a_build_id_are_read() {
        let link = AltLink::parse(b"../../.dwz/x.debug\0\x01\x02").expect("a link");
        assert_eq!((link.path, link.build_id.to_string()), ("../../.dwz/x.debug".into(), "0102".into()));
        for section in [&b""[..], b"x", b"x\0", b"\0\x01", b"/\0\x01", b"a/..\0\x01", b"\xff\0\x01"] {
            assert_eq!(AltLink::parse(section), None, "{section:?}");
        }
        let mut long = b"x\0".to_vec();
        long.resize(2 + BuildId::MAX_BYTES + 1, 7);
        assert_eq!(AltLink::parse(&long), None, "no build id is that long");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            path in "(/?[a-z0-9._-]{3,9}){1,9}",
            id in prop::collection::vec(any::<u8>(), 1..64),
        ) {
            let mut section = path.clone().into_bytes();
            section.push(0);
            section.extend(&id);
            let link = AltLink { path: path.into(), build_id: BuildId::new(&id).unwrap() };
            prop_assert_eq!(AltLink::parse(&section), (link.path.file_name().is_some()).then_some(link));
        }
    }
}
