//! The project's own commands: `cargo xtask <command>`.
//!
//! # Design constraints
//!
//! * Nothing of telegen is linked in: these commands work while telegen does not compile.
//! * Every step of a job is run, whatever became of those before it, and what was found is in the closing lines: a log
//!   is read from its end.
//! * What did not run is not passed: it is a skip, with its reason, or a failure.
//! * Only the end-to-end tests are run as root; what is compiled is compiled by whoever calls.

// Printing is what these commands are for.
#![allow(clippy::print_stdout)]

mod bench;
mod check;
mod e2e;
mod job;
mod lanes;
mod libtest;
mod metadata;
mod privilege;
mod project;
mod skips;
mod slowest;
mod tally;

use anyhow::Result;
use clap::{Parser, Subcommand};
use job::Job;
use project::Project;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own commands")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything that must hold: format, lints, tests, end-to-end tests, docs, licences, architecture
    Test {
        /// Keep a file with the line of totals; while a step runs it counts as failed there
        #[arg(long, value_name = "FILE")]
        summary: Option<PathBuf>,
    },
    /// The end-to-end tests, as root
    E2e {
        /// Only tests whose names contain one of these
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
    /// Who uses whom, where unsafe code may be, how long files are and what they are called
    Check,
    /// The budgets, measured as root with the release binary, and written to docs/performance.md
    Bench {
        /// Fewer processes and a minute instead of ten for memory
        #[arg(long)]
        quick: bool,
        /// Only the budgets with these numbers, such as P1; then nothing is written
        #[arg(value_name = "NUMBER")]
        numbers: Vec<String>,
    },
    /// Keep threads busy and say how much CPU time that took: a program to be measured
    #[command(hide = true)]
    Burn {
        /// How long
        seconds: f64,
        /// How many threads
        threads: usize,
    },
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    if let Command::Burn { seconds, threads } = arguments.command {
        return bench::burn(seconds, threads).map(|()| ExitCode::SUCCESS);
    }
    let project = Project::find()?;
    let job = match arguments.command {
        Command::Test { summary } => Job::whole(&project, summary)?,
        Command::E2e { names } => Job::end_to_end(&project, names),
        Command::Check => Job::architecture(&project),
        Command::Bench { quick, numbers } => return measure(&project, quick, &numbers),
        Command::Burn { .. } => return Ok(ExitCode::SUCCESS),
    };
    let total = job.run()?;
    Ok(if total.is_success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Builds the release binary and measures it.
fn measure(project: &Project, quick: bool, numbers: &[String]) -> Result<ExitCode> {
    let built = project.cargo(["build", "--locked", "--release", "-p", "telegen"]).status()?;
    if !built.success() {
        return Ok(ExitCode::FAILURE);
    }
    let effort = if quick { bench::Effort::QUICK } else { bench::Effort::FULL };
    let telegen = project.metadata.target_directory.join("release/telegen");
    bench::Bench::new(&project.root, telegen, effort).run(numbers)?;
    Ok(ExitCode::SUCCESS)
}
