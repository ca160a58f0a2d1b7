//! Decisions, against the text of the targeting rules.
#![allow(missing_docs)]

mod containers;
mod decisions;
mod explanations;
mod generated;
mod globs;
mod independent;
mod kernel;
mod naive_glob;
mod needs;
mod oracle;
mod pods;
mod targets;
