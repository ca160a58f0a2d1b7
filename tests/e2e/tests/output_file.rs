//! Where `record` writes, and what it does when it cannot: what can be known beforehand is said before the recording,
//! and nothing half-written is left behind.

use anyhow::Result;
use std::fs;
use std::path::Path;
use std::time::Duration;
use telegen_e2e::{
    Outcome, Profile, Program, Running, Scratch, Tmpfs, record_files, run, skip, telegen, until_it_records,
};

/// A recording that would last far longer than the test's patience, so that it must be refused beforehand.
fn refused_beforehand(burner: &Running, arguments: &[&str]) -> Result<Outcome> {
    let pid = burner.pid().to_string();
    let mut command = telegen(["record", "--pid", &pid, "-d", "1000s"].iter().chain(arguments))?;
    let outcome = run(&mut command, Duration::from_secs(60))?;
    assert!(matches!(outcome.code(), Some(1 | 2)), "{outcome}");
    Ok(outcome)
}

fn record_two_seconds(burner: &Running, output: &Path, arguments: &[&str]) -> Result<Outcome> {
    let mut command = telegen(["record", "--pid", &burner.pid().to_string(), "-d", "2s", "-o"])?;
    run(command.arg(output).args(arguments), Duration::from_secs(60))
}

#[test]
fn a_file_that_exists_is_not_overwritten() -> Result<()> {
    let scratch = Scratch::new()?;
    let burner = scratch.start(Program::Burn, "tg-exists", &[])?;
    let file = scratch.write("a.pb.gz", "precious")?;
    let outcome = refused_beforehand(&burner, &["-o", &scratch.text("a.pb.gz")])?;
    assert!(outcome.stderr.contains("a.pb.gz") && outcome.stderr.contains("--force"), "{outcome}");
    assert_eq!(fs::read_to_string(file)?, "precious");
    Ok(())
}

#[test]
fn a_file_that_exists_is_overwritten_by_force() -> Result<()> {
    let scratch = Scratch::new()?;
    let burner = scratch.start(Program::Burn, "tg-forced", &[])?;
    let file = scratch.write("a.pb.gz", "worthless")?;
    record_two_seconds(&burner, &file, &["--force"])?.expect_code(0)?;
    assert!(Profile::read(&file)?.count_with("tg_half") > 0);
    assert_eq!(record_files(scratch.path())?, ["a.pb.gz", "tg-forced"]);
    Ok(())
}

#[test]
fn a_file_that_appears_during_the_recording_is_not_overwritten() -> Result<()> {
    let scratch = Scratch::new()?;
    let burner = scratch.start(Program::Burn, "tg-appears", &[])?;
    let pid = burner.pid().to_string();
    let file = scratch.join("a.pb.gz");
    let mut recording = Running::spawn(telegen(["record", "--pid", &pid, "-d", "3s", "-o"])?.arg(&file))?;
    until_it_records(&mut recording)?;
    assert!(recording.is_running()?);
    // If the recording holds the name from its beginning, by a file of its own, nobody can come in between.
    if fs::OpenOptions::new().write(true).create_new(true).open(&file).is_err() {
        return Ok(());
    }
    fs::write(&file, "precious")?;
    let outcome = recording.wait(Duration::from_secs(60))?;
    assert_eq!(fs::read_to_string(&file)?, "precious", "{outcome}");
    outcome.expect_code(1)?;
    Ok(())
}

#[test]
fn a_directory_is_no_output_file() -> Result<()> {
    let scratch = Scratch::new()?;
    let burner = scratch.start(Program::Burn, "tg-directory", &[])?;
    fs::create_dir(scratch.join("there"))?;
    let outcome = refused_beforehand(&burner, &["-o", &scratch.text("there"), "--format", "pprof"])?;
    assert!(outcome.stderr.contains("there"), "{outcome}");
    let outcome =
        refused_beforehand(&burner, &["-o", &scratch.text("there"), "--format", "pprof", "--force"])?;
    assert!(outcome.stderr.contains("there"), "{outcome}");
    assert!(record_files(&scratch.join("there"))?.is_empty());
    Ok(())
}

#[test]
fn a_missing_directory_is_said_before_the_recording() -> Result<()> {
    let scratch = Scratch::new()?;
    let burner = scratch.start(Program::Burn, "tg-missing", &[])?;
    let outcome = refused_beforehand(&burner, &["-o", &scratch.text("nowhere/a.pb.gz")])?;
    assert!(outcome.stderr.contains("nowhere"), "{outcome}");
    assert!(!scratch.join("nowhere").exists());
    Ok(())
}

#[test]
fn a_full_disk_fails_and_leaves_nothing_behind() -> Result<()> {
    let scratch = Scratch::new()?;
    let burner = scratch.start(Program::Burn, "tg-full", &[])?;
    let disk = match Tmpfs::mount(scratch.join("disk"), 64) {
        Ok(disk) => disk,
        Err(error) => skip!("{error:#}"),
    };
    disk.fill()?;
    let output = disk.path().join("a.pb.gz");
    let outcome = record_two_seconds(&burner, &output, &[])?.expect_code(1)?;
    assert!(outcome.stderr.contains("a.pb.gz"), "the file should be named\n{outcome}");
    assert!(outcome.stderr.to_lowercase().contains("no space left"), "the reason should be named\n{outcome}");
    assert_eq!(record_files(disk.path())?, ["filler"]);
    Ok(())
}

#[test]
fn a_failed_overwrite_keeps_the_old_file() -> Result<()> {
    let scratch = Scratch::new()?;
    let burner = scratch.start(Program::Burn, "tg-full-force", &[])?;
    let disk = match Tmpfs::mount(scratch.join("disk"), 64) {
        Ok(disk) => disk,
        Err(error) => skip!("{error:#}"),
    };
    let output = disk.path().join("a.pb.gz");
    fs::write(&output, "precious")?;
    disk.fill()?;
    let outcome = record_two_seconds(&burner, &output, &["--force"])?;
    assert_eq!(record_files(disk.path())?, ["a.pb.gz", "filler"]);
    // Either there was room after all, in that of the old file, or the old file is untouched; never neither.
    match outcome.code() {
        Some(0) => drop(Profile::read(&output)?),
        _ => assert_eq!(fs::read_to_string(&output)?, "precious", "{outcome}"),
    }
    Ok(())
}
