//! Why a profile could not be written, or read.

use crate::Format;
use rustix::io::Errno;
use std::io;
use std::path::{Path, PathBuf};

/// Why a profile could not be written, or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no format of this name.
    #[error("unknown format {name:?}: known are {}", Format::names())]
    UnknownFormat {
        /// The name that was given.
        name: String,
    },
    /// The file's ending does not tell its format.
    #[error("cannot tell the format of {} by its ending: known are {}", path.display(), Format::endings())]
    UnknownEnding {
        /// The file.
        path: PathBuf,
    },
    /// There is something at the path already.
    #[error("{} already exists", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// The path is a directory's, or cannot be a file's: it is empty or ends in `/` or `..`.
    #[error("{path:?} is not the name of a file")]
    NotAFileName {
        /// The path.
        path: PathBuf,
    },
    /// What is at the path is no regular file, and so is not replaced: a link, a device, a pipe.
    #[error("{} is not a regular file, and is not overwritten", path.display())]
    NotRegular {
        /// The path.
        path: PathBuf,
    },
    /// The directory to write to is not there, or is no directory.
    #[error("cannot write {}: there is no directory {}", path.display(), directory.display())]
    NoDirectory {
        /// The file.
        path: PathBuf,
        /// Its directory.
        directory: PathBuf,
    },
    /// Not permitted to write there.
    #[error("not permitted to write {}: {source}", path.display())]
    Denied {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The disk, or what of it this user may use, is full.
    #[error("cannot write {}: {source}", path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A profile is larger than all that its directory may hold.
    #[error("a profile of {bytes} bytes does not fit into {}, which is to hold {limit_bytes}", directory.display())]
    TooLarge {
        /// The directory.
        directory: PathBuf,
        /// Size of the profile.
        bytes: u64,
        /// What the directory may hold.
        limit_bytes: u64,
    },
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{} is no pprof profile: {what}", path.display())]
    NotPprof {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A profile is larger than any that is read.
    #[error("{} is too large: a profile of up to {limit_bytes} bytes, unpacked, is read", path.display())]
    PprofTooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit_bytes: u64,
    },
    /// Two profiles have no values in common.
    #[error("the profiles cannot be compared: one has {before}, the other {after}")]
    NothingInCommon {
        /// The values of the first.
        before: String,
        /// The values of the second.
        after: String,
    },
    /// Something else went wrong.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Error {
    /// Sorts what the kernel said when `path` was to be written.
    pub(crate) fn of_write(path: &Path, source: impl Into<io::Error>) -> Self {
        let (path, source) = (path.to_owned(), source.into());
        match Errno::from_io_error(&source) {
            Some(Errno::EXIST) => Error::Exists { path },
            Some(Errno::ACCESS | Errno::PERM | Errno::ROFS) => Error::Denied { path, source },
            Some(Errno::NOSPC | Errno::DQUOT) => Error::DiskFull { path, source },
            _ => Error::Io { path, source },
        }
    }
}
