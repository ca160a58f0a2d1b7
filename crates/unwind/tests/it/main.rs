//! Unwind tables against call frame information itself, and the kernel side's C against both.

mod agreement;
mod kernel_side;
mod made_up;
mod registry;
mod tables;
mod undescribed;
