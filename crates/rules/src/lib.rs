//! Rules over processes: what the user wrote becomes a [`RuleSet`], and that says of each process whether it is
//! profiled, by which target, and why.
//!
//! # Design constraints
//!
//! * No I/O and no clock: facts and moments in, [`Decision`]s out. The same facts always give the same decision.
//! * A fact about a pod that has not arrived is a third value beside yes and no, and a process is undecided only while
//!   that fact could still change the answer.
//! * A decision names the one rule that made it, and the target. It is a few bytes, so that one can be kept for every
//!   process of a node; its words are made only when somebody asks ([`RuleSet::reason`]).
//! * A pattern is compiled once. One without metacharacters costs a hash look-up, however many there are.
//! * What the kernel may decide by itself ([`RuleSet::kernel_rules`]) is never more than what these rules decide.

mod compiled_target;
mod container_ids;
mod decide;
mod decision;
mod error;
mod glob;
mod kernel_rules;
mod key;
mod near_miss;
mod outcome;
mod patterns;
mod rule;
mod rule_set;
mod selector;
mod spec;
mod target;
mod target_name;
mod warning;
mod words;

pub use decide::PROFILE_ANNOTATION;
pub use decision::{Decision, Reason, Verdict};
pub use error::RuleError;
pub use kernel_rules::{KernelRule, KernelRules, PatternForm, Subject};
pub use key::{Fact, Key};
pub use near_miss::{Actual, Miss, NearMiss};
pub use rule_set::{PidChoice, RuleSet};
pub use selector::{PodLabels, Selector, SelectorError};
pub use spec::{LabelRule, MatchMode, PodAnnotations, RuleSpec, TargetSpec, TargetingSpec};
pub use target::{Target, TargetId};
pub use warning::Warning;
