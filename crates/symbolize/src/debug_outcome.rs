//! What came of looking for debug files.

/// What came of looking at one file that might have been a binary's debug file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum DebugOutcome {
    /// It is, and was found below the root of the process.
    FoundInTarget,
    /// It is, and was found on this machine.
    FoundOnHost,
    /// It is, and came from a server.
    FoundOnServer,
    /// It is that of another build.
    WrongBuildId,
    /// The binary has no build id, and the file is not the one that its checksum was taken of.
    WrongChecksum,
    /// Its checksum would take too long to compute.
    ChecksumTooCostly,
    /// It has neither debug information nor symbols.
    Empty,
    /// It is no regular file: a pipe, a device, a directory.
    NotRegular,
    /// It is larger than what is looked at.
    TooLarge,
    /// It is not ELF, or is damaged.
    NotElf,
    /// It could not be opened or read.
    Unreadable,
    /// Too many debug files are open.
    TooManyOpen,
}

impl DebugOutcome {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::FoundInTarget,
        Self::FoundOnHost,
        Self::FoundOnServer,
        Self::WrongBuildId,
        Self::WrongChecksum,
        Self::ChecksumTooCostly,
        Self::Empty,
        Self::NotRegular,
        Self::TooLarge,
        Self::NotElf,
        Self::Unreadable,
        Self::TooManyOpen,
    ];

    /// The word in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::FoundInTarget => "found_in_target",
            Self::FoundOnHost => "found_on_host",
            Self::FoundOnServer => "found_on_server",
            Self::WrongBuildId => "wrong_build_id",
            Self::WrongChecksum => "wrong_checksum",
            Self::ChecksumTooCostly => "checksum_too_costly",
            Self::Empty => "empty",
            Self::NotRegular => "not_regular",
            Self::TooLarge => "too_large",
            Self::NotElf => "not_elf",
            Self::Unreadable => "unreadable",
            Self::TooManyOpen => "too_many_open",
        }
    }
}
