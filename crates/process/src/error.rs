//! Why something could not be read.

use std::io;
use std::path::PathBuf;
use telegen_model::Pid;

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The process is not there any more.
    #[error("process {pid} is gone")]
    Gone {
        /// The process.
        pid: Pid,
    },
    /// The agent may not look.
    #[error("not permitted to read {}", path.display())]
    Denied {
        /// What was to be read.
        path: PathBuf,
    },
    /// The kernel's text is not what it should be.
    #[error("{} is malformed", path.display())]
    Malformed {
        /// Where it was read.
        path: PathBuf,
    },
    /// A mapped file is something that must not be opened: a pipe, a device, a directory.
    #[error("{} is not a regular file", path.display())]
    NotRegular {
        /// The path.
        path: PathBuf,
    },
    /// A file in a place where others may write is not surely the process's own.
    #[error("{} is not used: {reason}", path.display())]
    Untrusted {
        /// The path as the process sees it.
        path: PathBuf,
        /// What speaks against it.
        reason: &'static str,
    },
    /// The file at the path is not the one that is mapped; there may be none.
    #[error("{} is not the file that process {pid} has mapped", path.display())]
    OtherFile {
        /// The process.
        pid: Pid,
        /// The path as the process sees it.
        path: PathBuf,
    },
    /// Something else went wrong.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// What was to be read.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Error {
    /// Sorts an error of reading a file under a process's directory of /proc.
    pub(crate) fn of_read(pid: Pid, path: PathBuf, source: io::Error) -> Self {
        match source.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::NOENT | rustix::io::Errno::SRCH) => Error::Gone { pid },
            Some(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => Error::Denied { path },
            _ => Error::Io { path, source },
        }
    }
}
