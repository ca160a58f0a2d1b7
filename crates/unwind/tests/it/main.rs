//! Unwind tables against call frame information itself, and the kernel side's C against both.
#![allow(clippy::print_stderr, reason = "a test that cannot run says so")]

mod agreement;
mod go;
mod go_code;
mod go_program;
mod go_structures;
mod kernel_side;
mod made_up;
mod other_stacks;
mod registry;
mod tables;
mod undescribed;
