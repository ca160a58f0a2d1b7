//! Unwind tables against call frame information itself, and the kernel side's C against both.
#![allow(clippy::print_stderr, reason = "it says what it skips")]

mod agreement;
mod arm_step;
mod kernel_side;
mod made_up;
mod registry;
mod tables;
