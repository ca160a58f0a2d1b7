//! A job: steps that are all run, and the closing lines.

use crate::check::check;
use crate::e2e;
use crate::libtest::{self, Shown};
use crate::privilege::Privilege;
use crate::project::{Project, pass_or_fail};
use crate::slowest::slowest;
use crate::tally::Tally;
use anyhow::{Context, Result};
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long the database of advisories may take to come.
const FETCH_SECONDS: &str = "120";

/// Steps, run one after the other whatever becomes of each.
pub(crate) struct Job<'a> {
    project: &'a Project,
    steps: Vec<Step<'a>>,
    summary: Option<PathBuf>,
}

struct Step<'a> {
    name: &'static str,
    run: Box<Run<'a>>,
}

type Run<'a> = dyn Fn(&Project) -> Result<Tally> + 'a;

/// What became of a step.
struct Done {
    name: &'static str,
    tally: Tally,
    took: Duration,
}

impl<'a> Job<'a> {
    /// All that must hold, the quick steps first.
    pub(crate) fn whole(project: &'a Project, summary: Option<PathBuf>) -> Result<Self> {
        // Rather now than after all that comes before the tests that need it.
        Privilege::obtain()?;
        let steps = vec![
            step("architecture", check),
            step("format", |project| pass_or_fail(project.cargo(["fmt", "--all", "--check"]))),
            step("lints", |project| {
                let clippy = ["clippy", "--locked", "--workspace", "--all-targets", "--", "-D", "warnings"];
                pass_or_fail(project.cargo(clippy))
            }),
            step("without features", |project| {
                let bare = ["clippy", "--locked", "-p", "telegen", "--no-default-features"];
                pass_or_fail(project.cargo(bare.iter().chain(&["--all-targets", "--", "-D", "warnings"])))
            }),
            step("unit tests", |project| {
                libtest::run(project.cargo(["test", "--locked", "--no-fail-fast"]), Shown::NotPassed)
            }),
            step("docs", |project| {
                let mut doc = project.cargo(["doc", "--locked", "--workspace", "--no-deps"]);
                doc.env("RUSTDOCFLAGS", "-D warnings");
                pass_or_fail(doc)
            }),
            step("licences", |project| {
                let deny =
                    ["deny", "--locked", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"];
                pass_or_fail(project.cargo(deny))
            }),
            step("advisories", advisories),
            step("end-to-end", |project| e2e::run(project, &[])),
        ];
        Ok(Self { project, steps, summary })
    }

    /// The end-to-end tests alone.
    pub(crate) fn end_to_end(project: &'a Project, names: Vec<String>) -> Self {
        let steps = vec![step("end-to-end", move |project| e2e::run(project, &names))];
        Self { project, steps, summary: None }
    }

    /// The architecture check alone.
    pub(crate) fn architecture(project: &'a Project) -> Self {
        Self { project, steps: vec![step("architecture", check)], summary: None }
    }

    /// Runs the steps and prints the closing lines; the total.
    pub(crate) fn run(&self) -> Result<Tally> {
        let mut total = Tally::default();
        let mut done = Vec::new();
        for step in &self.steps {
            self.keep_summary(&cut_off(&total, step.name))?;
            println!("\n== {} ==", step.name);
            let begun = Instant::now();
            // Causes and all, on one line.
            let tally = (step.run)(self.project).unwrap_or_else(|error| Tally::fail(format!("{error:#}")));
            total.add(step.name, &tally);
            done.push(Done { name: step.name, tally, took: begun.elapsed() });
        }
        self.keep_summary(&total)?;
        println!("{}", closing_lines(&done, &total));
        Ok(total)
    }

    fn keep_summary(&self, total: &Tally) -> Result<()> {
        let Some(path) = &self.summary else { return Ok(()) };
        fs::write(path, format!("{total}\n")).with_context(|| format!("cannot write {}", path.display()))
    }
}

fn step<'a>(name: &'static str, run: impl Fn(&Project) -> Result<Tally> + 'a) -> Step<'a> {
    Step { name, run: Box::new(run) }
}

/// The total if the job does not come back from a step.
fn cut_off(total: &Tally, step: &str) -> Tally {
    let mut total = total.clone();
    total.add(step, &Tally::fail("cut off"));
    total
}

/// Known vulnerabilities, by a database that is not part of the project: where it cannot be fetched, that is a skip.
fn advisories(project: &Project) -> Result<Tally> {
    let deny = |arguments: &[&str]| project.cargo(["deny", "--locked"].iter().chain(arguments));
    let mut fetch = Command::new("timeout");
    let cargo = deny(&["fetch", "db"]);
    fetch.arg(FETCH_SECONDS).arg(cargo.get_program()).args(cargo.get_args());
    fetch.current_dir(&project.root).env("GIT_TERMINAL_PROMPT", "0");
    let fetched = fetch.output().with_context(|| format!("cannot run {fetch:?}"))?;
    if fetched.status.success() {
        return pass_or_fail(deny(&["check", "--disable-fetch", "--hide-inclusion-graph", "advisories"]));
    }
    println!("{}", String::from_utf8_lossy(&fetched.stderr).trim_end());
    Ok(Tally::skip("the advisory database cannot be fetched"))
}

fn closing_lines(done: &[Done], total: &Tally) -> String {
    let mut text = slowest(&total.timed);
    // Writing to a string does not fail.
    let _ = writeln!(text, "\n{:<14}{:>8}{:>8}{:>9}{:>9}", "", "passed", "failed", "skipped", "seconds");
    for Done { name, tally, took } in done {
        let (failed, skipped) = (tally.failed.len(), tally.skipped.len());
        let _ =
            writeln!(text, "{name:<14}{:>8}{failed:>8}{skipped:>9}{:>9.0}", tally.passed, took.as_secs_f64());
    }
    for (heading, names) in [("skipped", &total.skipped), ("failed", &total.failed)] {
        if !names.is_empty() {
            let _ = writeln!(text, "{heading}:\n  {}", names.join("\n  "));
        }
    }
    text + &total.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slowest::Timed;

    fn job_of<'a>(project: &'a Project, steps: Vec<Step<'a>>, summary: Option<PathBuf>) -> Job<'a> {
        Job { project, steps, summary }
    }

    #[test]
    fn all_steps_are_run_and_an_error_is_a_failure() -> Result<()> {
        let project = Project::find()?;
        let steps = vec![
            step("first", |_| anyhow::bail!("no disk")),
            step("second", |_| Ok(Tally { passed: 2, ..Tally::skip("x: no runc") })),
        ];
        let total = job_of(&project, steps, None).run()?;
        assert_eq!(total.to_string(), "2 passed, 1 failed, 1 skipped");
        assert_eq!(total.failed, ["first: no disk"]);
        Ok(())
    }

    #[test]
    fn a_step_that_is_running_counts_as_failed_in_the_summary() -> Result<()> {
        let project = Project::find()?;
        let directory = tempfile::tempdir()?;
        let summary = directory.path().join("summary");
        let read = || fs::read_to_string(&summary).context("no summary");
        let steps = vec![
            step("first", |_| Ok(Tally::pass())),
            step("second", |_| {
                assert_eq!(read()?, "1 passed, 1 failed, 0 skipped\n");
                Ok(Tally::pass())
            }),
        ];
        let total = job_of(&project, steps, Some(summary.clone())).run()?;
        assert!(total.is_success(), "{total:?}");
        assert_eq!(read()?, "2 passed, 0 failed, 0 skipped\n");
        Ok(())
    }

    #[test]
    fn the_closing_lines_name_what_did_not_pass() {
        let timed = vec![Timed { name: "e::f".into(), took: Duration::from_secs(50) }];
        let (failed, skipped) = (vec!["a::b".into()], vec!["c::d: no runc".into()]);
        let tally = Tally { passed: 7, failed, skipped, timed };
        let mut total = Tally::default();
        total.add("unit tests", &tally);
        let done = [Done { name: "unit tests", tally, took: Duration::from_secs(61) }];
        let expected = "
the slowest of 1 tests, 50 of 50 seconds:
   50.0  e::f

                passed  failed  skipped  seconds
unit tests           7       1        1       61
skipped:
  unit tests: c::d: no runc
failed:
  unit tests: a::b
7 passed, 1 failed, 1 skipped";
        assert_eq!(closing_lines(&done, &total), expected);
    }
}
