//! P14: the first profile.

use crate::bench::agent::Agent;
use crate::bench::load::Load;
use crate::bench::{Bench, Row, process, spread};
use anyhow::{Context, Result, ensure};
use std::process::Command;
use std::time::Duration;

/// The first interval of the whole machine, kernel symbols included.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    println!("P14: first flush");
    let mut busy = Load::default();
    busy.add(Command::new("dd").args(["if=/dev/zero", "of=/dev/null", "bs=512"]))?;
    let mut times = Vec::new();
    for _ in 0..3 {
        let settings = "  collection_interval: 3s\n  exclude_process_names: [telegen-bench-nobody]\n";
        let agent = Agent::start(&bench.telegen, settings)?;
        std::thread::sleep(Duration::from_secs(5));
        ensure!(agent.metric("telegen_profiler_exports_total", "success")? == 1.0, "not one interval");
        times.push(process::thread_cpu_ns(agent.pid(), "tg-symbolize")? as f64 / 1e6);
    }
    let (median, least, most) = spread(times).context("no figures")?;
    Ok(vec![Row {
        number: "P14",
        what: "first flush with kernel symbols, whole machine: CPU time of the symbolizing thread".into(),
        budget: "≤ 100 ms",
        measured: format!("{median:.0} ms [{least:.0}–{most:.0}]"),
        met: Some(median <= 100.0),
    }])
}
