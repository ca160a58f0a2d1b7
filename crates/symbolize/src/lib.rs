//! Code addresses into functions, source files and lines, under a byte budget.
//!
//! # Design constraints
//!
//! * Memory first. No file is mapped: a hostile process could cut it short under us (SIGBUS), and its resident pages
//!   would count as ours. Files are read by offset, in pieces of bounded size.
//! * Neither symbol tables nor debug information are held. All new addresses of a file are looked up together, in one
//!   pass over its tables; what stays is the answers, and what finds a unit and a function in debug information, each up
//!   to a budget.
//! * Files are hostile: every offset and size in them is checked, every count is bounded, so is the time spent on one
//!   file, and what is damaged gives fewer names, never a panic.
//! * An address without a symbol is still a place: `[module+0xoffset]`.

mod alias;
mod alt_link;
pub mod build_id;
mod cache;
mod debug_checksum;
mod debug_files;
mod debug_infos;
mod debug_link;
mod debug_outcome;
mod debug_paths;
mod debug_search;
mod debug_server;
mod demangle;
mod dwarf;
mod elf;
mod error;
mod go;
mod jitdump;
mod jitdump_code;
mod jitdump_lines;
mod kernel;
mod kernel_live;
mod mini_debug_info;
mod perf_map;
mod place;
mod symbolizer;
mod symbols;

pub use alt_link::AltLink;
pub use debug_files::DebugFiles;
pub use debug_link::DebugLink;
pub use debug_outcome::DebugOutcome;
pub use debug_server::DebugServer;
pub use demangle::demangle;
pub use dwarf::SplitFiles;
pub use elf::{Segment, executable_segments};
pub use error::{Error, Failure};
pub use jitdump::{JitDump, JitDumpRefusal, JitDumpStep, JitFunction};
pub use jitdump_lines::{JitLine, jit_line};
pub use kernel::{KernelSymbol, KernelSymbols};
pub use kernel_live::LiveKernelSymbols;
pub use perf_map::{PerfMapNames, PerfMapParser};
pub use place::{Place, SourceFrame};
pub use symbolizer::{Budget, Figures, Source, Symbolizer};
