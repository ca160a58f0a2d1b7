//! P13: how much slower a target runs.

use crate::bench::agent::Agent;
use crate::bench::programs_in_c::Workshop;
use crate::bench::{Bench, Row};
use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Does the same work over and over, some calls deep; for each line that it reads it says how much of it it has done in 50 ms of
/// its own CPU time.
const WORK: &str = r#"
#include <stdio.h>
#include <time.h>
static double cpu(void) { struct timespec t; clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); return t.tv_sec + t.tv_nsec / 1e9; }
static unsigned table[4096];
__attribute__((noinline)) static unsigned work(unsigned x, int depth)
{
    volatile unsigned here = x;
    if (depth) return work(here * 2654435761u + 1, depth - 1) + here;
    for (int i = 0; i < 4096; i++) x = x * 1664525u + 1013904223u, table[(x >> 20) & 4095] += x;
    return x;
}
int main(void)
{
    char line[16];
    unsigned x = 1;
    while (fgets(line, sizeof(line), stdin)) {
        unsigned long done = 0;
        for (double end = cpu() + 0.05; cpu() < end; done += 4)
            for (int i = 0; i < 4; i++) x = work(x, 25);
        printf("%lu %u\n", done, x & 1);
        fflush(stdout);
    }
}
"#;
const RATE: u32 = 99;
/// Of CPU time, as the program has it.
const STRETCH_SECONDS: f64 = 0.05;
/// Pairs of stretches of work, one of each with the program as a target, for each round.
const PAIRS: usize = 40;

struct Worker {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Worker {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (to, from) = (child.stdin.take().context("no pipe")?, child.stdout.take().context("no pipe")?);
        Ok(Self { child, to, from: BufReader::new(from) })
    }

    /// Work done in a fixed CPU time.
    fn stretch(&mut self) -> Result<f64> {
        writeln!(self.to)?;
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        Ok(line.split(' ').next().context("the program has said nothing")?.parse()?)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to be done.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Two processes of one program, only one of which is a target, in turns.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    println!("P13: slow-down of a target");
    let workshop = Workshop::open("slowdown")?;
    let flags = ["-O2", "-fomit-frame-pointer", "-fno-optimize-sibling-calls"];
    let program = workshop.build(WORK, &flags, "telegen-bench-work")?;
    let (mut target, mut other) =
        (Worker::start(&mut Command::new(&program))?, Worker::start(&mut Command::new(&program))?);
    let settings = format!(
        "  target_pids: [{}]\n  collection_interval: 5s\n  cpu: {{sample_rate: {RATE}}}\n",
        target.child.id()
    );
    let without = ratios(&mut target, &mut other, bench.effort.rounds)?;
    let agent = Agent::start(&bench.telegen, &settings)?;
    // Both once, so that tables and names are there.
    let _ = (target.stretch()?, other.stretch()?);
    let with = ratios(&mut target, &mut other, bench.effort.rounds)?;
    agent.wait_for_export()?;
    let taken = agent.metric("telegen_profiler_samples_total", "exported")?;
    // One stretch more than the rounds have.
    let due = f64::from(RATE) * STRETCH_SECONDS * (bench.effort.rounds * PAIRS + 1) as f64;
    ensure!((taken / due - 1.0).abs() <= 0.05, "{taken} samples, where {due:.0} were due");
    let (with, without) = (Mean::of(&with), Mean::of(&without));
    let slower = (1.0 - with.value / without.value) * 100.0;
    let error = (with.error.powi(2) + without.error.powi(2)).sqrt() * 100.0;
    Ok(vec![Row {
        number: "P13",
        what: "work that a target does in a second of its CPU time, 30 frames deep, 99 Hz, against the same program beside it that is none".into(),
        budget: "≤ 0.5 % less",
        measured: format!("{slower:.2} % less, standard error {error:.2}"),
        met: Some(slower <= 0.5),
    }])
}

/// What figures have in common, and how far that may be from the truth.
struct Mean {
    value: f64,
    error: f64,
}

impl Mean {
    /// Of at least two figures.
    fn of(figures: &[f64]) -> Self {
        let count = figures.len() as f64;
        let value = figures.iter().sum::<f64>() / count;
        let variance = figures.iter().map(|figure| (figure - value).powi(2)).sum::<f64>() / (count - 1.0);
        Self { value, error: (variance / count).sqrt() }
    }
}

/// What the one has done by what the other has, the middle of each round's pairs of stretches: some are disturbed. Each begins as
/// often as the other.
fn ratios(one: &mut Worker, other: &mut Worker, rounds: usize) -> Result<Vec<f64>> {
    let mut ratios = Vec::new();
    for _ in 0..rounds {
        let mut pairs = Vec::new();
        for pair in 0..PAIRS {
            let (by_one, by_other) = if pair % 2 == 0 {
                let by_one = one.stretch()?;
                (by_one, other.stretch()?)
            } else {
                let by_other = other.stretch()?;
                (one.stretch()?, by_other)
            };
            pairs.push(by_one / by_other);
        }
        pairs.sort_by(f64::total_cmp);
        ratios.push((pairs[(PAIRS - 1) / 2] + pairs[PAIRS / 2]) / 2.0);
    }
    Ok(ratios)
}

#[cfg(test)]
mod tests {
    use super::Mean;

    #[test]
    fn the_error_of_a_mean_falls_with_the_root_of_their_number() {
        let few = Mean::of(&[1.0, 3.0]);
        assert_eq!((few.value, few.error), (2.0, 1.0));
        let many = Mean::of(&[1.0, 3.0].repeat(50));
        assert!((many.error - 0.1005).abs() < 1e-3, "{}", many.error);
    }
}
