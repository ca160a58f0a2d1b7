//! Unwind tables: call frame information, made small and quick to search.
//!
//! # Design constraints
//!
//! The kernel side walks a stack within a tick, so it cannot run the little programs that `.eh_frame` consists of. They
//! are run here, once per binary, and leave one [`Rule`] per range of addresses; a [`Table`] maps addresses to rules.
//!
//! - *Small*: four bytes a row. A row is the low half of an address and the number of a rule; the rules themselves are
//!   shared by all tables, in a [`RuleBook`], as compilers write the same few hundred of them again and again.
//! - *Quick*: no step of a search is linear. A page of 64 KiB leads to its blocks, a search of their first rows to the
//!   block, a search of its rows to the row; blocks have one size, so that the kernel can bound every access.
//! - *Bounded*: a file is hostile. Rows, pages and entries of a table have limits; what does not parse costs its own
//!   function only, and is counted.
//!
//! Which binaries have tables is for the [`Registry`], a state machine: mappings and finished tables go in, what the
//! kernel side shall hold comes out.

mod arch;
mod binary;
mod book;
mod code;
mod compile;
mod entries;
mod error;
mod go;
mod registry;
mod rule;
mod table;
mod translate;
mod undescribed;

pub use arch::Arch;
pub use binary::{Binary, Layout};
pub use book::{RuleBook, RuleId};
pub use code::MachineCode;
pub use compile::{Compiled, Elsewhere, Sections, compile, compile_with};
pub use error::Error;
pub use registry::{Code, KernelSide, Range, Registry, TableFigures, TableLimits, TableState};
pub use rule::{Cfa, Goroutine, RawRule, ReturnAddress, Rule, SavedRegister};
pub use table::{BLOCK_BYTES, Table};
pub use undescribed::{Found, FunctionRows, Undescribed};
