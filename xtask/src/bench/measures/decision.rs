//! P6: a decision from the cache.

use crate::bench::{Bench, Row};
use anyhow::{Context, Result};
use std::process::Command;

/// By its criterion benchmark.
pub(crate) fn measure(bench: &Bench) -> Result<Vec<Row>> {
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
