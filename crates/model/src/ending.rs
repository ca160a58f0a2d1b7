//! Where stacks end.

/// Why the user stack of a sample ends where it does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub enum Ending {
    /// It is whole: up to the entry point of the program or thread.
    #[default]
    Outermost,
    /// There is none.
    NoStack,
    /// It has come to code without unwind information, and without a frame pointer to follow.
    NoRule,
    /// The unwind information there is beyond what the kernel side can follow.
    Unsupported,
    /// The stack could not be read: not in memory, most often.
    Unreadable,
    /// The caller's frame would lie below.
    NoProgress,
    /// The caller's address is no code.
    Unmapped,
    /// It is longer than what is taken.
    Truncated,
}
