//! P15: how long a decision takes, on an idle machine and on a saturated one.

use super::storm::trickle;
use crate::bench::agent::Agent;
use crate::bench::latencies::Latencies;
use crate::bench::load::Load;
use crate::bench::process::CpuTimes;
use crate::bench::programs_in_c::{LIFE, STARTER, STATIC, Workshop};
use crate::bench::{Bench, Row};
use anyhow::{Result, ensure};
use std::path::Path;
use std::time::Duration;

const PER_SECOND: u32 = 50;

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let workshop = Workshop::open("latency")?;
    let starter = workshop.build(STARTER, &STATIC, "telegen-bench-starter")?;
    let matching = workshop.build(LIFE, &STATIC, "telegen-bench-hit")?;
    let other = workshop.build(LIFE, &STATIC, "telegen-bench-miss")?;
    let programs = [&*matching, &*other];
    let mut rows = Vec::new();
    for standing_by in [200, bench.effort.standing_by] {
        println!("P15: decisions among {standing_by} processes");
        let _others = Load::standing_by(standing_by)?;
        let agent = Agent::start(&bench.telegen, "  target_process_names: ['telegen-*-hit']\n")?;
        std::thread::sleep(Duration::from_secs(5));
        rows.push(of_a_trickle(bench, &agent, &starter, programs, (standing_by, "idle", 1e-3))?);
        let _spinners = Load::busy(2 * std::thread::available_parallelism()?.get())?;
        std::thread::sleep(Duration::from_secs(2));
        rows.push(of_a_trickle(bench, &agent, &starter, programs, (standing_by, "saturated", 10e-3))?);
    }
    Ok(rows)
}

fn of_a_trickle(
    bench: &Bench,
    agent: &Agent,
    starter: &Path,
    programs: [&Path; 2],
    (standing_by, machine, budget_seconds): (usize, &str, f64),
) -> Result<Row> {
    let (before, times) = (agent.latencies()?, CpuTimes::now()?);
    let started = trickle(starter, PER_SECOND, bench.effort.trickle, 2, programs)?;
    let busy = CpuTimes::now()?.busy_since(times);
    std::thread::sleep(Duration::from_secs(1));
    let latencies = agent.latencies()?.since(&before);
    // An exec each: a fork inherits.
    ensure!(latencies.count() >= started, "{} decisions on {started} processes", latencies.count());
    let within = latencies.share_within(budget_seconds)?;
    Ok(Row {
        number: "P15",
        what: format!(
            "from exec to the kernel's table where user space decides, {PER_SECOND} processes/s, half of them matching, {standing_by} others, {machine} machine"
        ),
        budget: if machine == "idle" { "p99 ≤ 1 ms" } else { "p99 ≤ 10 ms" },
        measured: format!(
            "{}; {:.2} % within {:.0} ms; CPUs {busy:.0} % busy",
            p99(&latencies)?,
            within * 100.0,
            budget_seconds * 1e3
        ),
        met: Some(within >= 0.99),
    })
}

/// The bucket in which the 99th percentile lies, and how many there are.
pub(super) fn p99(latencies: &Latencies) -> Result<String> {
    let (above, up_to) = latencies.quantile(0.99)?;
    Ok(format!("p99 {}–{} ms of {:.0}", above * 1e3, up_to * 1e3, latencies.count()))
}
