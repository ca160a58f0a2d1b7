//! `cargo xtask bench`: the budgets, measured on this machine with the release binary, and the table of them in
//! docs/performance.md.
//!
//! Figures are counts, CPU time and ratios within one run where that is possible; elapsed time on a shared machine says
//! little. Nothing here fails on a clock: a figure over its budget is shown as that.

mod agent;
mod bpf_stats;
mod cgroup;
mod load;
mod measures;
mod process;
mod programs;

use anyhow::{Context, Result};
pub(crate) use load::burn;
use std::fmt::Write;
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
}

impl Effort {
    /// What the budgets ask for.
    pub(crate) const FULL: Self = Self { standing_by: 10_000, memory: Duration::from_secs(600), rounds: 15 };
    /// Enough to see whether something has gone badly wrong.
    pub(crate) const QUICK: Self = Self { standing_by: 1_000, memory: Duration::from_secs(60), rounds: 7 };
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
        let table = table(&rows);
        println!("\n{table}");
        let page = self.root.join("docs/performance.md");
        let text = if numbers.is_empty() {
            self.page(&table)
        } else if self.effort == Effort::FULL {
            replace_rows(&std::fs::read_to_string(&page).unwrap_or_default(), &table)
        } else {
            return Ok(());
        };
        std::fs::write(&page, text).with_context(|| format!("cannot write {}", page.display()))
    }

    fn page(&self, table: &str) -> String {
        let machine = rustix::system::uname();
        let effort = if self.effort == Effort::FULL { "" } else { " --quick" };
        format!(
            "# Performance\n\nWritten by `cargo xtask bench{effort}`, as root, with the release binary. Machine: {} CPUs, Linux {}, {}.\n\n\
             Times are CPU time and run times that the kernel itself counts (`kernel.bpf_stats_enabled`), not elapsed time, unless \
             said. \"Memory\" is `VmRSS` of the agent, and beside it what its BPF maps hold.\n\n{table}\n\
             What the budgets are for, and how to read them: the first line is what it costs *not* to be a target; then what the \
             agent itself costs. What its control group held at most is what an OOM killer counts: it includes the memory that \
             BPF maps and page cache are charged with.\n\n\
             P5 is missed because a fresh process has to load BPF programs before it can scan with them: about 4 ms go to libbpf \
             indexing the kernel's type information (5.5 MB), 14 ms to its search for the types that the programs name, 5 ms to \
             the verifier. The scan and the decisions are 0.2 to 0.5 ms of it, and all that an agent pays each time.\n",
            std::thread::available_parallelism().map_or(0, usize::from),
            machine.release().to_string_lossy(),
            machine.machine().to_string_lossy(),
        )
    }
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from("| # | what | budget | measured | |\n|---|---|---|---|---|\n");
    for row in rows {
        let met = match row.met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "",
        };
        // Writing to a string does not fail.
        let _ =
            writeln!(text, "| {} | {} | {} | {} | {met} |", row.number, row.what, row.budget, row.measured);
    }
    text
}

/// The page with the lines of a table put where those of the same budgets stand. Lines without a number stay.
fn replace_rows(page: &str, table: &str) -> String {
    let number = |line: &str| Some(line.strip_prefix("| P")?.split(' ').next()?.to_owned());
    let mut text = String::new();
    let mut placed = Vec::new();
    for line in page.lines() {
        let known = number(line).filter(|of| table.lines().any(|line| number(line).as_ref() == Some(of)));
        let Some(known) = known else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        if !placed.contains(&known) {
            for line in table.lines().filter(|line| number(line).as_ref() == Some(&known)) {
                text.push_str(line);
                text.push('\n');
            }
            placed.push(known);
        }
    }
    text
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

    #[test]
    fn lines_are_put_where_those_of_their_budget_stand() {
        let page = "# Page\n| # | what |\n| P1 | a |\n| P1 | b |\n| – | beside |\n| P12 | c |\n\nEnd\n";
        let replaced = replace_rows(page, "| # | what |\n| P1 | x |\n| P1 | y |\n| – | z |\n");
        assert_eq!(
            replaced,
            "# Page\n| # | what |\n| P1 | x |\n| P1 | y |\n| – | beside |\n| P12 | c |\n\nEnd\n"
        );
    }

    #[test]
    fn a_missed_budget_stands_out() {
        let row = Row { number: "P0", what: "x".into(), budget: "1", measured: "2".into(), met: Some(false) };
        assert!(table(&[row]).contains("| P0 | x | 1 | 2 | **missed** |"));
    }
}
