//! P1: what a process costs that is not a target.

use crate::bench::agent::Agent;
use crate::bench::bpf_stats::BpfStats;
use crate::bench::load::Load;
use crate::bench::{Bench, Row, spread};
use anyhow::{Context, Result};
use std::process::Command;
use std::time::Duration;

/// A tick on a busy process that is not a target, while many others stand by, and beside it on the same CPUs at the
/// same rate a program that does nothing.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let standing_by = bench.effort.standing_by;
    println!("P1: {standing_by} processes stand by");
    let _others = Load::standing_by(standing_by)?;
    [4_999, 99].into_iter().map(|rate| at_rate(bench, rate)).collect()
}

fn at_rate(bench: &Bench, rate: u32) -> Result<Row> {
    let settings =
        format!("  target_process_names: [telegen-bench-nobody]\n  cpu: {{sample_rate: {rate}}}\n");
    let agent = Agent::start(&bench.telegen, &settings)?;
    let mut empty = Load::default();
    // bpftrace makes `r0 = 0; exit` of it, and calls it by its rate.
    empty.add(Command::new("bpftrace").args(["-e", &format!("profile:hz:{rate} {{ }}")]))?;
    let _busy = Load::busy(std::thread::available_parallelism()?.get())?;
    std::thread::sleep(Duration::from_secs(3));
    let stats = BpfStats::enable()?;
    let ours = || stats.program(agent.pid(), "tg_cpu_tick");
    let beside = || stats.program(empty.pids()[0], &rate.to_string());
    let (mut costs, mut ratios) = (Vec::new(), Vec::new());
    for _ in 0..bench.effort.rounds {
        let before = (ours()?, beside()?);
        std::thread::sleep(Duration::from_secs(2));
        let cost = ours()?.mean_since(before.0);
        costs.push(cost);
        ratios.push(cost / beside()?.mean_since(before.1));
    }
    let (cost, least, most) = spread(costs).context("no figures")?;
    let (ratio, ratio_least, ratio_most) = spread(ratios).context("no figures")?;
    let (budget, met) =
        if rate == 99 { ("≤ 3 × an empty program", ratio <= 3.0) } else { ("≤ 200 ns", cost <= 200.0) };
    Ok(Row {
        number: "P1",
        what: format!(
            "a tick on a busy process that is not a target, {} others, {rate} Hz; and that against an empty program on the same ticks",
            bench.effort.standing_by
        ),
        budget,
        measured: format!(
            "{cost:.0} ns [{least:.0}–{most:.0}], {ratio:.1} × [{ratio_least:.1}–{ratio_most:.1}]"
        ),
        met: Some(met),
    })
}
