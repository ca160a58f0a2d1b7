//! Programs that are come to by long ways: each is a target from its first instruction on, however it was started.

use anyhow::{Context, Result};
use rustix::process::Signal;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use telegen_e2e::{Profile, Program, Running, Scratch, reported, telegen, until, until_it_records};

const LIMIT: Duration = Duration::from_secs(60);
const CPU_MILLISECONDS: &str = "300";

/// Runs a command whose end is a program that says how much CPU time it has had; that.
fn run_to_the_end(scratch: &Scratch, command: &mut Command) -> Result<f64> {
    let output = scratch.join("said");
    let mut child = command.stdin(Stdio::null()).stdout(File::create(&output)?).spawn()?;
    child.wait()?;
    // A daemon's parents have gone long before it.
    let said = until(LIMIT, "the program at the end of the chain", || {
        let said = fs::read_to_string(&output)?;
        Ok((said.contains("total=") && said.ends_with('\n')).then_some(said))
    })?;
    // CPU time goes on through exec: what the process had before is not the program's.
    let before = if said.contains("before=") { reported(&said, "before")? } else { 0.0 };
    Ok(reported(&said, "total")? - before)
}

/// Records all of one name while a chain leads to it, and holds the samples against the CPU time that it says it had.
fn assert_followed(name: &str, chain: impl Fn(&Path, &Path) -> Command) -> Result<()> {
    let scratch = Scratch::new()?;
    let stays = scratch.install(Program::Sleeper, &format!("stays/{name}"))?;
    let _stays = Running::spawn(&mut Command::new(stays))?;
    let end = scratch.install(Program::Short, &format!("comes/{name}"))?;
    let starter = scratch.install(Program::Chain, "tg-chain-starter")?;
    let output = scratch.join("chain.pb.gz");
    let mut recording =
        Running::spawn(telegen(["record", "--name", name, "-d", "300s", "-o"])?.arg(&output))?;
    until_it_records(&mut recording)?;
    let mut cpu_seconds = 0.0;
    for _ in 0..3 {
        cpu_seconds += run_to_the_end(&scratch, &mut chain(&starter, &end))?;
    }
    recording.signal(Signal::INT)?;
    let outcome = recording.wait(LIMIT)?.expect_code(0)?;
    let profile = Profile::read(&output).with_context(|| outcome.to_string())?;
    let (samples, expected) = (profile.total() as f64, cpu_seconds * 99.0);
    assert!(samples >= expected * 0.8, "{samples} of {expected:.0} samples");
    assert_eq!(profile.label_values("process.executable.name"), [name].into(), "nobody else on the way");
    let named = profile.count_with("tg_short") as f64;
    assert!(named >= samples * 0.9, "{named} of {samples}: {:?}", profile.functions());
    Ok(())
}

fn by(kind: &'static str) -> impl Fn(&Path, &Path) -> Command {
    move |starter, end| {
        let mut command = Command::new(starter);
        command.arg(kind).arg(end).arg(CPU_MILLISECONDS);
        command
    }
}

#[test]
fn a_shell_env_and_an_interpreter_lead_to_it() -> Result<()> {
    assert_followed("tg-end-shell", |_, end| {
        let script = "exec env A=1 python3 -c 'import os, sys, time; \
            print(f\"before={time.process_time():.6f}\", flush=True); os.execv(sys.argv[1], sys.argv[1:])' \"$@\"";
        let mut command = Command::new("sh");
        command.args(["-c", script, "sh"]).arg(end).arg(CPU_MILLISECONDS);
        command
    })
}

#[test]
fn a_daemon_is_followed_through_two_forks_and_a_new_session() -> Result<()> {
    assert_followed("tg-end-daemon", by("daemon"))
}

#[test]
fn a_thread_that_does_not_lead_may_call_exec() -> Result<()> {
    assert_followed("tg-end-thread", by("thread"))
}

#[test]
fn a_child_of_vfork_is_followed() -> Result<()> {
    assert_followed("tg-end-vfork", by("vfork"))
}
