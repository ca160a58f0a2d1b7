//! P2, P3 and P4: the agent's own memory and CPU time, and those of others beside it under the same load.

use crate::bench::agent::Agent;
use crate::bench::cgroup::MemoryGroup;
use crate::bench::load::Load;
use crate::bench::{Bench, Row, bpf_stats, process, programs};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const MIB: f64 = (1u64 << 20) as f64;
const PROCESSES: usize = 243;

/// What a profiler has used.
struct Footprint {
    resident: f64,
    maps: f64,
    peak: Option<f64>,
    /// Per cent of a core.
    cpu: f64,
}

impl Footprint {
    fn memory(&self) -> String {
        let peak =
            self.peak.map_or_else(String::new, |peak| format!("; its cgroup held at most {peak:.1} MiB"));
        format!("{:.1} MiB + maps {:.1} MiB{peak}", self.resident, self.maps)
    }
}

/// Runs all of them one after the other under one load: a dozen different busy programs among 243.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let directory = std::env::temp_dir().join(format!("telegen-bench-programs-{}", std::process::id()));
    let result = side_by_side(bench, &directory);
    // Left behind it does no harm.
    let _ = fs::remove_dir_all(&directory);
    result
}

fn side_by_side(bench: &Bench, directory: &Path) -> Result<Vec<Row>> {
    let (watch, beside) = (bench.effort.memory, bench.effort.memory.min(Duration::from_secs(60)));
    println!("P2, P3, P4: memory and CPU time, {} s each", watch.as_secs());
    let targets = programs::start(directory)?;
    let _others = Load::now_and_then(PROCESSES - targets.len())?;
    // Runtimes that are still warming up are not what is asked for.
    std::thread::sleep(Duration::from_secs(10));

    let few = format!("  target_pids: [{}]\n", targets.pid_list());
    let all = "  exclude_process_names: [telegen-bench-nobody]\n";
    let mut rows = vec![
        with_targets(bench, &few, &targets, watch)?,
        without_filter(bench, all, watch)?,
        cpu_time(bench, "12 targets, 99 Hz", &few, beside, 0.5)?,
        cpu_time(bench, "no filter, 19 Hz", &format!("{all}  cpu: {{sample_rate: 19}}\n"), beside, 1.5)?,
    ];
    rows.extend(others(directory, beside)?);
    Ok(rows)
}

/// P2. A run whose profiles are wrong has no figures.
fn with_targets(bench: &Bench, settings: &str, targets: &Load, watch: Duration) -> Result<Row> {
    let agent = Agent::start(&bench.telegen, settings)?;
    let used = || targets.pids().into_iter().map(process::cpu_ns).sum::<Result<u64>>();
    let exported = || agent.metric("telegen_profiler_samples_total", "exported");
    agent.wait_for_export()?;
    let before = (used()?, exported()?);
    let footprint = watched(&agent, watch)?;
    agent.wait_for_export()?;
    let due = (used()? - before.0) as f64 / 1e9 * 99.0;
    let error = ((exported()? - before.1) / due - 1.0) * 100.0;
    ensure!(error.abs() <= 2.0, "there are {error:+.1} % more samples than CPU time × 99 Hz");
    let missing = missing_pids(&agent.newest_profile()?, &targets.pids())?;
    ensure!(missing.is_empty(), "these targets are not in the newest profile: {missing:?}");
    Ok(Row {
        number: "P2",
        what: format!(
            "memory with {} busy targets, different programs, among {PROCESSES} processes, {} s; all of them in the last profile, samples within {:.1} % of CPU time × 99 Hz",
            targets.len(),
            watch.as_secs(),
            error.abs()
        ),
        budget: "≤ 48 MiB + maps ≤ 24 MiB",
        measured: footprint.memory(),
        met: Some(footprint.resident <= 48.0 && footprint.maps <= 24.0),
    })
}

/// P3.
fn without_filter(bench: &Bench, settings: &str, watch: Duration) -> Result<Row> {
    let agent = Agent::start(&bench.telegen, settings)?;
    let footprint = watched(&agent, watch)?;
    let processes = agent.metric("telegen_profiler_processes_matched", "")?;
    Ok(Row {
        number: "P3",
        what: format!("memory without a filter, {processes:.0} processes profiled, {} s", watch.as_secs()),
        budget: "≤ 96 MiB + maps ≤ 48 MiB",
        measured: footprint.memory(),
        met: Some(footprint.resident <= 96.0 && footprint.maps <= 48.0 && processes >= PROCESSES as f64),
    })
}

/// P4. Start-up is not in it.
fn cpu_time(bench: &Bench, what: &str, settings: &str, watch: Duration, budget: f64) -> Result<Row> {
    let agent = Agent::start(&bench.telegen, settings)?;
    agent.wait_for_export()?;
    let footprint = watched(&agent, watch)?;
    Ok(Row {
        number: "P4",
        what: format!("CPU time of the agent, machine busy, {what}, {} s", watch.as_secs()),
        budget: if budget < 1.0 { "≤ 0.5 % of a core" } else { "≤ 1.5 % of a core" },
        measured: format!("{:.2} % of a core", footprint.cpu),
        met: Some(footprint.cpu <= budget),
    })
}

fn watched(agent: &Agent, watch: Duration) -> Result<Footprint> {
    let (cpu, begun) = (process::cpu_ns(agent.pid())?, Instant::now());
    std::thread::sleep(watch);
    let cpu = (process::cpu_ns(agent.pid())? - cpu) as f64 / begun.elapsed().as_nanos() as f64 * 100.0;
    Ok(Footprint {
        resident: process::resident_bytes(agent.pid())? as f64 / MIB,
        maps: agent.metric("telegen_profiler_bpf_map_bytes", "")? / MIB,
        peak: agent.peak_bytes().map(|bytes| bytes as f64 / MIB),
        cpu,
    })
}

/// The pids that a profile has no sample of, by the word of Go's own reader.
fn missing_pids(profile: &Path, pids: &[u32]) -> Result<Vec<u32>> {
    let output = Command::new("go").args(["tool", "pprof", "-tags"]).arg(profile).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let section = text.split("process.pid: Total").nth(1).context("the profile has no pids")?;
    let section = section.split("\n\n").next().unwrap_or_default();
    let found: Vec<u32> = section.lines().filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    Ok(pids.iter().copied().filter(|pid| !found.contains(pid)).collect())
}

/// What others use that sample the whole machine; neither of the two symbolizes while it samples.
fn others(directory: &Path, watch: Duration) -> Result<Vec<Row>> {
    let data = directory.join("perf.data").to_string_lossy().into_owned();
    let programs: [(&str, Vec<&str>); 2] = [
        (
            "`perf record -a -g -F 99`",
            vec!["perf", "record", "-e", "cpu-clock", "-a", "-g", "-F", "99", "-o", &data],
        ),
        (
            "`bpftrace`, `profile:hz:99 { @[pid, ustack, kstack] = count(); }`",
            vec!["bpftrace", "-e", "profile:hz:99 { @[pid, ustack, kstack] = count(); }"],
        ),
    ];
    let mut rows = Vec::new();
    for (what, command) in programs {
        println!("beside it: {what}");
        let footprint = peer(&command, watch)?;
        rows.push(Row {
            number: "–",
            what: format!("beside it, without a filter, no symbols yet: {what}, {} s", watch.as_secs()),
            budget: "",
            measured: format!("{}; {:.2} % of a core", footprint.memory(), footprint.cpu),
            met: None,
        });
    }
    Ok(rows)
}

fn peer(command: &[&str], watch: Duration) -> Result<Footprint> {
    let group = MemoryGroup::create("telegen-bench").ok();
    let maps = bpf_stats::map_ids()?;
    let mut child = process::inside(group.as_ref(), Path::new(command[0]))
        .args(&command[1..])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("cannot start {}; scripts/install-deps bench installs it", command[0]))?;
    let footprint = peer_footprint(&mut child, &maps, watch, group.as_ref());
    process::terminate(&mut child);
    footprint
}

fn peer_footprint(
    child: &mut Child,
    maps: &[u64],
    watch: Duration,
    group: Option<&MemoryGroup>,
) -> Result<Footprint> {
    std::thread::sleep(Duration::from_secs(5));
    let (cpu, begun) = (process::cpu_ns(child.id())?, Instant::now());
    std::thread::sleep(watch);
    let cpu = (process::cpu_ns(child.id())? - cpu) as f64 / begun.elapsed().as_nanos() as f64 * 100.0;
    Ok(Footprint {
        resident: process::resident_bytes(child.id())? as f64 / MIB,
        maps: bpf_stats::map_bytes_besides(maps)? as f64 / MIB,
        peak: group.and_then(|group| group.peak_bytes().ok()).map(|bytes| bytes as f64 / MIB),
        cpu,
    })
}
