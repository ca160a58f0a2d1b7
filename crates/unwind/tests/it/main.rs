//! Unwind tables against call frame information itself, and the kernel side's C against both.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "it says what it skips and compares")]

mod agreement;
mod arm_step;
mod assembled;
mod code_patterns;
mod corpus;
mod descriptions;
mod go;
mod go_code;
mod go_program;
mod go_structures;
mod hand_written;
mod kernel_side;
mod machine_code;
mod made_up;
mod other_stacks;
mod registry;
#[cfg(target_arch = "x86_64")]
mod stopped;
mod tables;
mod undescribed;
#[cfg(target_arch = "x86_64")]
mod whole_stacks;
