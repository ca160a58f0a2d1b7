//! Which processes are targets, at every instant.
//!
//! # Design constraints
//!
//! * A state machine without I/O: lifecycle events, facts and rules go in, [`Operation`]s come out. It knows nothing
//!   of /proc, BPF or HTTP, so that it can be tried against every order of events.
//! * One thread owns the [`Selector`]. All others read through a [`Selection`], whose [`Selection::should_profile`]
//!   is a look-up in a table: no lock, no allocation, and memory for the processes there are, not the pids there were.
//! * Everything is known by its [`Token`](telegen_model::Token), never by pid alone: what was decided for one process
//!   cannot be found by another that is later given its pid.
//! * Only differences come out: a reload that changes nothing for a process says nothing about it.
//!
//! # Example
//!
//! ```
//! use telegen_model::*;
//! use telegen_rules::{RuleSet, RuleSpec};
//! use telegen_select::{Event, Limits, Observed, Rates, Selector, Standing};
//!
//! let spec = RuleSpec { process_names: vec!["java".into()], ..RuleSpec::default() };
//! let mut selector = Selector::new(RuleSet::compile(&spec).unwrap(), Pid(1), Limits::default(), Rates::default());
//! let selection = selector.selection();
//! let id = ProcessId { pid: Pid(42), start: StartTime(1_000) };
//! let facts = ProcessFacts {
//!     key: ProcessKey { id, generation: Generation(0) },
//!     parent: Pid(1),
//!     kernel_thread: false,
//!     comm: "java".into(),
//!     executable: Some("/usr/bin/java".into()),
//!     argv0: Some("java".into()),
//!     container: None,
//!     pod: PodFacts::InNone,
//! };
//! let mut operations = Vec::new();
//! let observed = Observed { facts, token: Token(7), key: KernelKey(42), standing: Standing::Undecided };
//! selector.handle(Event::Seen(observed), &mut operations);
//! assert_eq!(operations.len(), 2); // tell the kernel; start it
//! let decision = selection.should_profile(Pid(42));
//! assert_eq!(selection.reason(decision), "target_process_names[0] = \"java\"");
//! assert_eq!(selection.filtered_processes().len(), 1);
//! ```

mod bindings;
mod decision_table;
mod event;
mod scan;
mod selection;
mod selector;
mod target_numbers;

pub use event::{Event, Observed, Operation, Standing};
pub use selection::{SelectedProcess, Selection};
pub use selector::{Limits, Rates, Repairs, Selector};
pub use target_numbers::TargetSettings;
