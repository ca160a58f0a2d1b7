//! Rules over processes: what the user wrote becomes a [`RuleSet`], and that says of each process whether it is
//! profiled, and why.
//!
//! # Design constraints
//!
//! * No I/O: facts in, [`Decision`]s out. The same facts always give the same decision.
//! * A decision names the one rule that made it. It is a few bytes, so that one can be kept for every process of a
//!   node; its words are made only when somebody asks ([`RuleSet::reason`]).
//! * A pattern is compiled once. One without metacharacters costs a hash look-up, however many there are.

mod container_ids;
mod decision;
mod glob;
mod key;
mod near_miss;
mod patterns;
mod rule_set;
mod spec;

pub use decision::{Decision, Reason, Verdict};
pub use key::Key;
pub use near_miss::{Miss, NearMiss};
pub use patterns::PatternError;
pub use rule_set::{PidChoice, RuleSet, Warning};
pub use spec::{MatchMode, RuleSpec};
