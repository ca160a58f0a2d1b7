//! What can be wrong with a file.

use std::io;
use std::path::PathBuf;

/// Why a file could not be read as what it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It could not be read at all.
    #[error("cannot read: {0}")]
    Io(#[from] io::Error),
    /// It could not be read at all.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It is not an ELF file that can be read here.
    #[error("not a 64-bit little-endian ELF file")]
    NotElf,
    /// It contradicts itself, or ends too soon.
    #[error("damaged: {0}")]
    Damaged(&'static str),
    /// It is larger than may be looked at.
    #[error("too large: {0}")]
    TooLarge(&'static str),
    /// Its debug information cannot be understood.
    #[error("debug information: {0}")]
    Dwarf(#[from] gimli::Error),
}

/// Why a file has given fewer names than it might have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Failure {
    /// It could not be read.
    Unreadable,
    /// It is not ELF.
    NotElf,
    /// It is damaged.
    Damaged,
    /// Its debug information is too large.
    DwarfTooLarge,
    /// Its debug information is damaged.
    DwarfDamaged,
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Unreadable, Self::NotElf, Self::Damaged, Self::DwarfTooLarge, Self::DwarfDamaged];

    /// The word in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::NotElf => "not_elf",
            Self::Damaged => "damaged",
            Self::DwarfTooLarge => "dwarf_too_large",
            Self::DwarfDamaged => "dwarf_damaged",
        }
    }

    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::Io(_) | Error::Read { .. } => Self::Unreadable,
            Error::NotElf => Self::NotElf,
            Error::Damaged(_) => Self::Damaged,
            Error::TooLarge(_) => Self::DwarfTooLarge,
            Error::Dwarf(_) => Self::DwarfDamaged,
        }
    }
}
