//! /proc as the running kernel shows it.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "this is all test code")]

mod child;
mod corpus;
mod live;
