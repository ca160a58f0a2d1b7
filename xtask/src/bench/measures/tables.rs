//! What unwind tables take, and how soon they are there.

use crate::bench::agent::Agent;
use crate::bench::load::Load;
use crate::bench::programs_in_c::Workshop;
use crate::bench::{Bench, Row, programs, spread};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Ticks a second, each of which tells whether there is a table.
const RATE: u32 = 997;
/// A program, and what of its code is the largest.
struct Subject {
    command: Vec<String>,
    name: String,
    largest: &'static str,
}

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    println!("unwind tables");
    let mut subjects = vec![Subject {
        command: vec!["node".into(), "-e".into(), "let x = 0; for (;;) x += Math.sin(x)".into()],
        name: "node".into(),
        largest: "node",
    }];
    let workshop = Workshop::open("tables")?;
    let source = workshop.path().join("Burn.java");
    std::fs::write(&source, programs::JAVA)?;
    for java in programs::java_runtimes() {
        let name = java.ancestors().nth(2).and_then(Path::file_name).context("no name")?;
        subjects.push(Subject {
            name: format!("java of {}", name.display()),
            command: vec![java.to_string_lossy().into(), source.to_string_lossy().into()],
            largest: "libjvm.so",
        });
    }
    subjects.iter().map(|subject| of_a_program(bench, subject)).collect()
}

fn of_a_program(bench: &Bench, subject: &Subject) -> Result<Row> {
    let (mut delays, mut sizes) = (Vec::new(), None);
    for _ in 0..3 {
        let settings = format!(
            "  target_process_names: [node, java]\n  cpu: {{sample_rate: {RATE}}}\n  log: {{level: debug}}\n"
        );
        let agent = Agent::start(&bench.telegen, &settings)?;
        let mut load = Load::default();
        load.add(Command::new(&subject.command[0]).args(&subject.command[1..]))?;
        delays.push(time_without_a_table(&agent, subject.largest)?);
        sizes = Some(size_of(&agent.log()?, subject.largest)?);
    }
    let (delay, least, most) = spread(delays).context("no figures")?;
    let (rows, bytes) = sizes.context("no figures")?;
    Ok(Row {
        number: "–",
        what: format!(
            "unwind table of `{}` ({}), and for how much of its CPU time from exec on a stack was not whole for want of tables",
            subject.largest, subject.name
        ),
        budget: "",
        measured: format!(
            "{rows:.0} rows, {:.2} MiB, {:.1} bytes a row; {delay:.0} ms [{least:.0}–{most:.0}]",
            bytes / f64::from(1 << 20),
            bytes / rows
        ),
        met: None,
    })
}

/// Milliseconds of CPU time, by samples that say that they had no table yet.
fn time_without_a_table(agent: &Agent, largest: &str) -> Result<f64> {
    let deadline = Instant::now() + Duration::from_secs(30);
    while size_of(&agent.log()?, largest).is_err() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    // Libraries that are smaller are mapped later.
    std::thread::sleep(Duration::from_secs(3));
    agent.wait_for_export()?;
    let without = agent.metric("telegen_profiler_stacks_incomplete_total", "not_ready")?;
    Ok(without / f64::from(RATE) * 1e3)
}

/// Rows and bytes of a binary's table, as the agent's log has them.
fn size_of(log: &str, binary: &str) -> Result<(f64, f64)> {
    let made = |line: &&str| line.contains("made an unwind table") && line.contains(&format!("{binary}\""));
    let line = log.lines().find(made).with_context(|| format!("there is no table of {binary}"))?;
    let field = |name: &str| -> Result<f64> {
        let (_, rest) =
            line.split_once(&format!(" {name}=")).with_context(|| format!("no {name}: {line}"))?;
        Ok(rest.split([',', ' ']).next().unwrap_or_default().parse()?)
    };
    Ok((field("rows")?, field("bytes")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_table_is_read_from_the_log() {
        let log = "[DEBUG] made an unwind table, name=\"/lib/libc.so.6\", functions=1, rows=7, inferred=0, bytes=1024, damaged=0\n\
                   [DEBUG] made an unwind table, name=\"/usr/bin/node\", functions=9, rows=100, inferred=2, bytes=2048, damaged=0\n";
        assert_eq!(size_of(log, "node").unwrap(), (100.0, 2048.0));
        assert!(size_of(log, "java").is_err());
    }
}
