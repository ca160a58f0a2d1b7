//! Decisions, against the text of the targeting rules.
#![allow(missing_docs)]

mod decisions;
mod globs;
mod oracle;
