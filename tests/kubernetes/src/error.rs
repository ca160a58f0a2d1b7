//! What can go wrong with the server itself, apart from what it answers.

use std::io;
use std::path::PathBuf;

/// Why a server, a file or an object could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A certificate or its key could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(rcgen::Error),
    /// TLS could not be set up.
    #[error("cannot set up TLS: {0}")]
    Tls(String),
    /// No port of this machine could be listened at.
    #[error("cannot listen at {address}: {source}")]
    Listen {
        /// Where.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// The thread that serves is gone.
    #[error("the server at {0} has stopped")]
    Stopped(String),
    /// A file of a client's configuration could not be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// No object has this name.
    #[error("there is no {0}")]
    NoObject(String),
    /// An object is none that a server could hold.
    #[error("not an object of Kubernetes: {0}")]
    BadObject(&'static str),
    /// An object is of a kind that was not installed.
    #[error("the server does not know kind {kind} of {api_version}: install it first")]
    UnknownKind {
        /// As the object says.
        api_version: String,
        /// As the object says.
        kind: String,
    },
}

impl Error {
    pub(crate) fn certificate(error: rcgen::Error) -> Self {
        Self::Certificate(error)
    }

    // Taken by value, as `map_err` gives it.
    #[allow(clippy::needless_pass_by_value)]
    pub(crate) fn tls(error: rustls::Error) -> Self {
        Self::Tls(error.to_string())
    }
}
