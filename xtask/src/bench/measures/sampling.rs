//! P9 and P12: every sample that is due, and what it costs to take them in.

use crate::bench::agent::Agent;
use crate::bench::load::Load;
use crate::bench::{Bench, Row, process, spread};
use anyhow::{Context, Result};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// P9: samples against CPU time × rate.
pub(crate) fn accuracy(bench: &Bench) -> Result<Vec<Row>> {
    println!("P9: accuracy");
    let mut errors = Vec::new();
    for _ in 0..3 {
        let (cpu_seconds, samples) = record_burn(bench, 99, 15, 1)?;
        errors.push((samples / (cpu_seconds * 99.0) - 1.0) * 100.0);
    }
    let (median, least, most) = spread(errors).context("no figures")?;
    Ok(vec![Row {
        number: "P9",
        what: "samples of a steadily busy program against its CPU time × 99 Hz".into(),
        budget: "within 1 %",
        measured: format!("{median:+.2} % [{least:+.2}–{most:+.2}]"),
        met: Some(median.abs() <= 1.0),
    }])
}

/// P12: 10,000 samples a second.
pub(crate) fn throughput(bench: &Bench) -> Result<Vec<Row>> {
    println!("P12: throughput");
    let cpus = std::thread::available_parallelism()?.get();
    let hz = (10_000 / cpus).min(10_000);
    let mut burner = Load::default();
    burner.add(Command::new(std::env::current_exe()?).args(["burn", "60", &cpus.to_string()]))?;
    let settings = format!("  target_pids: [{}]\n  cpu: {{sample_rate: {hz}}}\n", burner.pid_list());
    let agent = Agent::start(&bench.telegen, &settings)?;
    std::thread::sleep(Duration::from_secs(2));
    let (cpu, begun) = (process::thread_cpu_ns(agent.pid(), "tg-drain")?, Instant::now());
    std::thread::sleep(Duration::from_secs(20));
    let used = process::thread_cpu_ns(agent.pid(), "tg-drain")? - cpu;
    let used = used as f64 / begun.elapsed().as_nanos() as f64 * 100.0;
    let lost = agent.metric("telegen_profiler_samples_total", "ring_full")?;
    let taken = agent.metric("telegen_profiler_samples_total", "exported")?;
    Ok(vec![Row {
        number: "P12",
        what: format!("{} samples/s ({hz} Hz × {cpus} CPUs), draining and counting", hz * cpus),
        budget: "none lost, ≤ 1 % of a core",
        measured: format!("{lost:.0} lost of {taken:.0} exported so far, {used:.2} % of a core"),
        met: Some(lost == 0.0 && taken > 0.0 && used <= 1.0),
    }])
}

/// Records this program burning; its CPU seconds, and how many samples there are of it.
fn record_burn(bench: &Bench, hz: u32, seconds: u32, threads: usize) -> Result<(f64, f64)> {
    let profile = std::env::temp_dir().join(format!("telegen-bench-{}.pb.gz", std::process::id()));
    let output = Command::new(&bench.telegen)
        .args(["record", "--force", "-F", &hz.to_string(), "-o"])
        .arg(&profile)
        .arg("--")
        .arg(std::env::current_exe()?)
        .args(["burn", &seconds.to_string(), &threads.to_string()])
        .output()?;
    // Only the summary is wanted.
    let _ = fs::remove_file(&profile);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let cpu_seconds = text.lines().next().context("nothing was said")?.parse()?;
    Ok((cpu_seconds, samples(&text)?))
}

fn samples(summary: &str) -> Result<f64> {
    let before = summary.split(" samples in ").next().context("no summary")?;
    let number = before.rsplit([' ', '\n']).next().context("no number")?;
    Ok(number.replace(',', "").parse()?)
}
