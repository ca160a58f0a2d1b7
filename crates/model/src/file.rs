//! Which file, and where in it.

use std::fmt;

/// The contents of an ELF `NT_GNU_BUILD_ID` note: usually 20 bytes (SHA-1), sometimes 8 or 16.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BuildId(Box<[u8]>);

/// The identity of a mapped file: two processes, or two containers, that map equal files share it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum FileId {
    /// The build id of an ELF file that has one.
    BuildId(BuildId),
    /// What the file system says, for files without a build id. Ctime and size tell a file from another
    /// that was later given the same inode.
    Inode {
        /// `st_dev`.
        device: u64,
        /// `st_ino`.
        inode: u64,
        /// `st_ctime`, in nanoseconds since the epoch.
        ctime_ns: i64,
        /// `st_size`, in bytes.
        size: u64,
    },
}

/// A position in a file, in bytes from its start: an address with the place of its mapping taken away.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct FileOffset(pub u64);

impl BuildId {
    /// The longest build id that is taken at its word; longer ones are hostile or broken.
    pub const MAX_BYTES: usize = 64;

    /// A build id of these bytes, or `None` if there are none or more than [`BuildId::MAX_BYTES`].
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (1..=Self::MAX_BYTES).contains(&bytes.len()).then(|| Self(bytes.into()))
    }

    /// The bytes of the note.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for BuildId {
    /// Lower-case hexadecimal, as `file`, `readelf -n` and debuginfod write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BuildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BuildId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_id_prints_as_readelf_does() {
        let id = BuildId::new(&[0xde, 0xad, 0x00, 0x0f]).expect("four bytes");
        assert_eq!(id.to_string(), "dead000f");
    }

    #[test]
    fn empty_and_oversized_build_ids_are_refused() {
        assert!(BuildId::new(&[]).is_none());
        assert!(BuildId::new(&[0; 65]).is_none());
        assert!(BuildId::new(&[0; 64]).is_some());
    }
}
