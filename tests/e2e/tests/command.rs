//! `record -- COMMAND`.

use anyhow::{Context, Result};
use std::time::Duration;
use telegen_e2e::accuracy::assert_sample_count;
use telegen_e2e::{
    Profile, Program, Recording, Running, Scratch, record, record_files, reported, run, telegen,
    until_it_records,
};

const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn a_command_is_recorded_from_its_first_instruction() -> Result<()> {
    let scratch = Scratch::new()?;
    let program = scratch.install(Program::Early, "tg-early")?;
    let program = program.to_str().context("UTF-8")?;
    let Recording { profile, outcome, .. } = record(scratch.path(), &["-F", "999", "--", program, "400"])?;
    let constructor = reported(&outcome.stdout, "tg_constructor")?;
    let total = reported(&outcome.stdout, "total")?;
    assert_sample_count(profile.total(), total, 999.0);
    assert_sample_count(profile.count_with("tg_constructor"), constructor, 999.0);
    Ok(())
}

#[test]
fn its_descendants_are_recorded_and_nothing_else() -> Result<()> {
    let scratch = Scratch::new()?;
    let _other = scratch.start(Program::Burn, "tg-not-mine", &[])?;
    let burner = scratch.install(Program::Burn, "tg-grandchild")?;
    let spawner = scratch.install(Program::Spawner, "tg-child")?;
    let forker = scratch.install(Program::Forker, "tg-forking")?;
    let script = format!(
        "{spawner} 500 {burner} --seconds 1; {forker} 500; exit 0",
        spawner = spawner.display(),
        burner = burner.display(),
        forker = forker.display()
    );
    let Recording { profile, outcome, .. } = record(scratch.path(), &["--", "sh", "-c", &script])?;
    let counted = |function: &str, seconds: f64| {
        let (count, expected) = (profile.count_with(function) as f64, seconds * 99.0);
        assert!(
            (0.75..1.3).contains(&(count / expected)),
            "{count} of {expected} samples in {function}\n{outcome}"
        );
    };
    counted("tg_spawner_burn", 0.5);
    counted("tg_half", 0.5);
    counted("tg_parent_burn", 0.5);
    counted("tg_child_burn", 0.5);
    assert_eq!(profile.count_of("tg-not-mine"), 0);
    Ok(())
}

#[test]
fn the_status_is_the_commands_own() -> Result<()> {
    let scratch = Scratch::new()?;
    for code in [0, 1, 3, 7, 42] {
        let output = scratch.join(&format!("{code}.pb.gz"));
        let mut command = telegen(["record", "-o"])?;
        command.arg(&output).args(["--", "sh", "-c", &format!("exit {code}")]);
        run(&mut command, LIMIT)?.expect_code(code)?;
    }
    Ok(())
}

#[test]
fn a_command_without_any_sample_is_done_not_failed() -> Result<()> {
    let scratch = Scratch::new()?;
    let output = scratch.join("a.pb.gz");
    let mut command = telegen(["record", "-o"])?;
    let outcome = run(command.arg(&output).args(["--", "true"]), LIMIT)?.expect_code(0)?;
    // A few ticks may have hit its start-up.
    assert!(Profile::read(&output).with_context(|| outcome.to_string())?.total() < 20);
    Ok(())
}

#[test]
fn a_command_that_fails_still_has_its_profile() -> Result<()> {
    let scratch = Scratch::new()?;
    let burner = scratch.install(Program::Short, "tg-fails")?;
    let output = scratch.join("a.pb.gz");
    let mut command = telegen(["record", "-o"])?;
    command.arg(&output).args(["--", "sh", "-c", &format!("{} 500; exit 9", burner.display())]);
    let outcome = run(&mut command, LIMIT)?.expect_code(9)?;
    assert!(Profile::read(&output).with_context(|| outcome.to_string())?.count_with("tg_short") > 20);
    Ok(())
}

#[test]
fn a_command_has_its_streams_and_arguments() -> Result<()> {
    let scratch = Scratch::new()?;
    let output = scratch.join("a.pb.gz");
    let mut command = telegen(["record", "-o"])?;
    command.arg(&output).args([
        "--",
        "sh",
        "-c",
        "echo \"out:$1\"; echo \"err:$2\" >&2",
        "sh",
        "--name",
        "a b",
    ]);
    let outcome = run(&mut command, LIMIT)?.expect_code(0)?;
    assert!(outcome.stdout.contains("out:--name\n"), "{outcome}");
    assert!(outcome.stderr.contains("err:a b\n"), "{outcome}");
    Ok(())
}

#[test]
fn a_command_that_does_not_exist_is_said_and_nothing_is_written() -> Result<()> {
    let scratch = Scratch::new()?;
    let output = scratch.join("a.pb.gz");
    let mut command = telegen(["record", "-o"])?;
    let outcome = run(command.arg(&output).args(["--", "/nonexistent/tg-command"]), LIMIT)?;
    assert!(matches!(outcome.code(), Some(1 | 2 | 126 | 127)), "{outcome}");
    assert!(outcome.stderr.contains("/nonexistent/tg-command"), "{outcome}");
    assert!(record_files(scratch.path())?.is_empty());
    Ok(())
}

#[test]
fn ctrl_c_ends_early_and_still_writes() -> Result<()> {
    let scratch = Scratch::new()?;
    let burner = scratch.install(Program::Burn, "tg-command-int")?;
    let output = scratch.join("a.pb.gz");
    let mut recording = Running::spawn(telegen(["record", "-o"])?.arg(&output).arg("--").arg(burner))?;
    until_it_records(&mut recording)?;
    std::thread::sleep(Duration::from_secs(2));
    recording.signal(rustix::process::Signal::INT)?;
    let outcome = recording.wait(LIMIT)?;
    assert!(
        Profile::read(&output).with_context(|| outcome.to_string())?.count_with("tg_half") > 20,
        "{outcome}"
    );
    Ok(())
}
