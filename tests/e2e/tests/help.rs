//! Help, version and completions.

use anyhow::Result;
use std::time::Duration;
use telegen_e2e::{run, telegen};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn help_goes_to_stdout_and_names_the_commands() -> Result<()> {
    let outcome = run(&mut telegen(["--help"])?, LIMIT)?.expect_code(0)?;
    for command in ["agent", "record", "targets", "config", "doctor", "completions"] {
        assert!(outcome.stdout.contains(command), "no {command}\n{outcome}");
    }
    let outcome = run(&mut telegen(["record", "--help"])?, LIMIT)?.expect_code(0)?;
    let flags =
        ["--pid", "--name", "--exe", "--exclude-name", "--match", "--all", "--wait", "--force", "--format"];
    for flag in flags {
        assert!(outcome.stdout.contains(flag), "no {flag}\n{outcome}");
    }
    Ok(())
}

#[test]
fn the_version_can_be_asked_for() -> Result<()> {
    let outcome = run(&mut telegen(["--version"])?, LIMIT)?.expect_code(0)?;
    assert!(outcome.stdout.starts_with("telegen ") && outcome.stdout.contains('.'), "{outcome}");
    Ok(())
}

#[test]
fn a_command_that_does_not_exist_is_a_usage_error() -> Result<()> {
    run(&mut telegen(["recrod"])?, LIMIT)?.expect_code(2)?;
    let outcome = run(&mut telegen::<&str>([])?, LIMIT)?.expect_code(2)?;
    assert!(outcome.stderr.contains("record"), "{outcome}");
    Ok(())
}

#[test]
fn shells_get_completions_that_they_can_read() -> Result<()> {
    for shell in ["bash", "zsh", "fish"] {
        let outcome = run(&mut telegen(["completions", shell])?, LIMIT)?.expect_code(0)?;
        assert!(outcome.stdout.contains("telegen") && outcome.stdout.contains("record"), "{outcome}");
    }
    let bash = run(&mut telegen(["completions", "bash"])?, LIMIT)?;
    let mut reader = std::process::Command::new("bash");
    run(reader.args(["-n", "-c", &bash.stdout]), LIMIT)?.expect_code(0)?;
    Ok(())
}
