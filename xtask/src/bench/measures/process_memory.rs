//! P7: what is held for each process that there is.

use crate::bench::agent::Agent;
use crate::bench::load::Load;
use crate::bench::programs_in_c::{LIFE, STATIC, Workshop};
use crate::bench::{Bench, Row, bpf_stats, process, spread};
use anyhow::{Context, Result, ensure};
use std::process::Command;
use std::time::Duration;

const FEW: usize = 200;
/// Paths are as long as those of runtimes are.
const PROGRAM: &str = "usr/lib/jvm/java-21-openjdk-amd64/bin/telegen-bench-life";
/// The allocator has given back by then what the first scan has used, and the next has not begun.
const SETTLING: Duration = Duration::from_secs(22);

/// Whether processes are targets, and the rules that say so.
const CASES: [(&str, &str); 2] = [
    (
        "not a target",
        "  target_process_names: [telegen-bench-nobody]\n  target_executables: [\"/nobody/?\"]\n",
    ),
    (
        "a target that sleeps",
        "  target_process_names: [telegen-bench-life]\n  limits: {max_targets: 20000}\n",
    ),
];

/// Bytes that are held for all processes together.
#[derive(Clone, Copy)]
struct Held {
    /// That the agent knows: the machine has others as well.
    processes: f64,
    agent: f64,
    kernel: f64,
}

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let many = bench.effort.standing_by;
    println!("P7: memory of {many} processes");
    let (few, lots) = (of_each_case(bench, FEW)?, of_each_case(bench, many)?);
    let added = 0.5 * (many - FEW) as f64;
    ensure!(
        few.iter()
            .flatten()
            .zip(lots.iter().flatten())
            .all(|(few, lots)| lots.processes - few.processes >= added),
        "other processes than those that were started have come and gone"
    );
    let mut rows = Vec::new();
    for ((case, _), (few, lots)) in CASES.iter().zip(few.into_iter().zip(lots)) {
        let of_one = |held: fn(&Held) -> f64| {
            let pairs = few.iter().zip(&lots);
            spread(
                pairs
                    .map(|(few, lots)| (held(lots) - held(few)) / (lots.processes - few.processes))
                    .collect(),
            )
            .context("no figures")
        };
        let (agent, least, most) = of_one(|held| held.agent)?;
        let (kernel, ..) = of_one(|held| held.kernel)?;
        rows.push(Row {
            number: "P7",
            what: format!(
                "memory of the agent for a process that is {case}: what it has more with {many} processes than with {FEW}, divided; and what the kernel's table has more"
            ),
            budget: "≤ 1024 bytes",
            measured: format!("{agent:.0} bytes [{least:.0}–{most:.0}]; {kernel:.0} bytes"),
            met: Some(agent <= 1024.0),
        });
    }
    Ok(rows)
}

/// Several agents for each case, one after the other, while so many processes stand by.
fn of_each_case(bench: &Bench, processes: usize) -> Result<Vec<Vec<Held>>> {
    let workshop = Workshop::open("memory")?;
    let program = workshop.build(LIFE, &STATIC, PROGRAM)?;
    let mut others = Load::default();
    for _ in 0..processes {
        others.add(Command::new(&program).arg("-1"))?;
    }
    let rounds = 0..bench.effort.agents;
    CASES.iter().map(|(_, rules)| rounds.clone().map(|_| held(bench, rules, processes)).collect()).collect()
}

fn held(bench: &Bench, rules: &str, processes: usize) -> Result<Held> {
    let agent = Agent::start(&bench.telegen, rules)?;
    std::thread::sleep(SETTLING);
    let known = agent.metric("telegen_profiler_processes_scanned", "")?;
    ensure!(known >= processes as f64, "only {known} processes are known");
    Ok(Held {
        processes: known,
        agent: process::anonymous_bytes(agent.pid())? as f64,
        kernel: bpf_stats::map_bytes(agent.pid(), "tg_processes")? as f64,
    })
}
