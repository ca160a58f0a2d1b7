//! Processes that come, fork, exec, rename themselves and go while they are recorded.

use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use telegen_e2e::{Profile, Program, Recording, Running, Scratch, record, telegen, until, until_it_records};

/// A recording that runs in the background while the test acts.
struct Background {
    running: Running,
    output: std::path::PathBuf,
}

impl Background {
    fn start(directory: &Path, arguments: &[&str]) -> Result<Self> {
        let output = directory.join("background.pb.gz");
        let mut command = telegen(["record"].iter().chain(arguments))?;
        let mut running = Running::spawn(command.arg("-o").arg(&output))?;
        until_it_records(&mut running)?;
        Ok(Self { running, output })
    }

    fn finish(mut self) -> Result<Profile> {
        let outcome = self.running.wait(Duration::from_secs(120))?.expect_code(0)?;
        Profile::read(&self.output).with_context(|| outcome.to_string())
    }
}

/// The pid that a workload has printed as `child=`.
fn child_of(running: &Running) -> Result<String> {
    until(Duration::from_secs(30), "the pid of a child", || {
        let said = running.stdout()?;
        Ok(said.lines().find_map(|line| line.strip_prefix("child=")).map(str::to_owned))
    })
}

#[test]
fn a_process_that_starts_during_the_recording_is_captured() -> Result<()> {
    let scratch = Scratch::new()?;
    let _early = scratch.start(Program::Burn, "tg-starts", &[])?;
    let background = Background::start(scratch.path(), &["--name", "tg-starts", "-d", "5s"])?;
    let late = Running::spawn(&mut Command::new(scratch.join("tg-starts")))?;
    let _other = scratch.start(Program::Burn, "tg-starts-not", &[])?;
    let profile = background.finish()?;
    let pid = late.pid().to_string();
    assert!(profile.count(|sample| sample.label("process.pid") == pid && sample.has("tg_half")) > 20);
    assert_eq!(profile.label_values("process.executable.name"), ["tg-starts"].into());
    Ok(())
}

#[test]
fn a_forked_child_is_captured_with_its_parent() -> Result<()> {
    let scratch = Scratch::new()?;
    let _sleeper = scratch.start(Program::Sleeper, "tg-forker", &[])?;
    let background = Background::start(scratch.path(), &["--name", "tg-forker", "-d", "7s"])?;
    let forker = scratch.install(Program::Forker, "forker/tg-forker")?;
    let forker = Running::spawn(Command::new(forker).arg("1000"))?;
    let child = child_of(&forker)?;
    let profile = background.finish()?;
    let of_child =
        profile.count(|sample| sample.label("process.pid") == child && sample.has("tg_child_burn"));
    assert!(of_child >= 70, "{of_child} of about 99 samples of the child");
    assert!(profile.count_with("tg_parent_burn") >= 70);
    Ok(())
}

#[test]
fn a_child_forked_before_the_recording_is_captured_with_its_parent() -> Result<()> {
    let scratch = Scratch::new()?;
    let forker = scratch.start(Program::Forker, "tg-forked-early", &["60000"])?;
    let child = child_of(&forker)?;
    let Recording { profile, .. } = record(scratch.path(), &["--name", "tg-forked-early", "-d", "3s"])?;
    assert!(profile.count(|sample| sample.label("process.pid") == child && sample.has("tg_child_burn")) > 0);
    assert!(profile.count_with("tg_parent_burn") > 0);
    Ok(())
}

#[test]
fn a_child_that_execs_something_else_is_not_captured() -> Result<()> {
    let scratch = Scratch::new()?;
    let _sleeper = scratch.start(Program::Sleeper, "tg-spawner", &[])?;
    let background = Background::start(scratch.path(), &["--name", "tg-spawner", "-d", "5s"])?;
    let burner = scratch.install(Program::Burn, "tg-spawned")?;
    let spawner = scratch.install(Program::Spawner, "spawner/tg-spawner")?;
    let _spawner = Running::spawn(Command::new(spawner).arg("1000").arg(burner).args(["--seconds", "1"]))?;
    let profile = background.finish()?;
    assert!(profile.count_with("tg_spawner_burn") > 50);
    assert_eq!(profile.count_with("tg_half"), 0, "the child has become a program that does not match");
    Ok(())
}

#[test]
fn the_children_of_a_chosen_pid_are_not_chosen_with_it() -> Result<()> {
    let scratch = Scratch::new()?;
    // The parent waits in the shell's `read` until the recording runs; then it forks.
    let forker = scratch.install(Program::Forker, "tg-pid-forker")?;
    let start = scratch.join("start");
    let script = "while [ ! -e \"$1\" ]; do sleep 0.1; done; shift; exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(&start).arg(&forker).arg("2000");
    let parent = Running::spawn(&mut command)?;
    let pid = parent.pid().to_string();
    let background = Background::start(scratch.path(), &["--pid", &pid, "-d", "5s"])?;
    scratch.write("start", "")?;
    let child = child_of(&parent)?;
    let profile = background.finish()?;
    assert_eq!(profile.label_values("process.pid"), [&*pid].into(), "the child is {child}");
    assert!(profile.count_with("tg_parent_burn") > 50, "a pid stays chosen across an exec");
    assert_eq!(profile.count_with("tg_child_burn"), 0);
    Ok(())
}

#[test]
fn a_process_that_execs_away_is_no_longer_recorded() -> Result<()> {
    let scratch = Scratch::new()?;
    let burner = scratch.install(Program::Burn, "tg-exec-after")?;
    let arguments = ["3000", burner.to_str().context("UTF-8")?];
    let running = scratch.start(Program::ExecMidway, "tg-exec-before", &arguments)?;
    let Recording { profile, .. } = record(scratch.path(), &["--name", "tg-exec-before", "-d", "10s"])?;
    assert!(running.stdout()?.contains("before_exec="), "the exec was to happen within the recording");
    assert!(profile.count_with("tg_before_exec") > 20);
    assert_eq!(profile.count_with("tg_half"), 0);
    assert_eq!(profile.label_values("process.executable.name"), ["tg-exec-before"].into());
    Ok(())
}

#[test]
fn a_process_that_execs_into_a_target_is_recorded_from_then_on() -> Result<()> {
    let scratch = Scratch::new()?;
    let burner = scratch.install(Program::Burn, "tg-becomes")?;
    let _sleeper =
        Running::spawn(&mut Command::new(scratch.install(Program::Sleeper, "sleeper/tg-becomes")?))?;
    let background = Background::start(scratch.path(), &["--name", "tg-becomes", "-d", "5s"])?;
    let arguments = ["500", burner.to_str().context("UTF-8")?, "--seconds", "1"];
    let _running = scratch.start(Program::ExecMidway, "tg-not-yet", &arguments)?;
    let profile = background.finish()?;
    assert!(profile.count_with("tg_half") > 25);
    assert_eq!(profile.count_with("tg_before_exec"), 0);
    Ok(())
}

#[test]
fn both_programs_of_a_pid_that_execs_have_their_own_names() -> Result<()> {
    let scratch = Scratch::new()?;
    let burner = scratch.install(Program::Burn, "tg-two-after")?;
    let arguments = ["4000", burner.to_str().context("UTF-8")?];
    let running = scratch.start(Program::ExecMidway, "tg-two-before", &arguments)?;
    let pid = running.pid().to_string();
    let Recording { profile, .. } = record(scratch.path(), &["--pid", &pid, "-d", "12s"])?;
    assert!(running.stdout()?.contains("before_exec="), "the exec was to happen within the recording");
    for (executable, functions) in
        [("tg-two-before", &["tg_before_exec"][..]), ("tg-two-after", &["tg_half", "tg_third", "tg_fifth"])]
    {
        let all = profile.count_of(executable);
        let named = profile.count(|sample| {
            let leaf = sample.frames.first().map_or("", |frame| frame.function.as_str());
            sample.label("process.executable.name") == executable && functions.contains(&leaf)
        });
        assert!(all > 20, "{all} samples of {executable}");
        assert!(named * 10 >= all * 9, "{named} of {all} samples of {executable}: {:?}", profile.functions());
    }
    Ok(())
}

#[test]
fn a_process_that_renames_itself_into_a_target_is_recorded_from_then_on() -> Result<()> {
    let scratch = Scratch::new()?;
    let _sleeper = scratch.start(Program::Sleeper, "tg-renamed", &[])?;
    let background = Background::start(scratch.path(), &["--name", "tg-renamed", "-d", "5s"])?;
    let running = scratch.start(Program::Rename, "tg-unnamed", &["500", "tg-renamed"])?;
    let profile = background.finish()?;
    let pid = running.pid().to_string();
    assert!(profile.count(|sample| sample.label("process.pid") == pid && sample.has("tg_after_rename")) > 50);
    assert_eq!(profile.count_with("tg_before_rename"), 0);
    assert_eq!(profile.label_values("process.executable.name"), ["tg-unnamed"].into());
    Ok(())
}

#[test]
fn a_target_that_exits_during_the_recording_keeps_its_samples_and_names() -> Result<()> {
    let scratch = Scratch::new()?;
    let _running = scratch.start(Program::Burn, "tg-exits", &["--seconds", "4"])?;
    let _stays = scratch.start(Program::Sleeper, "sleeper/tg-exits", &[])?;
    let Recording { profile, .. } = record(scratch.path(), &["--name", "tg-exits", "-d", "12s"])?;
    let named =
        profile.count_with("tg_half") + profile.count_with("tg_third") + profile.count_with("tg_fifth");
    assert!(profile.total() > 50, "{} samples", profile.total());
    assert!(named * 10 >= profile.total() * 9, "{named} of {}", profile.total());
    Ok(())
}
