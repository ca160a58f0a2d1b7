//! The kernel side of telegen: BPF programs, their loader, the clock that ticks, and what comes up from there.
//!
//! # Design constraints
//!
//! * The filter comes first. A tick on a process that is not a target costs one bit test and one counter in the
//!   CPU's own cache line; it sends nothing and wakes nobody.
//! * The kernel alone creates and deletes entries of its process table. User space changes an entry's state by a
//!   compare-and-exchange on its [`Token`](telegen_model::Token), which is unique to one program image of one process, so that a decision
//!   that comes too late for its process can never hit another one.
//! * Everything is held by file descriptors of this process; nothing is pinned. When the process goes, by whatever
//!   way, all of it goes.
//! * This crate knows neither rules nor symbols, neither YAML nor HTTP.
//!
//! [`Kernel::load`] verifies and loads; the parts that other threads own ([`Decider`], [`Scanner`], [`EventRing`],
//! [`SampleRings`]) are taken from it and are `Send`.

mod abi;
mod calls;
mod cpus;
mod decide;
mod error;
mod events;
mod features;
mod kernel;
mod leftovers;
mod mapped_list;
mod perf;
mod policy;
mod privileges;
mod remaps;
mod samples;
mod scan;
mod shared;
#[allow(unsafe_code)]
mod sys;
mod table_numbers;
mod unwind;

pub use abi::State;
pub use calls::Call;
pub use cpus::CpuSet;
pub use decide::{Decider, Outcome, StateChange};
pub use error::Error;
pub use events::{Event, EventKind, EventReader, EventRing};
pub use features::lockdown;
pub use kernel::{Kernel, Options, btf_path};
pub use leftovers::{Leftover, Leftovers};
pub use mapped_list::{MappedRange, UnwindTable};
pub use perf::{Clock, may_open_clock};
pub use policy::{ControlGroups, Pattern, PatternForm, PatternSubject, Policy, Rank};
pub use privileges::{Capability, missing_capabilities};
pub use remaps::{CountedReading, RemapCounts};
pub use samples::{Sample, SampleReader, SampleRings};
pub use scan::{ControlGroupSet, ScanUnderWay, Scanned, Scanner};
pub use shared::{Counters, Shared};
pub use table_numbers::TableNumber;
pub use unwind::UnwindMaps;
