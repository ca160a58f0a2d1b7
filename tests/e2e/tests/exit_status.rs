//! Exit statuses, and what is said with them.

use anyhow::{Context, Result};
use std::process::Command;
use std::time::Duration;
use telegen_e2e::{Outcome, Program, Scratch, record_files, run, telegen};

/// A recording that would last far longer than the test's patience.
fn refused(scratch: &Scratch, arguments: &[&str], code: i32) -> Result<Outcome> {
    let mut command = telegen(["record", "-d", "1000s"].iter().chain(arguments))?;
    let outcome = run(command.current_dir(scratch.path()), Duration::from_secs(60))?.expect_code(code)?;
    let written: Vec<_> =
        record_files(scratch.path())?.into_iter().filter(|name| name.starts_with("telegen-")).collect();
    assert!(written.is_empty(), "{written:?}\n{outcome}");
    Ok(outcome)
}

#[test]
fn nothing_matched() -> Result<()> {
    let scratch = Scratch::new()?;
    let _near = scratch.start(Program::Sleeper, "tg-near-miss", &[])?;
    let outcome = refused(&scratch, &["--name", "tg-near-mist"], 3)?;
    let says = |what: &str| assert!(outcome.stderr.contains(what), "no {what:?}\n{outcome}");
    says("telegen targets");
    says("--explain");
    says("tg-near-mist");
    // The nearest miss.
    says("tg-near-miss");
    // How many were looked at: all processes, or all but the kernel's threads.
    let (all, own) = count_processes()?;
    let mut numbers =
        outcome.stderr.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok());
    let near = |number: u64, of: u64| number.abs_diff(of) <= 10;
    assert!(
        numbers.any(|number| near(number, all) || near(number, own)),
        "not {all} nor {own} processes\n{outcome}"
    );
    Ok(())
}

#[test]
fn what_matches_more_kinds_of_rules_is_nearer() -> Result<()> {
    let scratch = Scratch::new()?;
    let _near = scratch.start(Program::Sleeper, "tg-one-of-two", &[])?;
    let rules = ["--match", "all", "--name", "tg-one-of-two", "--namespace", "tg-nowhere"];
    let outcome = refused(&scratch, &rules, 3)?;
    let nearest = outcome.stderr.lines().skip_while(|line| *line != "nearest misses:").nth(1);
    assert!(
        nearest.is_some_and(|line| line.contains("tg-one-of-two: target_process_names matches")),
        "{outcome}"
    );
    Ok(())
}

/// All processes, and those that are not threads of the kernel.
fn count_processes() -> Result<(u64, u64)> {
    let output = Command::new("ps").args(["-e", "-o", "ppid="]).output().context("cannot run ps")?;
    let parents = String::from_utf8(output.stdout)?;
    let kernel = parents.lines().filter(|parent| parent.trim() == "2").count() as u64;
    let all = parents.lines().count() as u64;
    Ok((all, all - kernel))
}

#[test]
fn the_line_to_run_when_nothing_matched_explains_it() -> Result<()> {
    let scratch = Scratch::new()?;
    let outcome = refused(&scratch, &["--name", "tg-never-there"], 3)?;
    let line =
        outcome.stderr.lines().find_map(|line| line.split_once("telegen targets")).context("no line")?.1;
    let line = line.split(['`', '\'']).next().unwrap_or_default();
    let arguments: Vec<&str> = ["targets"].into_iter().chain(line.split_whitespace()).collect();
    assert!(arguments.contains(&"--name") && arguments.contains(&"tg-never-there"), "{outcome}");
    let explained = run(&mut telegen(arguments)?, Duration::from_secs(60))?.expect_code(0)?;
    assert!(!explained.stdout.is_empty(), "{explained}");
    Ok(())
}

#[test]
fn a_pid_that_does_not_exist() -> Result<()> {
    let scratch = Scratch::new()?;
    let outcome = refused(&scratch, &["--pid", "4194303"], 3)?;
    assert!(outcome.stderr.contains("4194303"), "{outcome}");
    Ok(())
}

#[test]
fn an_excluded_match_is_no_match() -> Result<()> {
    let scratch = Scratch::new()?;
    let _running = scratch.start(Program::Sleeper, "tg-excluded", &[])?;
    let outcome = refused(&scratch, &["--name", "tg-excluded", "--exclude-name", "tg-excl*"], 3)?;
    assert!(outcome.stderr.contains("exclude_process_names"), "why the nearest was missed\n{outcome}");
    Ok(())
}

#[test]
fn recording_nothing_in_particular_is_a_usage_error() -> Result<()> {
    let scratch = Scratch::new()?;
    let outcome = refused(&scratch, &[], 2)?;
    for way in ["--all", "--name", "COMMAND"] {
        assert!(outcome.stderr.contains(way), "no {way}\n{outcome}");
    }
    Ok(())
}

#[test]
fn wrong_values_are_usage_errors_and_are_named() -> Result<()> {
    let scratch = Scratch::new()?;
    for (arguments, what) in [
        (&["--all", "--no-such-flag"][..], "--no-such-flag"),
        (&["--name", "tg-[a"], "tg-[a"),
        (&["--pid", "twelve"], "twelve"),
        (&["--pid", "0"], "0"),
        (&["--pid", "-5"], "5"),
        (&["--all", "-F", "0"], "0"),
        (&["--all", "-F", "10001"], "10001"),
        (&["--all", "--match", "some"], "some"),
    ] {
        let outcome = refused(&scratch, arguments, 2)?;
        assert!(outcome.stderr.contains(what), "{outcome}");
    }
    let mut command = telegen(["record", "--all", "-d", "soon"])?;
    let outcome = run(command.current_dir(scratch.path()), Duration::from_secs(60))?.expect_code(2)?;
    assert!(outcome.stderr.contains("soon"), "{outcome}");
    Ok(())
}

#[test]
fn a_command_and_all_at_once_make_no_sense() -> Result<()> {
    let scratch = Scratch::new()?;
    refused(&scratch, &["--all", "--", "true"], 2)?;
    Ok(())
}

#[test]
fn errors_go_to_stderr() -> Result<()> {
    let scratch = Scratch::new()?;
    assert_eq!(refused(&scratch, &["--name", "tg-never-there"], 3)?.stdout, "");
    assert_eq!(refused(&scratch, &[], 2)?.stdout, "");
    Ok(())
}
