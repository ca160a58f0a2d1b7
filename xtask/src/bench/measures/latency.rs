//! P15: how long a decision takes, on an idle machine and on a saturated one.

use super::storm::trickle;
use crate::bench::agent::Agent;
use crate::bench::latencies::Latencies;
use crate::bench::load::Load;
use crate::bench::process::CpuTimes;
use crate::bench::programs_in_c::{LIFE, STARTER, STATIC, Workshop};
use crate::bench::{Bench, Row};
use anyhow::{Context, Result, anyhow, ensure};
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

const PER_SECOND: u32 = 50;

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let workshop = Workshop::open("latency")?;
    let starter = workshop.build(STARTER, &STATIC, "telegen-bench-starter")?;
    let matching = workshop.build(LIFE, &STATIC, "telegen-bench-hit")?;
    let other = workshop.build(LIFE, &STATIC, "telegen-bench-miss")?;
    let programs = [&*matching, &*other];
    let mut rows = vec![wake_up(bench)?];
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

/// How long who has written to a pipe goes on, as a program does after its exec. Who waits is woken on another CPU, or has to wait for
/// as long, as the kernel chooses.
const GOES_ON: Duration = Duration::from_millis(2);

/// How long this machine takes, when it is idle, to let a thread go on that waits for a pipe: a decision of user space has such a wait
/// in it.
fn wake_up(bench: &Bench) -> Result<Row> {
    println!("P15: waking up a thread");
    let (mut reader, mut writer) = std::io::pipe()?;
    let begin = Instant::now();
    let waiting = std::thread::spawn(move || -> Result<Vec<f64>> {
        let (mut written_at, mut delays) = ([0; 8], Vec::new());
        while reader.read_exact(&mut written_at).is_ok() {
            let delay = begin.elapsed().saturating_sub(Duration::from_nanos(u64::from_ne_bytes(written_at)));
            delays.push(delay.as_secs_f64() * 1e3);
        }
        Ok(delays)
    });
    while begin.elapsed() < bench.effort.trickle {
        std::thread::sleep(Duration::from_secs(1) / PER_SECOND);
        let written_at = begin.elapsed();
        writer.write_all(&(written_at.as_nanos() as u64).to_ne_bytes())?;
        while begin.elapsed() < written_at + GOES_ON {
            std::hint::spin_loop();
        }
    }
    drop(writer);
    let mut delays = waiting.join().map_err(|_| anyhow!("the thread that waits has panicked"))??;
    delays.sort_by(f64::total_cmp);
    let at = |share: f64| delays.get((delays.len() as f64 * share) as usize).context("nobody was woken");
    Ok(Row {
        number: "–",
        what: format!(
            "beside P15: a thread that waits for a pipe goes on after another has written to it, who goes on too, {PER_SECOND} times a second, idle machine"
        ),
        budget: "",
        measured: format!(
            "median {:.2} ms, p99 {:.2} ms of {}; {:.2} % within 1 ms",
            at(0.5)?,
            at(0.99)?,
            delays.len(),
            100.0 * delays.partition_point(|delay| *delay <= 1.0) as f64 / delays.len() as f64
        ),
        met: None,
    })
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
