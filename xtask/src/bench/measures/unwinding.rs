//! P10 and P11: whole stacks of a program without frame pointers, and what they cost.

use crate::bench::agent::Agent;
use crate::bench::bpf_stats::BpfStats;
use crate::bench::load::Load;
use crate::bench::programs_in_c::Workshop;
use crate::bench::{Bench, Row, spread};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// Its stacks have 30 frames: 25 calls of itself, those below `main`, and the one that spins.
const DEEP: &str = "
volatile unsigned long sink;
__attribute__((noinline)) void spin(void) { for (;;) sink++; }
__attribute__((noinline)) int deeper(volatile int depth)
{
    volatile char here[48];
    here[depth & 31] = 1;
    if (depth <= 1) spin();
    int result = deeper(depth - 1);
    sink += here[result & 31];
    return result;
}
int main(void) { return deeper(25); }
";
const SECONDS: &str = "10";

/// P10 and P11, and perf's way beside it.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    println!("P10, P11: stacks of 30 frames without frame pointers");
    let workshop = Workshop::open("stacks")?;
    let directory = workshop.path();
    let flags = ["-O2", "-fomit-frame-pointer", "-fno-optimize-sibling-calls"];
    let program = workshop.build(DEEP, &flags, "telegen-bench-deep")?;
    let costs = costs(bench, &program)?;
    let mut deep = Load::default();
    deep.add(&mut Command::new(program))?;
    let pid = deep.pid_list();
    let mut rows = vec![whole(bench, &pid)?];
    rows.extend(costs);
    rows.push(recorded(bench, &pid, directory)?);
    match recorded_by_perf(&pid, directory) {
        Ok(row) => rows.push(row),
        Err(error) => rows.push(Row::not_measured("–", &error)),
    }
    Ok(rows)
}

fn start(bench: &Bench, pid: &str, rate: u32) -> Result<Agent> {
    let settings = format!(
        "  target_pids: [{pid}]\n  collection_interval: 5s\n  kernel_stacks: false\n  cpu: {{sample_rate: {rate}}}\n"
    );
    Agent::start(&bench.telegen, &settings)
}

fn whole(bench: &Bench, pid: &str) -> Result<Row> {
    let agent = start(bench, pid, 99)?;
    std::thread::sleep(Duration::from_secs(31));
    let taken = agent.metric("telegen_profiler_samples_total", "exported")?;
    let incomplete = agent.metric("telegen_profiler_stacks_incomplete_total", "")?;
    ensure!(taken > 1_000.0, "{taken} samples");
    let whole = 100.0 * (1.0 - incomplete / taken);
    Ok(Row {
        number: "P10",
        what: "stacks that are complete to the entry point, from the first one on".into(),
        budget: "≥ 99.5 %",
        measured: format!("{whole:.2} % of {taken:.0}"),
        met: Some(whole >= 99.5),
    })
}

/// The cost, with the program on all CPUs: ticks of one that is idle cost next to nothing, and would count as samples too.
fn costs(bench: &Bench, program: &Path) -> Result<Vec<Row>> {
    let mut deep = Load::default();
    for _ in 0..std::thread::available_parallelism()?.get() {
        deep.add(&mut Command::new(program))?;
    }
    let pids = deep.pid_list();
    let rates = [(4_999, "≤ 6 µs", 6.0), (99, "≤ 12 µs", 12.0)];
    rates.into_iter().map(|(rate, budget, limit)| cost(bench, &pids, rate, budget, limit)).collect()
}

fn cost(bench: &Bench, pid: &str, rate: u32, budget: &'static str, limit: f64) -> Result<Row> {
    let agent = start(bench, pid, rate)?;
    std::thread::sleep(Duration::from_secs(3));
    let stats = BpfStats::enable()?;
    let mut costs = Vec::new();
    for _ in 0..bench.effort.rounds {
        let before = stats.program(agent.pid(), "tg_cpu_tick")?;
        std::thread::sleep(Duration::from_secs(2));
        costs.push(stats.program(agent.pid(), "tg_cpu_tick")?.mean_since(before) / 1e3);
    }
    let (cost, least, most) = spread(costs).context("no figures")?;
    Ok(Row {
        number: "P11",
        what: format!("a sample of 30 frames, {rate} Hz; ticks on what else runs now and then count in"),
        budget,
        measured: format!("{cost:.1} µs [{least:.1}–{most:.1}]"),
        met: Some(cost <= limit),
    })
}

fn recorded(bench: &Bench, pid: &str, directory: &Path) -> Result<Row> {
    let profile = directory.join("telegen.pb.gz");
    let mut command = Command::new(&bench.telegen);
    command.args(["record", "--pid", pid, "-F", "99", "-d", &format!("{SECONDS}s"), "-o"]).arg(&profile);
    let cpu = cpu_of(&mut command)?;
    let kib = fs::metadata(&profile)?.len() as f64 / 1024.0;
    Ok(Row {
        number: "–",
        what: format!("`telegen record` of that program for {SECONDS} s, whole stacks with names"),
        budget: "",
        measured: format!("{kib:.0} KiB, {cpu:.2} s of CPU time"),
        met: None,
    })
}

fn recorded_by_perf(pid: &str, directory: &Path) -> Result<Row> {
    let data = directory.join("perf.data");
    let mut command = Command::new("perf");
    command.args(["record", "-q", "-e", "cpu-clock", "-F", "99", "--call-graph", "dwarf", "-p", pid, "-o"]);
    let cpu = cpu_of(command.arg(&data).args(["--", "sleep", SECONDS]))?;
    let kib = fs::metadata(&data)?.len() as f64 / 1024.0;
    Ok(Row {
        number: "–",
        what: format!(
            "beside it: `perf record --call-graph dwarf` of it for {SECONDS} s, before stacks are unwound"
        ),
        budget: "",
        measured: format!("{kib:.0} KiB, {cpu:.2} s of CPU time"),
        met: None,
    })
}

/// The CPU time of a command and what it waits for.
fn cpu_of(command: &mut Command) -> Result<f64> {
    let before = children_cpu()?;
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(children_cpu()? - before)
}

/// CPU seconds of all children that have been waited for.
fn children_cpu() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = stat.rsplit_once(") ").context("no fields in /proc/self/stat")?;
    let field = |nth: usize| -> Result<f64> {
        Ok(fields.split(' ').nth(nth).context("too few fields in /proc/self/stat")?.parse()?)
    };
    // cutime and cstime, the 16th and 17th field of proc_pid_stat(5), in ticks of 10 ms.
    Ok((field(13)? + field(14)?) / 100.0)
}
