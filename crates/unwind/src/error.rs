//! What can go wrong.

/// Why there is no table.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The section cannot be read at all. What is wrong with a single function is counted in
    /// [`Compiled`](crate::Compiled) instead.
    #[error("call frame information cannot be read: {0}")]
    Damaged(#[from] gimli::Error),
    /// It is no ELF file, or a damaged one.
    #[error("not a usable ELF file: {0}")]
    NotElf(#[source] object::Error),
    /// It is not for a machine that can be unwound, or not a program or library.
    #[error("not a program or library of a machine that can be unwound")]
    OtherMachine,
    /// The binary is too large for the limits of a table.
    #[error("more than {limit} {what} in the call frame information")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
}
