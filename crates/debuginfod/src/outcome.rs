//! What comes of asking a server.

/// What came of asking one server for one build.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// It had the file, which is in the cache now.
    Found,
    /// It does not have it.
    Missing,
    /// It took too long.
    TimedOut,
    /// The file is larger than what is fetched.
    TooLarge,
    /// It could not be reached.
    Unreachable,
    /// It answered with another status than 200 and 404, or led elsewhere too often.
    Refused,
    /// It ended in the middle of the file.
    CutShort,
    /// What it sent is not ELF.
    NotElf,
    /// What it sent is of another build.
    WrongBuildId,
    /// The cache has no room.
    NoRoom,
    /// The cache could not be written.
    Unwritable,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Found,
        Self::Missing,
        Self::TimedOut,
        Self::TooLarge,
        Self::Unreachable,
        Self::Refused,
        Self::CutShort,
        Self::NotElf,
        Self::WrongBuildId,
        Self::NoRoom,
        Self::Unwritable,
    ];

    /// The word in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Missing => "missing",
            Self::TimedOut => "timed_out",
            Self::TooLarge => "too_large",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::CutShort => "cut_short",
            Self::NotElf => "not_elf",
            Self::WrongBuildId => "wrong_build_id",
            Self::NoRoom => "no_room",
            Self::Unwritable => "unwritable",
        }
    }

    /// Whether asking again in a minute may have another outcome.
    pub(crate) fn may_pass(self) -> bool {
        matches!(
            self,
            Self::TimedOut
                | Self::Unreachable
                | Self::Refused
                | Self::CutShort
                | Self::NoRoom
                | Self::Unwritable
        )
    }
}
