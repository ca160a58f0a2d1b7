//! Faults that profilers before this one had with the choice of processes: each is tried as its users met it.

use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, SystemTime};
use telegen_e2e::accuracy::assert_sample_count;
use telegen_e2e::{Agent, AgentSettings, CpuMeter, Profile, Program, Running, Scratch, until};

const LIMIT: Duration = Duration::from_secs(120);

fn start(scratch: &Scratch, rules: &str) -> Result<Agent> {
    Agent::start(scratch, &AgentSettings { interval: "1s", rules, ..AgentSettings::default() })
}

/// How many processes the agent profiles.
fn matched(agent: &Agent) -> Result<u64> {
    let list: Value = serde_json::from_str(&agent.ask("/api/v1/targets")?.body)?;
    list["matched"].as_u64().with_context(|| format!("no number of targets: {list}"))
}

/// Samples by the pids that they carry.
fn samples_by_pid(profiles: &[Profile]) -> BTreeMap<u32, u64> {
    let mut counts = BTreeMap::new();
    for sample in profiles.iter().flat_map(|profile| &profile.samples) {
        if let Ok(pid) = sample.label("process.pid").parse() {
            *counts.entry(pid).or_default() += sample.count;
        }
    }
    counts
}

fn of(running: &Running, profiles: &[Profile]) -> u64 {
    samples_by_pid(profiles).get(&running.pid()).copied().unwrap_or(0)
}

/// Replaces the configuration and waits until it is in force; the moment since when it surely is.
fn reload(agent: &Agent, scratch: &Scratch, edit: impl Fn(&str) -> String) -> Result<SystemTime> {
    let reloads = || agent.metrics()?.sum("telegen_profiler_config_reloads_total", &[]);
    let before = reloads().unwrap_or(0.0);
    let file = scratch.join("agent.yaml");
    let new = scratch.write("agent.yaml.new", &edit(&fs::read_to_string(&file)?))?;
    fs::rename(new, file).context("cannot replace the configuration")?;
    until(LIMIT, "the reload", || Ok((reloads().unwrap_or(0.0) > before).then(SystemTime::now)))
}

/// The profiles of whole windows after a moment, as soon as there are some in which `running` has samples.
fn profiles_after(agent: &Agent, moment: SystemTime, running: &Running) -> Result<Vec<Profile>> {
    let after = |all: &[Profile]| -> Vec<Profile> {
        all.iter().filter(|profile| profile.start > moment).cloned().collect()
    };
    Ok(after(&agent.wait_for_profiles("later profiles", |all| of(running, &after(all)) > 0)?))
}

/// A pid that nobody has, and that the kernel will not give to somebody soon.
fn absent_pid() -> Result<u32> {
    let mut gone = Running::spawn(&mut Command::new("true"))?;
    let pid = gone.pid();
    gone.wait(LIMIT)?;
    Ok(pid)
}

#[test]
fn an_exclusion_alone_selects_all_the_rest() -> Result<()> {
    let scratch = Scratch::new()?;
    let out = scratch.start(Program::Burn, "tg-fault-out", &[])?;
    let rest = scratch.start(Program::Burn, "tg-fault-rest", &[])?;
    let mut agent = start(&scratch, "  exclude_process_names: [tg-fault-out]\n")?;
    agent.wait_for_profiles("samples of the rest", |all| of(&rest, all) > 0)?;
    let late = scratch.start(Program::Burn, "tg-fault-late", &[])?;
    let profiles = agent.wait_for_profiles("samples of who comes later", |all| of(&late, all) > 0)?;
    assert_eq!(of(&out, &profiles), 0);
    agent.terminate()?;
    Ok(())
}

#[test]
fn a_listed_pid_that_is_absent_selects_nobody_else() -> Result<()> {
    let scratch = Scratch::new()?;
    let burner = scratch.start(Program::Burn, "tg-fault-absent", &[])?;
    let mut agent = start(&scratch, &format!("  target_pids: [{}]\n", absent_pid()?))?;
    sleep(Duration::from_secs(3));
    assert_eq!(matched(&agent)?, 0);
    let moment = reload(&agent, &scratch, |text| {
        text.replace("target_pids", "target_process_names: [tg-none]\n  target_pids")
    })?;
    sleep(Duration::from_secs(2));
    assert_eq!(matched(&agent)?, 0, "nor beside another rule");
    assert_eq!(samples_by_pid(&agent.profiles()?), BTreeMap::new());
    // That nothing was sampled is owed to the rules, and not to an agent that samples nobody.
    let pid = burner.pid().to_string();
    reload(&agent, &scratch, |text| text.replace("target_pids: [", &format!("target_pids: [{pid}, ")))?;
    let profiles = profiles_after(&agent, moment, &burner)?;
    assert_eq!(samples_by_pid(&profiles).into_keys().collect::<Vec<_>>(), [burner.pid()]);
    agent.terminate()?;
    Ok(())
}

/// So many at once are more than a table of 1,024 holds.
const CROWD: usize = 1_100;
const CROWD_MILLISECONDS: u64 = 30;
const CROWD_HZ: f64 = 499.0;

/// All children of a crowd, selected by rules that are made of their pids, must be sampled.
fn assert_crowd_is_captured(name: &str, rules: impl Fn(&BTreeSet<u32>) -> String) -> Result<()> {
    let scratch = Scratch::new()?;
    let gate = scratch.text("gate");
    let arguments = [CROWD.to_string(), CROWD_MILLISECONDS.to_string(), gate];
    // Beside so many that are busy nobody else would come to anything.
    let mut command = Command::new("nice");
    command.args(["-n", "19"]).arg(scratch.install(Program::Crowd, name)?).args(&arguments);
    let mut crowd = Running::spawn(&mut command)?;
    let said =
        until(LIMIT, "a crowd", || Ok(Some(crowd.stdout()?).filter(|said| said.ends_with("ready\n"))))?;
    let pids: BTreeSet<u32> = said.lines().filter_map(|line| line.parse().ok()).collect();
    assert_eq!(pids.len(), CROWD);
    let mut agent = start(&scratch, &format!("  cpu: {{sample_rate: {CROWD_HZ}}}\n{}", rules(&pids)))?;
    until(LIMIT, "all to be targets at a time", || Ok((matched(&agent)? >= CROWD as u64).then_some(())))?;
    scratch.write("gate", "")?;
    let outcome = crowd.wait(LIMIT)?.expect_code(0)?;
    assert!(outcome.stdout.ends_with("done\n"), "{outcome}");
    let expected = CROWD as f64 * CROWD_MILLISECONDS as f64 / 1e3 * CROWD_HZ;
    until(LIMIT, &format!("what has become of {expected} samples"), || {
        let metrics = agent.metrics()?;
        let of = |outcome| metrics.sum("telegen_profiler_samples_total", &[("outcome", outcome)]);
        let known = of("exported")? + of("ring_full")? + of("exiting")?;
        Ok((known >= expected * 0.95).then_some(()))
    })?;
    agent.terminate()?;
    let counts = samples_by_pid(&agent.profiles()?);
    let missing: Vec<&u32> = pids.iter().filter(|pid| !counts.contains_key(pid)).collect();
    assert!(missing.is_empty(), "no sample of {} processes: {missing:?}", missing.len());
    let others: Vec<&u32> =
        counts.keys().filter(|&&pid| !pids.contains(&pid) && pid != crowd.pid()).collect();
    assert!(others.is_empty(), "samples of processes that nobody has selected: {others:?}");
    Ok(())
}

#[test]
fn more_than_1024_targets_by_name_are_all_captured() -> Result<()> {
    assert_crowd_is_captured("tg-fault-crowd", |_| "  target_process_names: [tg-fault-crowd]\n".to_owned())
}

#[test]
fn more_than_1024_listed_pids_are_all_captured() -> Result<()> {
    assert_crowd_is_captured("tg-fault-listed", |pids| {
        let list: Vec<u32> = pids.iter().copied().collect();
        format!("  target_pids: {list:?}\n")
    })
}

#[test]
fn a_pid_taken_out_of_the_list_is_no_longer_profiled() -> Result<()> {
    let scratch = Scratch::new()?;
    let names = ["tg-fault-first", "tg-fault-second"];
    let [first, second] = names.map(|name| scratch.start(Program::Burn, name, &[]));
    let (first, second) = (first?, second?);
    let mut agent = start(&scratch, &format!("  target_pids: [{}, {}]\n", first.pid(), second.pid()))?;
    agent.wait_for_profiles("samples of both", |all| of(&first, all) > 0 && of(&second, all) > 0)?;
    let meter = CpuMeter::start(first.pid());
    // The first of the list: that is the one that stuck.
    let revoked = reload(&agent, &scratch, |text| text.replace(&format!("[{}, ", first.pid()), "["))?;
    let profiles = profiles_after(&agent, revoked, &second)?;
    assert_eq!(of(&first, &profiles), 0);
    assert_eq!(matched(&agent)?, 1);
    sleep(Duration::from_millis(100));
    assert!(meter.between(profiles[0].start, profiles[0].end())? > 0.0, "it was to burn on");
    // And the last of it, in favour of a rule that matches nobody: no pid is left, which is not no rule.
    let second_rule = format!("target_pids: [{}]", second.pid());
    let revoked =
        reload(&agent, &scratch, |text| text.replace(&second_rule, "target_process_names: [tg-none]"))?;
    sleep(Duration::from_secs(3));
    assert_eq!(matched(&agent)?, 0);
    agent.terminate()?;
    let late: Vec<Profile> =
        agent.profiles()?.into_iter().filter(|profile| profile.start > revoked).collect();
    assert_eq!(samples_by_pid(&late), BTreeMap::new());
    Ok(())
}

/// A process whose leader sleeps while one other thread burns, and that thread's id.
fn burning_thread(scratch: &Scratch, name: &str) -> Result<(Running, u32)> {
    let running = scratch.start(Program::Burn, name, &["--threads", "1"])?;
    let thread = until(LIMIT, "the thread", || {
        let tasks = fs::read_dir(format!("/proc/{}/task", running.pid()))?;
        let ids = tasks.filter_map(|task| task.ok()?.file_name().to_str()?.parse().ok());
        Ok(ids.filter(|&id: &u32| id != running.pid()).max())
    })?;
    Ok((running, thread))
}

#[test]
fn a_thread_that_is_no_leader_is_sampled_as_its_processs() -> Result<()> {
    let scratch = Scratch::new()?;
    let (burner, thread) = burning_thread(&scratch, "tg-fault-thread")?;
    let (_other, _) = burning_thread(&scratch, "tg-fault-thr-not")?;
    let meter = CpuMeter::start(burner.pid());
    let rules = format!("  target_pids: [{}]\n", burner.pid());
    let settings = AgentSettings { interval: "5s", rules: &rules, ..AgentSettings::default() };
    let mut agent = Agent::start(&scratch, &settings)?;
    let whole = |profile: &Profile| profile.duration > Duration::from_secs(4);
    let profiles = agent.wait_for_profiles("a whole window", |all| all.iter().any(whole))?;
    let profile = profiles.iter().find(|profile| whole(profile)).context("a whole window")?;
    assert_eq!(profile.label_values("process.pid"), [&*burner.pid().to_string()].into());
    assert_eq!(profile.label_values("thread.id"), [&*thread.to_string()].into());
    assert_sample_count(profile.total(), meter.between(profile.start, profile.end())?, 99.0);
    agent.terminate()?;
    Ok(())
}

#[test]
fn the_id_of_a_thread_is_no_pid() -> Result<()> {
    let scratch = Scratch::new()?;
    let (burner, thread) = burning_thread(&scratch, "tg-fault-tid")?;
    // The kernel has a directory for it, which no listing of /proc shows.
    assert!(fs::exists(format!("/proc/{thread}/stat"))?);
    let mut agent = start(&scratch, &format!("  target_pids: [{thread}]\n"))?;
    sleep(Duration::from_secs(3));
    assert_eq!(matched(&agent)?, 0);
    let samples = samples_by_pid(&agent.profiles()?);
    assert_eq!(samples, BTreeMap::new(), "thread {thread} of process {}", burner.pid());
    agent.terminate()?;
    Ok(())
}
