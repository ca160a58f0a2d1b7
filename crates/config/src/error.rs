//! Why there is no configuration, or no value.

use crate::Diagnostics;
use std::io;
use std::path::PathBuf;

/// Why there is no configuration, or no value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is read, but wrong.
    #[error("{0}")]
    Invalid(Diagnostics),
    /// A text that should be a duration is none.
    #[error("`{text}` is not a duration: {reason}")]
    Duration {
        /// The text, escaped and cut short.
        text: String,
        /// What is wrong with it, and what would be right.
        reason: &'static str,
    },
    /// A text that should be a moment is none.
    #[error("`{text}` is not a moment: write it with its offset from UTC, such as `2026-12-01T12:00:00Z`")]
    Moment {
        /// The text, escaped and cut short.
        text: String,
    },
    /// A text that should be a share of a core is none.
    #[error("`{text}` is not a share of a core: write it in percent, to a tenth, such as `5%` or `0.5%`")]
    Share {
        /// The text, escaped and cut short.
        text: String,
    },
    /// A text that should be a size is none.
    #[error("`{text}` is not a size: {reason}")]
    Size {
        /// The text, escaped and cut short.
        text: String,
        /// What is wrong with it, and what would be right.
        reason: &'static str,
    },
}
