//! What can go wrong.

/// Why there is no table.
#[derive(thiserror::Error, Debug)]
#[non_exhaustive]
pub enum Error {
    /// The section cannot be read at all. What is wrong with a single function is counted in
    /// [`Compiled`](crate::Compiled) instead.
    #[error("call frame information cannot be read: {0}")]
    Damaged(#[from] gimli::Error),
    /// The binary is too large for the limits of a table.
    #[error("more than {limit} {what} in the call frame information")]
    TooLarge {
        /// What there is too much of.
        what: &'static str,
        /// How many there may be.
        limit: usize,
    },
}
