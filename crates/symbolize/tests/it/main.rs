//! Real files, made by the compilers of this machine, against what binutils say of them; and files that no compiler
//! makes.
#![allow(missing_docs, clippy::print_stderr)]

mod budget;
mod corpus;
mod crafted;
mod crafted_elf;
mod damaged;
mod go;
mod languages;
mod program;
mod separate;
mod split;
mod truth;
