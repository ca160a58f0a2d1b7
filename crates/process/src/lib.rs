//! What the host knows of processes: who they are, what they have mapped, and the files behind it.
//!
//! # Design constraints
//!
//! * The root of /proc is a parameter, so that a directory of fixtures can stand in for it.
//! * That a process is gone is an outcome, not a fault: [`Error::Gone`] tells it from all else.
//! * Everything a process can write to is hostile: reads are bounded, only regular files are opened, and never the
//!   agent's namesake of a file that the process sees.
//! * Parsers take bytes and do no I/O.

mod cgroup;
mod error;
mod jit_dump_file;
mod mapped_file;
mod mappings;
mod maps;
mod maps_query;
mod memory_file;
mod memory_limit;
mod perf_map_file;
mod pod_environment;
mod proc_fs;
mod root;
mod stat;
mod status;
mod trust;
mod vdso;

pub use cgroup::parse_container;
pub use error::Error;
pub use jit_dump_file::JitDumpFile;
pub use mapped_file::{FileFacts, MappedFile};
pub use mappings::{Delta, Mappings, is_free};
pub use maps::{Backing, MAX_MAPPINGS, Mapping, MapsParser, ParsedMaps, parse_executable};
pub use memory_file::memory_file;
pub use perf_map_file::PerfMapFile;
pub use pod_environment::PodEnvironment;
pub use proc_fs::{ProcFs, Scan};
pub use root::{Root, RootIdentity};
pub use stat::Stat;
pub use status::Status;
pub use vdso::{VDSO, own_vdso};
