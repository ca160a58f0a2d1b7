//! Real files, made by the compilers of this machine, against what binutils say of them.
#![allow(missing_docs, clippy::print_stderr)]

mod damaged;
mod program;
mod truth;
