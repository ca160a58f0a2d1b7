//! What is measured.

use super::agent::Agent;
use super::load::Load;
use super::{Bench, Row, spread};
use anyhow::{Context, Result};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

type Measure = fn(&Bench) -> Result<Vec<Row>>;

pub(crate) const ALL: [Measure; 7] =
    [rejected_ticks, scan, cached_decision, accuracy, throughput, first_flush, memory];

const MIB: f64 = (1u64 << 20) as f64;

/// Lets the kernel count the run time of BPF programs while this lives.
struct BpfStats(String);

const BPF_STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";

impl BpfStats {
    fn enable() -> Result<Self> {
        let before = fs::read_to_string(BPF_STATS).context("no BPF statistics here")?;
        fs::write(BPF_STATS, "1")?;
        Ok(Self(before))
    }
}

impl Drop for BpfStats {
    fn drop(&mut self) {
        // Left on they cost a little, and that is all.
        let _ = fs::write(BPF_STATS, self.0.trim());
    }
}

/// P1: what a tick costs on a busy process that is not a target, while many processes stand by.
fn rejected_ticks(bench: &Bench) -> Result<Vec<Row>> {
    let standing_by = bench.effort.standing_by;
    println!("P1: {standing_by} processes stand by");
    let _others = Load::standing_by(standing_by)?;
    let mut rows = Vec::new();
    for (rate, budget) in [(4_999, "≤ 200 ns"), (99, "≤ 3 × an empty program")] {
        let settings =
            format!("  target_process_names: [telegen-bench-nobody]\n  cpu: {{sample_rate: {rate}}}\n");
        let agent = Agent::start(&bench.telegen, &settings)?;
        let _busy = Load::busy(std::thread::available_parallelism()?.get())?;
        let _stats = BpfStats::enable()?;
        let mut costs = Vec::new();
        for _ in 0..7 {
            let (time_before, runs_before) = agent.program_runs("tg_cpu_tick")?;
            std::thread::sleep(Duration::from_secs(2));
            let (time, runs) = agent.program_runs("tg_cpu_tick")?;
            costs.push((time - time_before) as f64 / (runs - runs_before).max(1) as f64);
        }
        let (median, least, most) = spread(costs).context("no figures")?;
        rows.push(Row {
            number: "P1",
            what: format!("a tick on a busy process that is not a target, {standing_by} others, {rate} Hz"),
            budget,
            measured: format!("{median:.0} ns [{least:.0}–{most:.0}]"),
            // The empty program is not measured beside it here.
            met: (rate == 4_999).then_some(median <= 200.0),
        });
    }
    Ok(rows)
}

/// P5: a fresh process lists what it would profile, less what starting it costs.
fn scan(bench: &Bench) -> Result<Vec<Row>> {
    println!("P5: scanning");
    let _others = Load::standing_by(200)?;
    let (mut own, mut outside) = (Vec::new(), Vec::new());
    for _ in 0..15 {
        let elapsed = |arguments: &[&str]| -> Result<(f64, Vec<u8>)> {
            let begun = Instant::now();
            let output = Command::new(&bench.telegen).args(arguments).output()?;
            Ok((begun.elapsed().as_secs_f64() * 1e3, output.stdout))
        };
        let (bare, _) = elapsed(&["--version"])?;
        let (whole, list) = elapsed(&["targets", "--name", "sleep", "-o", "json"])?;
        let list: serde_json::Value = serde_json::from_slice(&list)?;
        own.push(list["duration_ms"].as_f64().context("no duration")?);
        outside.push(whole - bare);
    }
    let (outside, least, most) = spread(outside).context("no figures")?;
    let (own, own_least, own_most) = spread(own).context("no figures")?;
    let row =
        |what: &str, measured, met| Row {
            number: "P5", what: what.into(), budget: "≤ 1 ms", measured, met
        };
    Ok(vec![
        row(
            "a fresh process scans 200 processes and decides, from outside less bare start-up (elapsed; loading the BPF programs is most of it)",
            format!("{outside:.1} ms [{least:.1}–{most:.1}]"),
            Some(outside <= 1.0),
        ),
        row("the same, as it reports itself", format!("{own:.1} ms [{own_least:.1}–{own_most:.1}]"), None),
    ])
}

/// P6: a decision from the cache, by its criterion benchmark.
fn cached_decision(bench: &Bench) -> Result<Vec<Row>> {
    println!("P6: decisions");
    let output = Command::new("cargo")
        .current_dir(&bench.root)
        .args(["bench", "--quiet", "-p", "telegen-select", "--bench", "should_profile"])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.contains("time:")).context("criterion said nothing")?;
    let figures = line.split('[').nth(1).and_then(|rest| rest.split(']').next()).context("no figures")?;
    let words: Vec<&str> = figures.split_whitespace().collect();
    let median: f64 = words.get(2).context("no median")?.parse()?;
    let ns = if words.get(3) == Some(&"ns") { median } else { f64::INFINITY };
    Ok(vec![Row {
        number: "P6",
        what: "`should_profile`, 10,000 processes in random order (elapsed)".into(),
        budget: "≤ 50 ns",
        measured: format!("[{figures}]"),
        met: Some(ns <= 50.0),
    }])
}

/// Records this program burning; its CPU seconds, and what `record` said.
fn record_burn(bench: &Bench, hz: u32, seconds: u32, threads: usize) -> Result<(f64, String)> {
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
    let seconds = text.lines().next().context("nothing was said")?.parse()?;
    Ok((seconds, text))
}

fn samples_and_lost(summary: &str) -> Result<(f64, f64)> {
    let line = summary.lines().find(|line| line.contains(" samples in ")).context("no summary")?;
    let number = |before: &str| -> Result<f64> {
        let word = line.split(before).next().and_then(|text| text.rsplit(' ').next()).context("no number")?;
        Ok(word.replace(',', "").parse()?)
    };
    Ok((number(" samples in ")?, number(" lost")?))
}

/// P9: samples against CPU time × rate.
fn accuracy(bench: &Bench) -> Result<Vec<Row>> {
    println!("P9: accuracy");
    let mut errors = Vec::new();
    for _ in 0..3 {
        let (cpu_seconds, summary) = record_burn(bench, 99, 15, 1)?;
        let (samples, _) = samples_and_lost(&summary)?;
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
fn throughput(bench: &Bench) -> Result<Vec<Row>> {
    println!("P12: throughput");
    let cpus = std::thread::available_parallelism()?.get();
    let hz = (10_000 / cpus).min(10_000);
    let mut burner = Load::default();
    burner.add(Command::new(std::env::current_exe()?).args(["burn", "60", &cpus.to_string()]))?;
    let settings = format!("  target_pids: [{}]\n  cpu: {{sample_rate: {hz}}}\n", burner.pids());
    let agent = Agent::start(&bench.telegen, &settings)?;
    std::thread::sleep(Duration::from_secs(2));
    let (cpu, begun) = (agent.thread_cpu_ns("tg-drain")?, Instant::now());
    std::thread::sleep(Duration::from_secs(20));
    let used = (agent.thread_cpu_ns("tg-drain")? - cpu) as f64 / begun.elapsed().as_nanos() as f64 * 100.0;
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

/// P14: the first interval of the whole machine, kernel symbols included.
fn first_flush(bench: &Bench) -> Result<Vec<Row>> {
    println!("P14: first flush");
    let mut busy = Load::default();
    busy.add(Command::new("dd").args(["if=/dev/zero", "of=/dev/null", "bs=512"]))?;
    let mut times = Vec::new();
    for _ in 0..3 {
        let settings = "  collection_interval: 3s\n  exclude_process_names: [telegen-bench-nobody]\n";
        let agent = Agent::start(&bench.telegen, settings)?;
        std::thread::sleep(Duration::from_secs(5));
        anyhow::ensure!(
            agent.metric("telegen_profiler_exports_total", "success")? == 1.0,
            "not one interval"
        );
        times.push(agent.thread_cpu_ns("tg-symbolize")? as f64 / 1e6);
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

/// P2 and P3: memory, with some different targets and with everything.
fn memory(bench: &Bench) -> Result<Vec<Row>> {
    let watch = bench.effort.memory;
    println!("P2, P3: memory, {} s each", watch.as_secs());
    let directory = std::env::temp_dir().join(format!("telegen-bench-programs-{}", std::process::id()));
    let (targets, count) = Load::different(&directory)?;
    let _others = Load::now_and_then(243usize.saturating_sub(count))?;
    let watched = |settings: &str| -> Result<(f64, f64, f64)> {
        let agent = Agent::start(&bench.telegen, settings)?;
        std::thread::sleep(watch);
        let maps = agent.metric("telegen_profiler_bpf_map_bytes", "")? / MIB;
        Ok((
            agent.resident_bytes()? as f64 / MIB,
            maps,
            agent.metric("telegen_profiler_samples_total", "exported")?,
        ))
    };
    let some = watched(&format!("  target_pids: [{}]\n", targets.pids()));
    let all = watched("  exclude_process_names: [telegen-bench-nobody]\n");
    // Left behind it does no harm.
    let _ = fs::remove_dir_all(&directory);
    let ((resident, maps, samples), (all_resident, all_maps, all_samples)) = (some?, all?);
    let seconds = watch.as_secs();
    Ok(vec![
        Row {
            number: "P2",
            what: format!(
                "memory with {count} busy targets, different programs, among 243 processes, {seconds} s"
            ),
            budget: "≤ 48 MiB + maps ≤ 24 MiB",
            measured: format!("{resident:.1} MiB + {maps:.1} MiB ({samples:.0} samples)"),
            met: Some(resident <= 48.0 && maps <= 24.0 && samples > 0.0),
        },
        Row {
            number: "P3",
            what: format!("memory without a filter, 243 processes, {seconds} s"),
            budget: "≤ 96 MiB + maps ≤ 48 MiB",
            measured: format!("{all_resident:.1} MiB + {all_maps:.1} MiB ({all_samples:.0} samples)"),
            met: Some(all_resident <= 96.0 && all_maps <= 48.0 && all_samples > 0.0),
        },
    ])
}
