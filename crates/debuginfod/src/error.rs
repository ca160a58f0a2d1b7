//! Why servers are not asked.

use std::io;
use std::path::PathBuf;

/// Why servers are not asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not the address of a server.
    #[error("{url:?} is not the URL of a debuginfod server: {reason}")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The directory of the cache cannot be used.
    #[error("cannot keep debug files in {}: {source}", directory.display())]
    Directory {
        /// The directory.
        directory: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Others could put files there.
    #[error("debug files are not kept in {}: {reason}", directory.display())]
    Untrusted {
        /// The directory.
        directory: PathBuf,
        /// What speaks against it.
        reason: &'static str,
    },
    /// The thread that asks could not be started.
    #[error("cannot start the thread tg-debuginfod: {source}")]
    Thread {
        /// What the kernel said.
        #[from]
        source: io::Error,
    },
}
