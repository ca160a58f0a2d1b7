//! Ticks in, intervals and profiles out, with real processes behind them.
#![allow(missing_docs)]

mod debug_files;
mod gathering;
mod naming;
mod remapping;

use std::sync::Arc;
use telegen_collect::{Collector, Flaws, Tick};
use telegen_model::{Pid, ProcessFacts, TargetNumber, Tid, Token};
use telegen_process::ProcFs;

pub(crate) const TOKEN: Token = Token(7);
pub(crate) const DEFAULT: TargetNumber = TargetNumber(0);
pub(crate) const PERIOD_NS: u64 = 10_000_000;

pub(crate) fn collector() -> Collector {
    Collector::new(ProcFs::default(), PERIOD_NS)
}

/// What is known of a running process.
pub(crate) fn facts_of(pid: u32) -> Arc<ProcessFacts> {
    Arc::new(ProcFs::default().facts(Pid(pid)).expect("the process runs"))
}

pub(crate) fn tick<'a>(user: &'a [u64], kernel: &'a [u64]) -> Tick<'a> {
    Tick { tid: Tid(1), thread_name: b"worker\0\0", user, kernel, flaws: Flaws::default(), remaps: 0 }
}

/// A function of this program, to have an address that is known.
#[inline(never)]
pub(crate) fn landmark() -> u64 {
    std::hint::black_box(landmark as fn() -> u64) as usize as u64
}
