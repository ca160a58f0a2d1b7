//! A file of secrets, which others may replace at any moment.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// More than any chain of certificates has.
const MAX_BYTES: u64 = 256 << 10;
/// Reading by others, in the mode of a file.
const BY_OTHERS: u32 = 0o004;

/// What was in a file.
pub(super) struct SmallFile {
    pub(super) bytes: Vec<u8>,
    /// Whether every user of the machine may read it.
    pub(super) world_readable: bool,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is no regular file", path.display())]
    NotRegular { path: PathBuf },
    #[error("{} has more than {} KiB", path.display(), MAX_BYTES >> 10)]
    TooLarge { path: PathBuf },
}

impl SmallFile {
    /// Reads a file. It is read by the thread that answers all requests, so that nothing is opened that could keep it waiting.
    pub(super) fn read(path: &Path) -> Result<Self, FileError> {
        let failed = |source| FileError::Read { path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(FileError::NotRegular { path: path.to_owned() });
        }
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(FileError::TooLarge { path: path.to_owned() });
        }
        Ok(Self { bytes, world_readable: metadata.mode() & BY_OTHERS != 0 })
    }

    /// Says that everybody could have what is only for a few.
    pub(super) fn warn_if_world_readable(&self, key: &str, path: &Path) {
        if self.world_readable {
            tracing::warn!(
                file = %path.display(),
                "every user of this machine may read {key}: `chmod o-r` it, or set the `defaultMode` of its Secret to 0440"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn who_may_read_a_file_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        fs::write(&path, "secret").unwrap();
        for (mode, world_readable) in [(0o600, false), (0o440, false), (0o644, true), (0o604, true)] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let file = SmallFile::read(&path).unwrap();
            assert_eq!((&*file.bytes, file.world_readable), (&b"secret"[..], world_readable), "{mode:o}");
        }
    }

    #[test]
    fn what_could_hold_up_the_reader_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .unwrap();
        for path in [&fifo, directory.path(), Path::new("/dev/zero")] {
            assert!(matches!(SmallFile::read(path), Err(FileError::NotRegular { .. })), "{}", path.display());
        }
        let large = directory.path().join("large");
        fs::write(&large, vec![b'x'; MAX_BYTES as usize + 1]).unwrap();
        let error = SmallFile::read(&large).err().unwrap().to_string();
        assert!(error.contains("256 KiB") && error.contains("large"), "{error}");
        let error = SmallFile::read(&directory.path().join("none")).err().unwrap().to_string();
        assert!(error.contains("No such file") && error.contains("none"), "{error}");
    }
}
