//! What `record` says to people, and where.

use anyhow::{Context, Result};
use std::process::Command;
use std::time::Duration;
use telegen_e2e::{Program, Running, Scratch, record, telegen_binary, until};

#[test]
fn the_summary_names_targets_samples_top_functions_and_file() -> Result<()> {
    let scratch = Scratch::new()?;
    let _burner = scratch.start(Program::Burn, "tg-summary", &[])?;
    let recording = record(scratch.path(), &["--name", "tg-summary", "-d", "4s"])?;
    let summary = &recording.outcome.stdout;
    let says =
        |what: &str| assert!(summary.contains(what), "no {what:?} in the summary\n{}", recording.outcome);
    says(recording.path.to_str().context("scratch paths are UTF-8")?);
    says(&recording.profile.total().to_string());
    says("target");
    says("sample");
    // The three functions that have all of the time, the largest first.
    let place = |function: &str| summary.find(function).with_context(|| format!("no {function}\n{summary}"));
    assert!(place("tg_half")? < place("tg_third")? && place("tg_third")? < place("tg_fifth")?, "{summary}");
    Ok(())
}

#[test]
fn no_colour_and_no_cursor_movement_off_a_terminal() -> Result<()> {
    let scratch = Scratch::new()?;
    let _burner = scratch.start(Program::Burn, "tg-plain", &[])?;
    let recording = record(scratch.path(), &["--name", "tg-plain", "-d", "2s"])?;
    let output = recording.outcome.output();
    assert!(!output.contains('\u{1b}') && !output.contains('\r'), "{output:?}");
    Ok(())
}

/// Runs a recording of four seconds on a pseudo-terminal, which `script` makes.
fn on_a_terminal(scratch: &Scratch, name: &str, environment: &[(&str, &str)]) -> Result<Running> {
    let telegen = telegen_binary()?;
    let output = scratch.text("a.pb.gz");
    let line = format!("{} record --name {name} -d 4s -o {output}", telegen.display());
    let mut command = Command::new("script");
    command.args(["-qefc", &line, "/dev/null"]).env("TERM", "xterm").env_remove("NO_COLOR");
    Running::spawn(command.envs(environment.iter().copied()))
}

#[test]
fn a_terminal_shows_progress() -> Result<()> {
    let scratch = Scratch::new()?;
    let _burner = scratch.start(Program::Burn, "tg-progress", &[])?;
    let mut terminal = on_a_terminal(&scratch, "tg-progress", &[])?;
    until(Duration::from_secs(30), "progress on the terminal", || {
        let shown = terminal.stdout()?;
        anyhow::ensure!(terminal.is_running()?, "over without having shown any progress: {shown:?}");
        Ok((shown.contains("target") && shown.contains("sample") && shown.contains("lost")).then_some(()))
    })?;
    assert!(!scratch.join("a.pb.gz").exists(), "progress is shown before the end");
    terminal.wait(Duration::from_secs(60))?.expect_code(0)?;
    Ok(())
}

#[test]
fn no_color_is_heeded() -> Result<()> {
    let scratch = Scratch::new()?;
    let _burner = scratch.start(Program::Burn, "tg-no-color", &[])?;
    let outcome =
        on_a_terminal(&scratch, "tg-no-color", &[("NO_COLOR", "1")])?.wait(Duration::from_secs(60))?;
    let coloured = outcome.stdout.split("\u{1b}[").skip(1).any(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != ';').unwrap_or(rest.len());
        rest[end..].starts_with('m')
    });
    assert!(!coloured, "{:?}", outcome.stdout);
    Ok(())
}
