//! Go's own table of functions, `gopclntab`: what the run time of a Go program makes its tracebacks from, and so in it
//! however it was stripped.
//!
//! # Design constraints
//!
//! * It is tens of megabytes in a large program, and read by two who want different things of it: names by the one, sizes of
//!   frames by the other. So nothing of it is held here: where its parts are is said, and how an entry is read.
//! * Sans I/O: a file is whatever says of itself where its segments are ([`Image`]).
//! * Files are hostile: every offset is checked, every search is bounded.
//!
//! The format is that of the Go sources: `runtime/symtab.go` (`pcHeader`, `moduledata`), `runtime/runtime2.go`
//! (`_func`), `runtime/symtabinl.go` (`inlinedCall`) and `cmd/link/internal/ld/pcln.go`. It changed with Go 1.16, 1.18
//! and 1.20; older ones are not read.

mod error;
mod find;
mod function;
mod header;
mod image;
mod module_data;
mod relocations;
mod table;
mod values;

pub use error::Error;
pub use function::Function;
pub use header::{Header, Version};
pub use image::{Image, Segment};
pub use module_data::ModuleData;
pub use table::Table;
pub use values::{NONE, Runs, values};
