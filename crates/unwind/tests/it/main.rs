//! Unwind tables against call frame information itself, and the kernel side's C against both.

mod agreement;
mod code_patterns;
mod kernel_side;
mod machine_code;
mod made_up;
mod registry;
mod tables;
mod undescribed;
