//! What can be wrong with a table.

use std::io;

/// Why the table of a file cannot be read.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The file could not be read.
    #[error("cannot read: {0}")]
    Io(#[from] io::Error),
    /// The file contradicts itself.
    #[error("damaged: {0}")]
    Damaged(&'static str),
    /// The table cannot be understood.
    #[error("Go's table of functions: {0}")]
    Table(&'static str),
}
