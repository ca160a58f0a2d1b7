//! The configuration: strict YAML in, values out, or everything that is wrong with it.
//!
//! # Design constraints
//!
//! * One table of keys, and one for named targets, say what may be written. Checks, suggestions, `config show` and
//!   the reference read them, so that none of these can know a key that another does not.
//! * Whatever is wrong is said at once, each with its file, line, column, a caret, and what would be right.
//!   A key that is not understood is an error and never passed over; so is one whose part is not built.
//! * Any bytes may come in. A file has at most [`MAX_FILE_BYTES`], nesting is bounded, aliases are refused (with
//!   them goes every expansion), at most [`Diagnostics::MAX`] errors are kept, and what is quoted from a file is
//!   escaped and cut. Nothing panics.
//! * [`parse`] does no I/O; [`load`] reads one file. Patterns are texts here: whoever compiles them reports a bad
//!   one through [`Sources::error_at`], which still knows the line.

mod check;
mod choice;
mod config;
mod core_share;
mod diagnostic;
mod duration;
mod error;
mod keys;
mod label_rules;
mod load;
mod moment;
mod nearest;
mod quote;
mod rules;
mod setting;
mod show;
mod size;
mod source;
mod sources;
mod target_list;
mod value;
mod yaml;

pub use choice::{CpuEvent, KubernetesUse, LogFormat, LogLevel, Match, PodAnnotations, PodSource};
pub use config::{
    Config, Cpu, Debuginfod, DebuginfodCache, Export, Files, Kubelet, Kubernetes, Limits, Log, Server,
    Symbols, Tls,
};
pub use core_share::CoreShare;
pub use diagnostic::{Diagnostic, Diagnostics, Severity};
pub use duration::{format_duration, parse_duration};
pub use error::Error;
pub use load::{Loaded, MAX_FILE_BYTES, load, parse};
pub use moment::{format_moment, parse_moment};
pub use nearest::nearest;
pub use rules::{LabelRule, Rules, Target};
pub use show::reference;
pub use size::{format_size, parse_size};
pub use sources::Sources;
