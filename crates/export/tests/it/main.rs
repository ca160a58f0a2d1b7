//! What is written, as others read it.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "this is all test code")]

mod flame_graph;
mod go_pprof;
mod recording;
