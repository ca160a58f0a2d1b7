//! Debug files of builds that this machine does not have, from debuginfod servers.
//!
//! # Design constraints
//!
//! * Nobody waits for a server: who asks gets what is in the cache, or nothing. What is not there is fetched by a thread of
//!   its own, and is there when it is asked for again.
//! * A server is believed no more than a target: what comes has to be an ELF file of that build, within limits of size and
//!   time.
//! * The directory of the cache never holds more than it may, also while something is being fetched: what was used longest
//!   ago goes first.
//! * Everything is bounded: what waits, what is known not to be there, what is fetched at a time. What is dropped is counted.
//! * That there is no answer is remembered, so that a server is not asked at each profile.
//!
//! The protocol stands in debuginfod(8) of elfutils.

mod asked;
mod client;
mod error;
mod fetch;
mod figures;
mod outcome;
mod store;

pub use client::{DebugInfod, Options};
pub use error::Error;
pub use fetch::check_url;
pub use figures::Figures;
pub use outcome::Outcome;
