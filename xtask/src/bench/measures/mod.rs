//! What is measured: a file for what is measured together.

mod decision;
mod flush;
mod footprint;
mod latency;
mod lives;
mod process_memory;
mod rejected;
mod sampling;
mod scan;
mod slowdown;
mod storm;
mod tables;
mod unwinding;

use super::{Bench, Row};
use anyhow::Result;

type Measure = fn(&Bench) -> Result<Vec<Row>>;

/// The budgets' numbers, and what measures them.
pub(crate) const ALL: [(&[&str], Measure); 14] = [
    (&["P1"], rejected::measure),
    (&["P2", "P3", "P4"], footprint::measure),
    (&["P5"], scan::measure),
    (&["P6"], decision::measure),
    (&["P7"], process_memory::measure),
    (&["P8"], lives::measure),
    (&["P9"], sampling::accuracy),
    (&["P10", "P11"], unwinding::measure),
    (&["P12"], sampling::throughput),
    (&["P10", "P11"], tables::measure),
    (&["P13"], slowdown::measure),
    (&["P14"], flush::measure),
    (&["P15"], storm::measure),
    (&["P15"], latency::measure),
];
