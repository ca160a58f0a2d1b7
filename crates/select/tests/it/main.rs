//! The state machine, against single stories and against a naive model of it.
#![allow(missing_docs)]

mod late;
mod model;
mod pods;
mod readers;
mod retargeting;
mod scans;
mod stories;
mod views;
mod world;
