//! `cargo xtask bench`: the budgets, measured on this machine with the release binary, and the table of them in
//! docs/performance.md.
//!
//! Figures are counts, CPU time and ratios within one run where that is possible; elapsed time on a shared machine says
//! little. Nothing here fails on a clock: a figure over its budget is shown as that.

mod agent;
mod bpf_stats;
mod cgroup;
mod container;
mod latencies;
mod leaves;
mod load;
mod measures;
mod page;
mod process;
mod programs;
mod programs_in_c;

use anyhow::{Context, Result};
pub(crate) use load::burn;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How much time is spent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Effort {
    /// Processes that stand by while a rejected tick is timed.
    pub(crate) standing_by: usize,
    /// How long memory is watched.
    pub(crate) memory: Duration,
    /// How often a ratio is taken.
    pub(crate) rounds: usize,
    /// How many agents one after the other are asked how much memory they have.
    pub(crate) agents: usize,
    /// Short lives.
    pub(crate) lives: usize,
    /// How long processes are started as fast as that goes.
    pub(crate) storm: Duration,
    /// How long processes are started now and then.
    pub(crate) trickle: Duration,
}

impl Effort {
    /// What the budgets ask for.
    pub(crate) const FULL: Self = Self {
        standing_by: 10_000,
        memory: Duration::from_secs(600),
        rounds: 15,
        agents: 3,
        lives: 500,
        storm: Duration::from_secs(60),
        trickle: Duration::from_secs(20),
    };
    /// Enough to see whether something has gone badly wrong.
    pub(crate) const QUICK: Self = Self {
        standing_by: 1_000,
        memory: Duration::from_secs(60),
        rounds: 7,
        agents: 1,
        lives: 100,
        storm: Duration::from_secs(10),
        trickle: Duration::from_secs(10),
    };
}

/// A line of the table.
pub(crate) struct Row {
    /// The budget's number.
    pub(crate) number: &'static str,
    pub(crate) what: String,
    pub(crate) budget: &'static str,
    pub(crate) measured: String,
    /// `None` where there is nothing to compare with.
    pub(crate) met: Option<bool>,
}

impl Row {
    /// A line that says why there is no figure.
    fn not_measured(number: &'static str, error: &anyhow::Error) -> Self {
        let measured = format!("not measured: {error:#}").replace(['|', '\n'], " ");
        Self { number, what: "–".into(), budget: "", measured, met: Some(false) }
    }
}

/// What measuring needs.
pub(crate) struct Bench {
    /// The release binary.
    pub(crate) telegen: PathBuf,
    pub(crate) effort: Effort,
    root: PathBuf,
}

impl Bench {
    pub(crate) fn new(root: &Path, telegen: PathBuf, effort: Effort) -> Self {
        Self { telegen, effort, root: root.to_owned() }
    }

    /// Measures everything, prints the table and writes it down; or only what has these numbers, whose lines are written
    /// into the table that is there unless it was measured in haste.
    pub(crate) fn run(&self, numbers: &[String]) -> Result<()> {
        let wanted = |numbers_of: &[&str]| {
            numbers.is_empty() || numbers.iter().any(|number| numbers_of.contains(&number.as_str()))
        };
        let mut rows = Vec::new();
        for (numbers, measure) in measures::ALL.iter().filter(|(numbers, _)| wanted(numbers)) {
            match measure(self) {
                Ok(measured) => rows.extend(measured),
                Err(error) => rows.push(Row::not_measured(numbers[0], &error)),
            }
        }
        let table = page::table(&rows);
        println!("\n{table}");
        let file = self.root.join("docs/performance.md");
        let text = if numbers.is_empty() {
            let flags = if self.effort == Effort::FULL { "" } else { " --quick" };
            page::page(flags, &table)
        } else if self.effort == Effort::FULL {
            page::replace_rows(&std::fs::read_to_string(&file).unwrap_or_default(), &table)
        } else {
            return Ok(());
        };
        write(&file, &text)?;
        let quotes = self.root.join(page::QUOTES);
        write(&quotes, &page::replace_quotes(&std::fs::read_to_string(&quotes)?, &rows))
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))
}

/// The middle one of some figures, and the smallest and largest.
pub(crate) fn spread(mut figures: Vec<f64>) -> Option<(f64, f64, f64)> {
    figures.sort_by(f64::total_cmp);
    Some((*figures.get(figures.len() / 2)?, *figures.first()?, *figures.last()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_figure_is_between_the_others() {
        assert_eq!(spread(vec![3.0, 1.0, 2.0]), Some((2.0, 1.0, 3.0)));
        assert_eq!(spread(Vec::new()), None);
    }
}
