//! What `cargo test` prints, counted.

use crate::slowest::Timed;
use crate::tally::Tally;
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

/// Which lines are passed on to whoever reads the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shown {
    /// All of them.
    All,
    /// Not those of tests that passed.
    NotPassed,
}

/// Runs `cargo test`, shows what it prints and counts it.
pub(crate) fn run(command: Command, shown: Shown) -> Result<Tally> {
    let print = |text: &str, kind| {
        if kind == Kind::Notable || shown == Shown::All {
            println!("{text}");
        }
    };
    // Of tests that run beside each other the lines do not tell how long each took.
    Ok(Tally { timed: Vec::new(), ..read(command, None, print)? })
}

/// Runs the tests of one program one at a time, which tells how long each takes, and passes on its lines as they come.
pub(crate) fn run_serially(command: Command, program: &str, mut line: impl FnMut(&str)) -> Result<Tally> {
    read(command, Some(program), |text, _| line(text))
}

fn read(mut command: Command, program: Option<&str>, mut line_read: impl FnMut(&str, Kind)) -> Result<Tally> {
    // One pipe for both streams: the names of the test programs are on stderr, their results on stdout.
    let (reader, writer) = std::io::pipe().context("cannot make a pipe")?;
    command.stdout(writer.try_clone().context("cannot share a pipe")?).stderr(writer);
    let mut child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
    // The command holds the writing end, which would keep the reading end open for ever.
    drop(command);
    let mut output = Output { running: program.map(str::to_owned), ..Output::default() };
    let mut lines = BufReader::new(reader);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).context("cannot read what tests print")? > 0 {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        line_read(text, output.read(text, Instant::now()));
        line.clear();
    }
    Ok(output.finish(child.wait().context("cannot wait for tests")?))
}

/// Whether a line tells anything to those who only want to know what did not pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Notable,
    Routine,
}

/// The output of any number of test programs, read line by line.
#[derive(Default)]
struct Output {
    tally: Tally,
    /// The test program that is running, and has not told its result.
    running: Option<String>,
    /// The names below the last heading `failures:`, while they go on.
    failures: Vec<String>,
    in_failures: bool,
    /// When the last test ended, which is when the next one began.
    begun: Option<Instant>,
}

impl Output {
    fn read(&mut self, line: &str, now: Instant) -> Kind {
        self.clock(line, now);
        if let Some(program) = program_started(line) {
            self.expect_result();
            self.running = Some(program);
            return Kind::Notable;
        }
        if let Some((passed, failed)) = result(line) {
            self.count(passed, failed);
            return Kind::Notable;
        }
        if line == "failures:" {
            // It comes twice: before what the tests printed, and before the list of names.
            self.failures.clear();
            self.in_failures = true;
            return Kind::Notable;
        }
        if self.in_failures {
            match line.strip_prefix("    ") {
                Some(name) if !name.starts_with(' ') => self.failures.push(name.to_owned()),
                // Between the list and the result there is an empty line.
                _ => self.in_failures = line.is_empty() && self.failures.is_empty(),
            }
            return Kind::Notable;
        }
        let Some(test) = line.strip_prefix("test ") else {
            let routine = line.is_empty() || line.starts_with("running ");
            return if routine { Kind::Routine } else { Kind::Notable };
        };
        if let Some((name, reason)) = test.split_once(" ... ignored") {
            let reason = reason.strip_prefix(", ").unwrap_or("ignored");
            self.tally.skipped.push(format!("{}{name}: {reason}", self.program()));
        }
        if test.ends_with(" ... ok") { Kind::Routine } else { Kind::Notable }
    }

    /// Takes the time of a test by the line that tells its result.
    fn clock(&mut self, line: &str, now: Instant) {
        let took = self.begun.map_or(Duration::ZERO, |begun| now.saturating_duration_since(begun));
        let ended = line.strip_prefix("test ").and_then(|test| test.split_once(" ... "));
        if let Some((name, _)) = ended.filter(|_| self.running.is_some() && !self.in_failures) {
            self.tally.timed.push(Timed { name: name.to_owned(), took });
        } else if let ("ok" | "FAILED", Some(last)) = (line, self.tally.timed.last_mut()) {
            // Something the test has printed stands between its name and its result.
            last.took += took;
        } else if !line.starts_with("running ") {
            return;
        }
        self.begun = Some(now);
    }

    /// Counts a test program's result; the numbers are the truth, the names are what is known of them.
    fn count(&mut self, passed: usize, failed: usize) {
        let program = self.program();
        let mut names = std::mem::take(&mut self.failures);
        names.resize(failed, "a test whose name is not told".to_owned());
        self.tally.passed += passed;
        self.tally.failed.extend(names.into_iter().map(|name| format!("{program}{name}")));
        self.running = None;
        self.in_failures = false;
    }

    /// A test program that ends without a result has crashed.
    fn expect_result(&mut self) {
        if let Some(program) = self.running.take() {
            self.tally.failed.push(format!("{program} ended without a result"));
        }
    }

    fn program(&self) -> String {
        self.running.as_ref().map_or(String::new(), |program| format!("{program}: "))
    }

    fn finish(mut self, status: ExitStatus) -> Tally {
        self.expect_result();
        if self.tally.failed.is_empty() && !status.success() {
            self.tally.failed.push(format!("the tests ended with {status}"));
        }
        self.tally
    }
}

/// The test program that a line of cargo's says is being run.
fn program_started(line: &str) -> Option<String> {
    if let Some(name) = line.strip_prefix("   Doc-tests ") {
        return Some(format!("{name} (docs)"));
    }
    let (_, path) = line.strip_prefix("     Running ")?.strip_suffix(')')?.rsplit_once('(')?;
    let file = path.rsplit('/').next()?;
    Some(file.rsplit_once('-').map_or(file, |(name, _hash)| name).to_owned())
}

/// The numbers in `test result: FAILED. 3 passed; 1 failed; 0 ignored; …`.
fn result(line: &str) -> Option<(usize, usize)> {
    // What a test prints without a newline stands before it.
    let (_, counts) = line.split_once("test result: ")?;
    let number = |word: &str| {
        let (before, _) = counts.split_once(word)?;
        before.split_whitespace().next_back()?.parse().ok()
    };
    Some((number(" passed;")?, number(" failed;")?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    fn read(text: &str, status: i32) -> Tally {
        let mut output = Output::default();
        for line in text.lines() {
            output.read(line, Instant::now());
        }
        output.finish(ExitStatus::from_raw(status << 8))
    }

    const PASSED: &str =
        "     Running unittests src/lib.rs (target/debug/deps/telegen_rules-0123456789abcdef)

running 2 tests
test glob::star ... ok
test glob::slow ... ignored, takes an hour

test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s

   Doc-tests telegen_rules

running 1 test
test crates/rules/src/lib.rs - Rules (line 3) ... ok

test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s
";

    const FAILED: &str = "     Running tests/it/main.rs (/tmp/t/debug/deps/it-0123456789abcdef)

running 3 tests
test a::good ... ok
test a::bad ... FAILED
test a::worse ... FAILED

failures:

---- a::bad stdout ----
thread 'a::bad' panicked
failures:
    not a name

---- a::worse stdout ----
    neither is this

failures:
    a::bad
    a::worse

test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s

error: test failed, to rerun pass `-p telegen-rules --test it`
";

    #[test]
    fn what_passes_and_what_is_ignored_is_counted() {
        let tally = read(PASSED, 0);
        assert_eq!(tally.to_string(), "2 passed, 0 failed, 1 skipped");
        assert_eq!(tally.skipped, ["telegen_rules: glob::slow: takes an hour"]);
        assert!(tally.is_success());
    }

    #[test]
    fn what_fails_is_named() {
        let tally = read(&format!("{FAILED}{PASSED}"), 101);
        assert_eq!(tally.to_string(), "3 passed, 2 failed, 1 skipped");
        assert_eq!(tally.failed, ["it: a::bad", "it: a::worse"]);
    }

    #[test]
    fn a_result_behind_other_output_counts_and_failures_without_names_do_too() {
        let result = "noise test result: FAILED. 4 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out";
        let tally = read(result, 101);
        assert_eq!(tally.to_string(), "4 passed, 1 failed, 0 skipped");
    }

    #[test]
    fn a_program_that_crashes_has_failed() {
        let started =
            "     Running unittests src/lib.rs (target/debug/deps/telegen_bpf-0123)\nrunning 9 tests\n";
        assert_eq!(read(started, 101).failed, ["telegen_bpf ended without a result"]);
        let tally = read(&format!("{started}{PASSED}"), 101);
        assert_eq!(tally.to_string(), "2 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn what_does_not_compile_has_failed() {
        assert_eq!(
            read("error: could not compile `x`", 101).failed,
            ["the tests ended with exit status: 101"]
        );
    }

    #[test]
    fn only_tests_that_passed_are_routine() {
        let mut output = Output::default();
        let mut notable = Vec::new();
        for line in PASSED.lines() {
            if output.read(line, Instant::now()) == Kind::Notable {
                notable.push(line.trim().split(' ').next().unwrap_or_default());
            }
        }
        assert_eq!(notable, ["Running", "test", "test", "Doc-tests", "test"]);
    }

    #[test]
    fn a_test_takes_from_the_end_of_the_one_before_to_its_own() {
        let begin = Instant::now();
        let mut output = Output::default();
        let lines = [
            (0, "     Running tests/main.rs (d/main-1)"),
            (2, "running 3 tests"),
            (5, "test a::quick ... ok"),
            (8, "test a::skipped ... SKIPPED a::skipped: no runc"),
            (9, "ok"),
            (19, "test b::slow ... FAILED"),
            (20, "failures:"),
            (21, "test no::test ... of this program's"),
        ];
        for (seconds, line) in lines {
            output.read(line, begin + Duration::from_secs(seconds));
        }
        let timed: Vec<_> =
            output.tally.timed.iter().map(|test| (test.name.as_str(), test.took.as_secs())).collect();
        assert_eq!(timed, [("a::quick", 3), ("a::skipped", 4), ("b::slow", 10)]);
    }

    #[test]
    fn times_are_kept_of_tests_that_run_one_at_a_time() -> Result<()> {
        let command = |lines: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", &format!("printf '%s\\n' {lines}")]);
            command
        };
        let lines = "'running 1 test' 'test a ... ok' 'test result: ok. 1 passed; 0 failed;'";
        let mut seen = Vec::new();
        let alone = run_serially(command(lines), "main", |line| seen.push(line.to_owned()))?;
        assert_eq!((alone.passed, alone.timed.len(), seen.len()), (1, 1, 3));
        assert_eq!(run(command(&format!("'     Running x (d/x-1)' {lines}")), Shown::All)?, Tally::pass());
        let crashed = run_serially(command("'running 1 test'"), "main", |_| ())?;
        assert_eq!(crashed.failed, ["main ended without a result"]);
        Ok(())
    }

    #[test]
    fn a_command_is_run_and_both_its_streams_are_counted() -> Result<()> {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "echo '     Running x (d/x-1)' >&2; echo 'test result: ok. 5 passed; 0 failed;'; exit 1",
        ]);
        let tally = run(command, Shown::NotPassed)?;
        assert_eq!(tally.passed, 5);
        assert_eq!(tally.failed, ["the tests ended with exit status: 1"]);
        Ok(())
    }
}
