//! Drained ticks in, profiles out.
//!
//! # Design constraints
//!
//! * 10,000 ticks a second must cost less than a hundredth of a core: a tick whose stack is known is one hash and one
//!   comparison. Everything else is done once per distinct stack, or once per interval.
//! * An address means something only as long as its process's mappings are what they were: addresses are turned into
//!   places in files right after they are drained. From then on neither the process nor its container is needed.
//! * A process that has ended is forgotten when the interval ends; files are closed with the last that refers to them.
//! * No tick is lost without being counted: see [`Losses`].

mod collector;
mod gathered;
mod generated;
mod generated_range;
mod image;
mod interval;
mod jit_dumps;
mod module;
mod perf_maps;
mod profile;
mod remaps;
mod split_files;
mod stack_table;
mod target;

pub use collector::{CodeChange, Collector, Losses, MappedCode};
pub use generated_range::GeneratedRange;
pub use interval::{Frame, Interval, Marker, Row};
pub use module::{Module, ModuleFile};
pub use profile::{AssemblerFigures, ProfileAssembler, SampleLabels};
pub use remaps::{Reading, Remaps};
pub use stack_table::{Flaws, Tick};
pub use target::{TargetFacts, Targets};
