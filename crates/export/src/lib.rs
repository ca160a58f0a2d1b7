//! Profiles as files: encoders, a reader, comparisons, and the safe way to put what they make on a disk.
//!
//! # Design constraints
//!
//! * A [`Profile`](telegen_model::Profile) is all there is to know: nothing here knows where samples come from.
//! * Encoders take a profile and a writer, have no clock, no environment and no randomness: equal profiles make equal
//!   bytes.
//! * Names in a profile are the word of foreign processes. pprof and JSON, which are data, carry them as they are; wherever
//!   they are to be shown they go through [`Printable`] and the escaping of the format.
//! * Work follows the size of the profile and pictures are bounded besides; stacks may be of any depth, so nothing
//!   recurses along them.
//! * A file is there whole or not at all, never in the place of another unless told so, and a failed write leaves
//!   nothing behind.

mod comparison;
mod error;
mod file_name;
mod file_sink;
mod flame_graph;
mod folded;
mod format;
mod json;
mod output_file;
mod pprof;
mod printable;
mod quantity;
mod stack_tree;
mod top_functions;

#[cfg(test)]
mod sample_profile;

pub use comparison::{Change, ChangedFunction, ChangedFunctions, Comparison};
pub use error::Error;
pub use file_name::recording_file_name;
pub use file_sink::{FileLimits, FileSink, Removed, Stored};
pub use flame_graph::FlameGraph;
pub use folded::write_folded;
pub use format::Format;
pub use json::write_json;
pub use output_file::{Existing, OutputFile};
pub use pprof::{PprofFile, SampleType, write_pprof};
pub use printable::Printable;
pub use top_functions::{TopFunction, TopFunctions};
