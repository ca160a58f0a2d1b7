//! Code addresses into functions, source files and lines, under a byte budget.
//!
//! # Design constraints
//!
//! * Memory first. No file is mapped: a hostile process could cut it short under us (SIGBUS), and its resident pages
//!   would count as ours. Files are read by offset, in pieces of bounded size.
//! * Symbol tables are not held. All new addresses of a file are looked up together in one pass over its table; what
//!   stays is the answers, and those only up to a budget.
//! * Files are hostile: every offset and size in them is checked, every count is bounded, and what is damaged gives
//!   fewer names, never a panic.
//! * An address without a symbol is still a place: `[module+0xoffset]`.

mod cache;
mod demangle;
mod dwarf;
mod elf;
mod error;
mod kernel;
mod paged;
mod symbolizer;
mod symbols;

pub use elf::{Segment, build_id};
pub use error::{Error, Failure};
pub use kernel::{KernelSymbol, KernelSymbols};
pub use symbolizer::{Budget, Figures, Place, Source, SourceFrame, Symbolizer};
