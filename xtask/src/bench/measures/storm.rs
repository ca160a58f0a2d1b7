//! P15: processes that come and go as fast as the machine can make them.

use super::latency::p99;
use crate::bench::agent::Agent;
use crate::bench::bpf_stats;
use crate::bench::load::Load;
use crate::bench::programs_in_c::{LIFE, STARTER, STATIC, Workshop};
use crate::bench::{Bench, Row, process};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const RATE: u32 = 2_000;
const STANDING_BY: usize = 200;
/// Every so many that is started matches.
const MATCHING: u32 = 10;
const MIB: f64 = (1u64 << 20) as f64;
/// Above this the second half of a storm has left something behind.
const MOST_GROWTH: f64 = 2.0;

/// Processes that have been started, and how long that took.
struct Started {
    count: f64,
    seconds: f64,
}

/// Rules that select the same: the first by what the kernel side can evaluate, the other by what only user space can.
const RULES: [(&str, &str); 2] = [("the kernel side", "telegen-bench-hit"), ("user space", "telegen-*-hit")];

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    RULES.into_iter().map(|rule| under_rule(bench, rule)).collect()
}

fn under_rule(bench: &Bench, (decider, pattern): (&str, &str)) -> Result<Row> {
    let storm = bench.effort.storm;
    println!("P15: {RATE} processes/s for {} s, decided on by {decider}", storm.as_secs());
    let workshop = Workshop::open("storm")?;
    let starter = workshop.build(STARTER, &STATIC, "telegen-bench-starter")?;
    let matching = workshop.build(LIFE, &STATIC, "telegen-bench-hit")?;
    let other = workshop.build(LIFE, &STATIC, "telegen-bench-miss")?;
    let _others = Load::standing_by(STANDING_BY)?;
    let agent = Agent::start(&bench.telegen, &format!("  target_process_names: ['{pattern}']\n"))?;
    // The first repair scan and the allocator's are over when all is at rest.
    std::thread::sleep(Duration::from_secs(5));

    let resident = || Ok::<_, anyhow::Error>(process::resident_bytes(agent.pid())? as f64 / MIB);
    let by_kernel = || agent.metric("telegen_profiler_kernel_decisions", "");
    let (before, latencies, cpu) = (resident()?, agent.latencies()?, process::cpu_ns(agent.pid())?);
    let (rejected_before, by_kernel_before) = (faults(&agent)?, by_kernel()?);
    let mut command = Command::new(starter);
    command.args(["rate", &RATE.to_string(), &storm.as_secs().to_string(), &MATCHING.to_string()]);
    let storming = start(command.arg(&matching).arg(&other))?;
    std::thread::sleep(storm / 2);
    let halfway = resident()?;
    let started = finish(storming)?;
    let cpu = (process::cpu_ns(agent.pid())? - cpu) as f64 / (started.seconds * 1e9) * 100.0;
    let after = resident()?;
    std::thread::sleep(Duration::from_secs(2));
    let latencies = agent.latencies()?.since(&latencies);
    let faults = faults(&agent)? - rejected_before;
    let decided = latencies.count() + by_kernel()? - by_kernel_before;
    let stale = stale_entries(agent.pid())?;
    // All of them: a fork and an exec each. The machine's own are decided on as well.
    ensure!(
        faults > 0.0 || decided >= 2.0 * started.count,
        "{decided} decisions on {} processes",
        started.count
    );
    Ok(Row {
        number: "P15",
        what: format!(
            "{:.0} processes/s were started for {:.0} s, of {RATE}/s wanted, one in {MATCHING} matching, among {STANDING_BY}, decided on by {decider}: CPU time of the agent; events and processes lost; stale entries afterwards; memory before, halfway, after; how long user space took to decide",
            started.count / started.seconds,
            started.seconds
        ),
        budget: "≤ 10 % of a core, none, none, no growth",
        measured: format!(
            "{cpu:.1} % of a core; {faults:.0} lost; {stale} stale; {before:.1}, {halfway:.1}, {after:.1} MiB; {}",
            p99(&latencies).unwrap_or_else(|_| "none left to it".into())
        ),
        met: Some(cpu <= 10.0 && faults == 0.0 && stale == 0 && after - halfway <= MOST_GROWTH),
    })
}

/// Starts a starter that says what it has done.
fn start(command: &mut Command) -> Result<Child> {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    child.with_context(|| format!("cannot start {command:?}"))
}

fn finish(starter: Child) -> Result<Started> {
    let output = starter.wait_with_output()?;
    ensure!(output.status.success(), "the starter has ended with {}", output.status);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (count, seconds) = text.trim().split_once(' ').context("the starter has said nothing")?;
    Ok(Started { count: count.parse()?, seconds: seconds.parse()? })
}

/// Starts processes at a rate, every `nth` of them the first program; waits until it is over.
pub(super) fn trickle(
    starter: &Path,
    per_second: u32,
    duration: Duration,
    nth: u32,
    [program, other]: [&Path; 2],
) -> Result<f64> {
    let mut command = Command::new(starter);
    let numbers = [per_second.to_string(), duration.as_secs().to_string(), nth.to_string()];
    command.arg("rate").args(numbers).arg(program).arg(other);
    Ok(finish(start(&mut command)?)?.count)
}

/// Events and processes for which there was no room, and what a scan had to repair.
fn faults(agent: &Agent) -> Result<f64> {
    let names = ["lifecycle_events_lost", "processes_refused", "processes_repaired"];
    names.iter().map(|name| agent.metric(&format!("telegen_profiler_{name}"), "")).sum()
}

/// How long an entry may stay behind its process. The kernel releases many together, and on an idle machine up to ten seconds
/// late (RCU, `LAZY_FLUSH_JIFFIES` of kernel/rcu/tree_nocb.h); what it does not let programs see is found by the second scan
/// from then on, and there is one each 30 seconds.
const RELEASE_TIME: Duration = Duration::from_secs(75);

/// Entries of the kernel's table whose process is gone, and for longer than that may take to be noticed.
fn stale_entries(agent: u32) -> Result<usize> {
    let gone = || -> Result<Vec<u64>> {
        let keys = bpf_stats::map_keys(agent, "tg_processes")?;
        ensure!(!keys.is_empty(), "the kernel's table is empty");
        Ok(keys.into_iter().filter(|pid| !Path::new(&format!("/proc/{pid}")).exists()).collect())
    };
    let before = gone()?;
    std::thread::sleep(RELEASE_TIME);
    Ok(gone()?.iter().filter(|pid| before.contains(pid)).count())
}
