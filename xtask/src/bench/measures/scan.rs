//! P5: a fresh process looks at all others and decides.

use crate::bench::load::Load;
use crate::bench::{Bench, Row, process, spread};
use anyhow::{Context, Result, ensure};
use std::process::Command;
use std::time::Instant;

/// With rules that need the executable and `argv[0]`.
const ARGUMENTS: [&str; 7] = ["targets", "--name", "sleep", "--exe", "/usr/bin/*", "-o", "json"];

pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    let sizes = [(200, "≤ 1 ms", 1.0), (bench.effort.standing_by, "≤ 40 ms", 40.0)];
    for (processes, budget, budget_ms) in sizes {
        println!("P5: scanning {processes}");
        let _others = Load::standing_by(processes)?;
        let mut times = Vec::new();
        for _ in 0..15 {
            let (bare, _) = elapsed_ms(bench, &["--version"])?;
            let (whole, list) = elapsed_ms(bench, &ARGUMENTS)?;
            let list: serde_json::Value = serde_json::from_slice(&list)?;
            ensure!(list["matched"].as_u64() >= Some(processes as u64), "not all of them were found");
            times.push(whole - bare);
        }
        let (threads, all) = process::census()?;
        let (median, least, most) = spread(times).context("no figures")?;
        rows.push(Row {
            number: "P5",
            what: format!("a fresh process scans {all} processes ({threads} threads) and decides, from outside less bare start-up (elapsed)"),
            budget,
            measured: format!("{median:.1} ms [{least:.1}–{most:.1}]"),
            met: Some(median <= budget_ms),
        });
    }
    Ok(rows)
}

fn elapsed_ms(bench: &Bench, arguments: &[&str]) -> Result<(f64, Vec<u8>)> {
    let begun = Instant::now();
    let output = Command::new(&bench.telegen).args(arguments).output()?;
    Ok((begun.elapsed().as_secs_f64() * 1e3, output.stdout))
}
