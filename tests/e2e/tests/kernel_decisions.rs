//! What the kernel decides by itself: telegen is stopped while the programs live, so that nobody else can.

use anyhow::{Context, Result};
use rustix::process::Signal;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;
use telegen_e2e::{
    Agent, AgentSettings, Container, Profile, Program, Running, Sample, Scratch, reported, run, skip,
    telegen, until, until_it_records,
};

const LIMIT: Duration = Duration::from_secs(60);
const CPU_MILLISECONDS: &str = "400";

/// A recording with these flags during which `life` runs while telegen is stopped; the profile, and what `life` said.
fn record_stopped(
    scratch: &Scratch,
    flags: &[&str],
    life: impl FnOnce() -> Result<f64>,
) -> Result<(Profile, f64)> {
    let output = scratch.join("stopped.pb.gz");
    let arguments = [&["record", "--force", "-d", "300s"], flags, &["-o"]].concat();
    let mut recording = Running::spawn(telegen(arguments)?.arg(&output))?;
    until_it_records(&mut recording)?;
    sleep(Duration::from_secs(1));
    recording.signal(Signal::STOP)?;
    until(LIMIT, "all threads to stop", || Ok(is_stopped(recording.pid())?.then_some(())))?;
    let cpu_seconds = life();
    recording.signal(Signal::CONT)?;
    recording.signal(Signal::INT)?;
    let outcome = recording.wait(LIMIT)?.expect_code(0)?;
    Ok((Profile::read(&output).with_context(|| outcome.to_string())?, cpu_seconds?))
}

/// Whether all threads have stopped: the first of them to be scheduled tells the others, which run on until then.
fn is_stopped(pid: u32) -> Result<bool> {
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let stat = fs::read_to_string(task?.path().join("stat"))?;
        if !stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Lives and dies; the CPU seconds that it had.
fn live(program: &Path) -> Result<f64> {
    let outcome = run(Command::new(program).arg(CPU_MILLISECONDS), LIMIT)?.expect_code(0)?;
    reported(&outcome.stdout, "total")
}

/// A program that stays and is a target from the beginning, and one of the same name that is run later.
fn two_of_a_name(scratch: &Scratch, name: &str) -> Result<(Running, PathBuf)> {
    let stays = scratch.install(Program::Sleeper, &format!("stays/{name}"))?;
    Ok((
        Running::spawn(&mut Command::new(stays))?,
        scratch.install(Program::Short, &format!("comes/{name}"))?,
    ))
}

#[test]
fn simple_patterns_hold_from_the_first_tick_on() -> Result<()> {
    for flags in [
        ["--name", "tg-by-kernel"],
        ["--name", "tg-by-*"],
        ["--name", "*kernel"],
        ["--exe", "*/tg-by-kernel"],
    ] {
        let scratch = Scratch::new()?;
        let (_stays, comes) = two_of_a_name(&scratch, "tg-by-kernel")?;
        let (profile, cpu_seconds) = record_stopped(&scratch, &flags, || live(&comes))?;
        let (samples, expected) = (profile.count_of("tg-by-kernel") as f64, cpu_seconds * 99.0);
        assert!(samples >= expected * 0.8 - 1.0, "{flags:?}: {samples} of {expected:.0} samples");
    }
    Ok(())
}

#[test]
fn what_could_be_otherwise_is_left_to_user_space() -> Result<()> {
    let scratch = Scratch::new()?;
    let (_stays, comes) = two_of_a_name(&scratch, "tg-not-sure")?;
    let exact = comes.to_str().context("UTF-8")?;
    for flags in [
        // Patterns that only user space can evaluate, as an include and as an exclusion; one that excludes it for sure.
        &["--name", "tg-n[o]t-sure"][..],
        &["--name", "tg-not-sure", "--exclude-exe", "/nowhere/?"],
        &["--name", "tg-not-sure", "--exclude-exe", exact],
        &["--name", "tg-not-sure", "--exclude-container", "0123456789ab"],
    ] {
        let (profile, _) = record_stopped(&scratch, flags, || live(&comes))?;
        assert_eq!(profile.count_of("tg-not-sure"), 0, "{flags:?}");
    }
    Ok(())
}

/// Ticks that were rejected and that were on undecided processes, while a program of that name lived and the agent, with a
/// rule on names, was stopped.
fn ticks_of_a_life_unseen(rule: &str, name: &str) -> Result<(f64, f64)> {
    let scratch = Scratch::new()?;
    let program = scratch.install(Program::Short, name)?;
    let rules = format!("  target_process_names: ['{rule}']\n");
    let mut agent = Agent::start(&scratch, &AgentSettings { rules: &rules, ..AgentSettings::default() })?;
    let pid = agent.running.pid();
    let ticks = |agent: &Agent| -> Result<(f64, f64)> {
        let metrics = agent.metrics()?;
        let of = |name| metrics.sum(name, &[]);
        Ok((of("telegen_profiler_samples_rejected_total")?, of("telegen_profiler_samples_undecided_total")?))
    };
    let before = ticks(&agent)?;
    agent.running.signal(Signal::STOP)?;
    until(LIMIT, "all threads to stop", || Ok(is_stopped(pid)?.then_some(())))?;
    let lived = live(&program);
    agent.running.signal(Signal::CONT)?;
    lived?;
    let after = ticks(&agent)?;
    Ok((after.0 - before.0, after.1 - before.1))
}

#[test]
fn a_program_that_nothing_can_select_is_left_out_before_anybody_has_looked() -> Result<()> {
    let due = 0.8 * 99.0 * CPU_MILLISECONDS.parse::<f64>()? / 1e3;
    let (rejected, undecided) = ticks_of_a_life_unseen("tg-another", "tg-left-out")?;
    assert!(rejected >= due && undecided <= 2.0, "{rejected} rejected, {undecided} undecided");
    let (_, undecided) = ticks_of_a_life_unseen("tg-[a]nother", "tg-left-out")?;
    assert!(undecided >= due, "{undecided} undecided: what user space alone can tell is left to it");
    Ok(())
}

/// Where a hierarchy can be mounted, by its controllers as `/proc/PID/cgroup` names them: one without any is called by its name,
/// that of version 2 has neither.
fn roots_of(controllers: &str) -> [String; 2] {
    let directory = match controllers.strip_prefix("name=").unwrap_or(controllers) {
        "" => "unified",
        named => named,
    };
    [format!("/sys/fs/cgroup/{directory}"), "/sys/fs/cgroup".into()]
}

/// A shell that puts itself into the control groups of another process and becomes a program.
fn command_beside(pid: u32, program: &Path) -> Result<Command> {
    let mut script = String::new();
    for line in fs::read_to_string(format!("/proc/{pid}/cgroup"))?.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        for root in roots_of(controllers) {
            let procs = PathBuf::from(format!("{root}{path}/cgroup.procs"));
            if path != "/" && procs.exists() {
                script.push_str(&format!("echo $$ > {}; ", procs.display()));
            }
        }
    }
    anyhow::ensure!(!script.is_empty(), "process {pid} is in no control group");
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{script} exec \"$@\""), "sh"]).arg(program).arg(CPU_MILLISECONDS);
    Ok(command)
}

#[test]
fn who_comes_into_a_container_that_is_a_target_is_one() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let container = Container::start(&scratch, Program::BurnStatic, "tg-whole", &[])?;
    let comes = scratch.install(Program::Short, "tg-comes-in")?;
    let (profile, cpu_seconds) = record_stopped(&scratch, &["--container", &container.id()[..12]], || {
        let outcome = run(&mut command_beside(container.pid(), &comes)?, LIMIT)?.expect_code(0)?;
        reported(&outcome.stdout, "total")
    })?;
    let (samples, expected) = (profile.count_of("tg-comes-in") as f64, cpu_seconds * 99.0);
    assert!(samples >= expected * 0.8 - 1.0, "{samples} of {expected:.0} samples");
    assert_eq!(profile.label_values("container.id"), [container.id()].into());
    Ok(())
}

/// A control group of version 2, of a container that nobody runs; removed when dropped.
struct Group(PathBuf);

impl Group {
    /// Below where version 2 is mounted, alone or beside version 1; `None` if it is not.
    fn of_container(id: &str) -> Result<Option<Self>> {
        let is_root = |root: &&&str| Path::new(root).join("cgroup.controllers").exists();
        let Some(root) = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].iter().find(is_root) else {
            return Ok(None);
        };
        let group = Path::new(root).join(format!("tg-e2e-{}", std::process::id())).join(id);
        fs::create_dir_all(&group)?;
        Ok(Some(Self(group)))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        for group in self.0.ancestors().take(2) {
            // One that somebody is still in stays, and is seen by whoever looks.
            let _ = fs::remove_dir(group);
        }
    }
}

/// A shell that leaves the control groups that count before those of version 2, joins one of these if it is to, and becomes a program.
///
/// Only who is at the root of these is in a container of version 2.
fn at_roots(group: Option<&Path>) -> Command {
    let roots = ["memory", "pids", "cpu"].map(|controller| Path::new("/sys/fs/cgroup").join(controller));
    let mut script = String::new();
    for group in roots.iter().map(PathBuf::as_path).chain(group) {
        let procs = group.join("cgroup.procs");
        if procs.exists() {
            script.push_str(&format!("echo $$ > {}; ", procs.display()));
        }
    }
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{script} exec \"$@\""), "sh"]);
    command
}

#[test]
fn who_is_born_in_a_container_is_a_target_from_the_first_tick_on() -> Result<()> {
    let id = "c10e3".repeat(13)[..64].to_owned();
    let Some(group) = Group::of_container(&id)? else { skip!("no control groups of version 2") };
    let scratch = Scratch::new()?;
    let resident = scratch.install(Program::Sleeper, "tg-born-before")?;
    let _resident = Running::spawn(at_roots(Some(&group.0)).arg(resident))?;
    let procs = group.0.join("cgroup.procs");
    until(LIMIT, "a process in the group", || Ok((!fs::read_to_string(&procs)?.is_empty()).then_some(())))?;
    let program = scratch.install(Program::IntoCgroup, "tg-born-in")?;
    let mut child = 0.0;
    let (profile, cpu_seconds) = record_stopped(&scratch, &["--container", &id[..12]], || {
        let mut command = at_roots(None);
        let command = command.arg(program).arg(&group.0).arg(CPU_MILLISECONDS);
        let outcome = run(command, LIMIT)?.expect_code(0)?;
        child = reported(&outcome.stdout, "pid")?;
        reported(&outcome.stdout, "total")
    })?;
    let of_child = |sample: &Sample| sample.label("process.pid") == child.to_string();
    let (samples, expected) = (profile.count(of_child) as f64, cpu_seconds * 99.0);
    assert!(samples >= expected * 0.8 - 1.0, "{samples} of {expected:.0} samples");
    assert_eq!(profile.count_of("tg-born-in"), profile.count(of_child), "the parent is in no container");
    assert_eq!(profile.label_values("container.id"), [&*id].into());
    Ok(())
}

#[test]
fn who_leaves_a_container_is_decided_on_anew() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let container = Container::start(&scratch, Program::BurnStatic, "tg-left", &[])?;
    let _stays = Running::spawn(&mut command_beside(
        container.pid(),
        &scratch.install(Program::Burn, "tg-stays-in")?,
    )?)?;
    let id = &container.id()[..12];
    let output = scratch.join("left.pb.gz");
    let mut recording =
        Running::spawn(telegen(["record", "--container", id, "-d", "300s", "-o"])?.arg(&output))?;
    sleep(Duration::from_secs(3));
    let mut moved = 0;
    for line in fs::read_to_string(format!("/proc/{}/cgroup", container.pid()))?.lines() {
        let controllers = line.split(':').nth(1).unwrap_or_default();
        for root in roots_of(controllers) {
            // What hierarchies are mounted below has no such file, and shall not get one.
            let procs = fs::OpenOptions::new().write(true).open(format!("{root}/cgroup.procs"));
            let joined = procs.and_then(|mut procs| write!(procs, "{}", container.pid()));
            moved += usize::from(joined.is_ok());
        }
    }
    assert!(moved > 0, "there is no control group to go to");
    sleep(Duration::from_millis(500));
    let left = std::time::SystemTime::now();
    sleep(Duration::from_secs(2));
    let targets = run(&mut telegen(["targets", "--container", id, "-o", "json"])?, LIMIT)?.expect_code(0)?;
    assert!(!targets.stdout.contains(&format!("\"pid\":{},", container.pid())), "{targets}");
    recording.signal(Signal::INT)?;
    recording.wait(LIMIT)?.expect_code(0)?;
    let profile = Profile::read(&output)?;
    // It burnt all the time: had it been sampled to the end there would be as many again.
    let whole = profile.duration.as_secs_f64();
    let beside = left.duration_since(profile.start)?.as_secs_f64();
    let samples = profile.count(|sample| sample.label("process.pid") == container.pid().to_string()) as f64;
    let others = profile.count_of("tg-stays-in") as f64;
    assert!(samples > 0.0 && others > 0.0, "{samples} and {others}");
    let share = samples / others;
    assert!(
        share < (beside / whole + 1.0) / 2.0 + 0.1,
        "{samples} of it, {others} of who stayed: {beside:.1} s of {whole:.1} s"
    );
    Ok(())
}
