//! A pid that is used again by another process: identity is pid and start time.

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;
use telegen_e2e::{
    Agent, AgentSettings, Profile, Program, Running, Scratch, run, skip, telegen, until_it_records,
};

const LIMIT: Duration = Duration::from_secs(60);

/// Starts a program under a pid that has become free, by telling the kernel which it handed out last; other processes
/// of the machine may be quicker, so this is tried many times.
fn start_under_pid(pid: u32, command: &mut Command) -> Result<Running> {
    for _ in 0..500 {
        fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string())?;
        let running = Running::spawn(command)?;
        if running.pid() == pid {
            return Ok(running);
        }
    }
    bail!("pid {pid} could not be had again");
}

/// Ends a burning target and puts another busy program under its pid; the agent must have no sample of that.
fn assert_not_inherited(rules: impl Fn(u32) -> String) -> Result<()> {
    let scratch = Scratch::new()?;
    let mut first = scratch.start(Program::Burn, "tg-reused-a", &[])?;
    let pid = first.pid();
    let rules = rules(pid);
    let mut agent =
        Agent::start(&scratch, &AgentSettings { interval: "1s", rules: &rules, ..AgentSettings::default() })?;
    agent.wait_for_profiles("samples of the first process", |all| {
        all.iter().any(|p| p.count_with("tg_half") > 0)
    })?;
    let other = scratch.install(Program::Short, "tg-reused-b")?;
    first.kill();
    let second = match start_under_pid(pid, Command::new(other).arg("60000")) {
        Ok(second) => second,
        Err(error) => skip!("{error:#}"),
    };
    sleep(Duration::from_secs(5));
    agent.terminate()?;
    for profile in agent.profiles()? {
        assert_eq!(profile.count_with("tg_short"), 0);
        assert_eq!(profile.count_of("tg-reused-b"), 0);
    }
    drop(second);
    Ok(())
}

#[test]
fn a_decision_by_name_is_not_inherited_by_the_next_process_with_the_pid() -> Result<()> {
    assert_not_inherited(|_| "  target_process_names: [tg-reused-a]\n".to_owned())
}

#[test]
fn a_chosen_pid_is_spent_when_its_process_exits() -> Result<()> {
    assert_not_inherited(|pid| format!("  target_pids: [{pid}]\n"))
}

/// How a process comes to be what it is under the pid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Life {
    /// Forked from a process of its own name.
    Forked { is_target: bool },
    /// Forked from a process of the opposite kind, and then executed.
    Execed { is_target: bool },
}

const FORKED_IN: Life = Life::Forked { is_target: true };
const FORKED_OUT: Life = Life::Forked { is_target: false };
const EXECED_IN: Life = Life::Execed { is_target: true };
const EXECED_OUT: Life = Life::Execed { is_target: false };

/// Each kind of life follows once upon each.
const LIVES: [Life; 17] = [
    FORKED_IN, FORKED_IN, FORKED_OUT, FORKED_IN, EXECED_IN, FORKED_IN, EXECED_OUT, FORKED_OUT, FORKED_OUT,
    EXECED_IN, FORKED_OUT, EXECED_OUT, EXECED_IN, EXECED_IN, EXECED_OUT, EXECED_OUT, FORKED_IN,
];

const HZ: f64 = 499.0;
const CPU_MILLISECONDS: u32 = 200;

fn name(is_target: bool, nth: usize) -> String {
    format!("tg-{}-{nth:02}", if is_target { "in" } else { "out" })
}

impl Life {
    /// Lives under a pid; false if somebody else has it, or this test may not choose one.
    fn live(self, scratch: &Scratch, nth: usize, pid: u32) -> Result<bool> {
        let (launcher, program) = match self {
            Self::Forked { is_target } => (name(is_target, nth), None),
            Self::Execed { is_target } => (name(!is_target, nth), Some(name(is_target, nth))),
        };
        let mut command = Command::new(scratch.install(Program::AtPid, &launcher)?);
        command.args([pid.to_string(), CPU_MILLISECONDS.to_string()]);
        if let Some(program) = program {
            command.arg(scratch.install(Program::Short, &program)?);
        }
        for _ in 0..100 {
            let outcome = run(&mut command, LIMIT)?;
            if outcome.code() != Some(2) {
                outcome.expect_code(0)?;
                return Ok(true);
            }
            if outcome.stderr.contains("not permitted") {
                return Ok(false);
            }
            if !outcome.stderr.contains("File exists") {
                bail!("{outcome}");
            }
            sleep(Duration::from_millis(100));
        }
        Ok(false)
    }
}

/// A pid that has just become free, so that the kernel comes by it only after all others.
fn free_pid() -> Result<u32> {
    let mut gone = Running::spawn(&mut Command::new("true"))?;
    let pid = gone.pid();
    gone.wait(LIMIT)?;
    Ok(pid)
}

/// Records while lives follow one another under one pid; the profile, or why it could not be.
fn record_lives(
    scratch: &Scratch,
    flags: &[&str],
    lives: &[Life],
    pid: u32,
) -> Result<Result<Profile, String>> {
    let output = scratch.join("lives.pb.gz");
    let rate = HZ.to_string();
    let arguments = [&["record", "--force", "-d", "300s", "-F", &rate], flags, &["-o"]].concat();
    let mut recording = Running::spawn(telegen(arguments)?.arg(&output))?;
    until_it_records(&mut recording)?;
    for (nth, life) in lives.iter().enumerate() {
        if !life.live(scratch, nth, pid)? {
            return Ok(Err(format!("pid {pid} could not be had again")));
        }
    }
    recording.signal(Signal::INT)?;
    let outcome = recording.wait(LIMIT)?.expect_code(0)?;
    Ok(Ok(Profile::read(&output).with_context(|| outcome.to_string())?))
}

/// Nobody may have the samples of whom had the pid before or has it next; whom the kernel decides on has all of his own.
fn assert_each_has_its_own(pattern: &str, least_share: f64) -> Result<Option<String>> {
    let scratch = Scratch::new()?;
    // A target from beginning to end, without which there would be nothing to record at first.
    let _stays = scratch.start(Program::Sleeper, "tg-in-stays", &[])?;
    let pid = free_pid()?;
    let profile = match record_lives(&scratch, &["--name", pattern], &LIVES, pid)? {
        Ok(profile) => profile,
        Err(reason) => return Ok(Some(reason)),
    };
    let targets: BTreeSet<String> = (0..LIVES.len()).map(|nth| name(true, nth)).collect();
    let names = profile.label_values("process.executable.name");
    let others: Vec<_> = names.iter().filter(|&&of| !targets.contains(of) && of != "tg-in-stays").collect();
    assert!(others.is_empty(), "{others:?} are no targets");
    let expected = f64::from(CPU_MILLISECONDS) / 1e3 * HZ;
    for (nth, life) in LIVES.iter().enumerate() {
        let own = name(true, nth);
        let count = |function: &str| {
            profile.count(|sample| sample.label("process.executable.name") == own && sample.has(function))
                as f64
        };
        let (forked, execed) = (count("tg_at_pid"), count("tg_short"));
        let (wanted, wrong) = match life {
            Life::Forked { is_target: true } => (forked, execed),
            Life::Execed { is_target: true } => (execed, forked),
            Life::Forked { is_target: false } | Life::Execed { is_target: false } => {
                (expected, forked + execed)
            }
        };
        assert_eq!(wrong, 0.0, "{own}, {life:?}: {forked} samples of a fork, {execed} of an exec");
        assert!(wanted >= (expected * least_share).max(1.0), "{own}, {life:?}: {wanted} of {expected}");
        for sample in profile.samples.iter().filter(|sample| sample.label("process.executable.name") == own) {
            // The kernel gives the next name before the next program is there.
            let is_leaving = sample.frames.iter().any(|frame| frame.function.contains("execve"));
            let next = name(false, nth);
            let thread = sample.label("thread.name");
            assert!(thread == own || is_leaving && *life == EXECED_OUT && thread == next, "{sample:?}");
            assert_eq!(sample.label("service.name"), own, "{sample:?}");
        }
    }
    Ok(None)
}

#[test]
fn whoever_has_the_pid_is_labelled_as_himself() -> Result<()> {
    if let Some(reason) = assert_each_has_its_own("tg-in-*", 0.8)? {
        skip!("{reason}");
    }
    Ok(())
}

#[test]
fn and_so_he_is_where_user_space_decides() -> Result<()> {
    // How long that takes depends on who else runs.
    if let Some(reason) = assert_each_has_its_own("tg-[i]n-*", 0.0)? {
        skip!("{reason}");
    }
    Ok(())
}

#[test]
fn a_pid_rule_that_has_waited_means_the_first_who_has_the_pid() -> Result<()> {
    let scratch = Scratch::new()?;
    let pid = free_pid()?;
    let lives = [FORKED_OUT, FORKED_OUT, FORKED_IN, EXECED_IN];
    let _stays = scratch.start(Program::Sleeper, "tg-waits-stays", &[])?;
    let flags = ["--name", "tg-waits-stays", "--pid", &pid.to_string()];
    let profile = match record_lives(&scratch, &flags, &lives, pid)? {
        Ok(profile) => profile,
        Err(reason) => skip!("{reason}"),
    };
    let mut names = profile.label_values("process.executable.name");
    names.remove("tg-waits-stays");
    assert_eq!(names, [&*name(false, 0)].into());
    assert_eq!(
        profile.label_values("process.pid").into_iter().filter(|&of| of == pid.to_string()).count(),
        1
    );
    Ok(())
}
