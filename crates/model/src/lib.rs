//! The vocabulary of telegen: what a process, a file, a frame and a profile are.
//!
//! # Design constraints
//!
//! * No I/O and no clock: every value here is handed in by someone who has read it from somewhere.
//! * A process is never known by its pid alone. A pid is recycled; [`ProcessId`] is the pid *and* the
//!   nanosecond at which the process started, and [`ProcessKey`] adds how many times it has called `exec`
//!   since, because an `exec` replaces every mapping that an address could mean something in.
//! * A code address is only meaningful within a file: [`FileId`] and [`FileOffset`], the same for every
//!   process that maps the file wherever the loader has put it.
//! * A [`Profile`] holds each string, function, location, stack and label set once, however many samples
//!   refer to it, so that its size follows what is different, not what has happened.

mod container;
mod ending;
mod facts;
mod file;
mod intern;
mod kernel;
mod pod;
mod process;
mod profile;
mod space_state;
mod target;

pub use container::{Container, ContainerId};
pub use ending::Ending;
pub use facts::{ProcessFacts, base_name};
pub use file::{BuildId, FileId, FileOffset};
pub use intern::{StringId, StringTable};
pub use kernel::{KernelKey, Token};
pub use pod::{Pod, PodDetails, PodFacts, Workload, WorkloadKind};
pub use process::{Generation, Pid, ProcessId, ProcessKey, StartTime, Tid};
pub use profile::{
    Function, FunctionId, LabelSet, LabelSetId, LabelValue, Line, Location, LocationId, LocationKind,
    Mapping, MappingId, Profile, ProfileBuilder, ProfileKind, Sample, StackId,
};
pub use space_state::{Listed, SpaceState};
pub use target::{ControlGroup, TargetNumber};
