//! The harness of the end-to-end tests: it builds and runs real programs, runs `telegen` against them, and reads what
//! came out with tools that are not telegen's own.
//!
//! # Design constraints
//!
//! * **Black box.** Nothing of telegen's code is linked in. What the tests hold telegen to is what is documented:
//!   commands, files, exit statuses, endpoints, metrics, logs.
//! * **Independent truth.** Profiles are decoded by `go tool pprof`, CPU time is read from `/proc` or from the
//!   programs' own clocks, kernel objects from `bpftool`, processes from `ps`.
//! * **Leaves nothing behind.** Every process, mount and container is held by a guard that undoes it, also when a test
//!   panics, and only what the harness itself started is ever signalled.
//! * **No clock decides.** Limits of time are there so that a test ends; none says how fast something must be.
//! * **A skip is not a pass.** A test that cannot run says so through [`skip!`], in a form that a runner can count.

pub mod accuracy;
mod agent;
mod authority;
pub mod chart_schema;
mod child;
mod container;
mod cpu_meter;
mod curl;
mod figure;
mod http;
mod kernel_objects;
pub mod manifests;
mod metrics;
pub mod module;
mod mounts;
mod node;
pub mod own_names;
pub mod perf;
mod pod;
mod pod_place;
mod pod_process;
mod poll;
pub mod possible_calls;
mod pprof;
mod recording;
pub mod row;
mod runtime_profile;
mod scratch;
pub mod skip;
mod subject;
mod sysctl;
mod telegen;
mod tmpfs;
pub mod whole_stacks;
mod workload;

pub use agent::{Agent, AgentSettings, free_addresses};
pub use authority::{Authority, Pair, Purpose};
pub use child::{Outcome, Running, run};
pub use container::Container;
pub use cpu_meter::CpuMeter;
pub use curl::{curl, curl_command, curl_in_vain};
pub use figure::figure;
pub use http::{HttpLines, Response, http_ask, http_get};
pub use kernel_objects::KernelObjects;
pub use metrics::Metrics;
pub use mounts::with_mounts;
pub use node::{NODE, Node, USER};
pub use pod::{Pod, PodSettings};
pub use pod_place::PodPlace;
pub use pod_process::PodProcess;
pub use poll::until;
pub use pprof::{Frame, Profile, Sample, TopRow, pprof_top};
pub use recording::{Recording, record, record_files, until_it_records};
pub use runtime_profile::{RuntimeProfiles, refusing};
pub use scratch::Scratch;
pub use subject::{Observation, Subject};
pub use sysctl::Sysctl;
pub use telegen::{NEEDED_CAPABILITIES, telegen, telegen_as_nobody, telegen_as_nobody_with, telegen_binary};
pub use tmpfs::Tmpfs;
pub use workload::{Program, build_directory, build_with, python, reported, source_line};
