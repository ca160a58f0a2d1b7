//! What can be wrong with a file.

use std::io;
use std::path::PathBuf;

/// Why a file could not be read as what it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An open file could not be read. Its path is the caller's to add: it may have been deleted, or be another
    /// container's.
    #[error("cannot read: {0}")]
    Io(#[from] io::Error),
    /// A file could not be opened or read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It is not an ELF file.
    #[error("not an ELF file")]
    NotElf,
    /// It contradicts itself, or ends too soon.
    #[error("damaged: {0}")]
    Damaged(&'static str),
    /// It has more of something than is looked at.
    #[error("too large: {0}")]
    TooLarge(&'static str),
    /// Its debug information takes more time to read than it may.
    #[error("its debug information takes too long to read")]
    TooCostly,
    /// Its debug information is compressed by other means than zlib and zstd.
    #[error("its debug information is compressed by other means than zlib and zstd")]
    Compression,
    /// Some of its debug information was split off and cannot be had.
    #[error("split debug information: {0}")]
    Split(&'static str),
    /// Go's table of its functions cannot be understood.
    #[error("Go's table of functions: {0}")]
    GoTable(&'static str),
    /// Its debug information cannot be understood.
    #[error("debug information: {0}")]
    Dwarf(#[from] gimli::Error),
}

/// Why a file has given fewer names than it might have.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Failure {
    /// It could not be opened or read.
    Unreadable,
    /// It is not ELF.
    NotElf,
    /// It is damaged.
    Damaged,
    /// Its symbol tables are larger than what is looked at.
    SymbolsTooLarge,
    /// Its debug information is larger than what is looked at.
    DwarfTooLarge,
    /// Its debug information takes too long to read.
    DwarfTooCostly,
    /// Its debug information is compressed by other means than zlib and zstd.
    DwarfCompression,
    /// Its debug information is damaged.
    DwarfDamaged,
    /// Some of its debug information was split off (`-gsplit-dwarf`), and is not there or another build's.
    DwarfSplit,
    /// Go's table of its functions is damaged, or written by a version of Go before 1.16.
    GoTable,
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Unreadable,
        Self::NotElf,
        Self::Damaged,
        Self::SymbolsTooLarge,
        Self::DwarfTooLarge,
        Self::DwarfTooCostly,
        Self::DwarfCompression,
        Self::DwarfDamaged,
        Self::DwarfSplit,
        Self::GoTable,
    ];

    /// The word in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::NotElf => "not_elf",
            Self::Damaged => "damaged",
            Self::SymbolsTooLarge => "symbols_too_large",
            Self::DwarfTooLarge => "dwarf_too_large",
            Self::DwarfTooCostly => "dwarf_too_costly",
            Self::DwarfCompression => "dwarf_compression",
            Self::DwarfDamaged => "dwarf_damaged",
            Self::DwarfSplit => "dwarf_split",
            Self::GoTable => "go_table",
        }
    }

    /// What an error in the headers or the symbol tables of a file comes under.
    pub(crate) fn of_symbols(error: &Error) -> Self {
        match error {
            Error::TooLarge(_) => Self::SymbolsTooLarge,
            error => Self::of_debug_info(error),
        }
    }

    /// What an error in the debug information of a file comes under.
    pub(crate) fn of_debug_info(error: &Error) -> Self {
        match error {
            Error::Io(_) | Error::Read { .. } => Self::Unreadable,
            Error::NotElf => Self::NotElf,
            Error::Damaged(_) => Self::Damaged,
            Error::TooLarge(_) => Self::DwarfTooLarge,
            Error::TooCostly => Self::DwarfTooCostly,
            Error::Compression => Self::DwarfCompression,
            Error::Dwarf(_) => Self::DwarfDamaged,
            Error::Split(_) => Self::DwarfSplit,
            Error::GoTable(_) => Self::GoTable,
        }
    }
}
