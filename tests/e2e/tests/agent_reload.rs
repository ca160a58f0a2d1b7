//! Changes of the configuration while the agent runs.

use anyhow::{Context, Result};
use rustix::process::Signal;
use std::fs;
use std::time::{Duration, SystemTime};
use telegen_e2e::accuracy::assert_sample_count_beside;
use telegen_e2e::{Agent, AgentSettings, CpuMeter, KernelObjects, Program, Running, Scratch, until};

const LIMIT: Duration = Duration::from_secs(60);
const RELOADED: &str = "telegen_profiler_config_last_reload_successful";

/// In the order in which things are to end: the agent before the directory that it writes to.
struct Subject {
    agent: Agent,
    _burners: [Running; 2],
    scratch: Scratch,
}

impl Subject {
    /// An agent that profiles the first of two burners: `<name>-a`.
    fn start(name: &str) -> Result<Self> {
        let scratch = Scratch::new()?;
        let (a, b) = (format!("{name}-a"), format!("{name}-b"));
        let burners = [scratch.start(Program::Burn, &a, &[])?, scratch.start(Program::Burn, &b, &[])?];
        let rules = format!("  target_process_names: [{a}]\n");
        let agent = Agent::start(
            &scratch,
            &AgentSettings { interval: "1s", rules: &rules, ..AgentSettings::default() },
        )?;
        agent.wait_for_profiles("samples of the first", |all| all.iter().any(|p| p.count_of(&a) > 0))?;
        Ok(Self { agent, _burners: burners, scratch })
    }

    /// Replaces the file as editors and config maps do: whole, by renaming.
    fn rewrite(&self, edit: impl Fn(&str) -> String) -> Result<()> {
        let file = self.scratch.join("agent.yaml");
        let new = self.scratch.write("agent.yaml.new", &edit(&fs::read_to_string(&file)?))?;
        fs::rename(new, file).context("cannot replace the configuration")
    }

    /// Waits for a profile that began after now and has samples of `in_it` and none of `not_in_it`.
    fn wait_for(&self, in_it: &str, not_in_it: &str) -> Result<()> {
        let now = SystemTime::now();
        let what = format!("profiles of {in_it} without {not_in_it}");
        self.agent.wait_for_profiles(&what, |all| {
            all.iter().any(|p| p.start > now && p.count_of(in_it) > 0 && p.count_of(not_in_it) == 0)
        })?;
        Ok(())
    }
}

#[test]
fn a_changed_file_changes_the_selection() -> Result<()> {
    let subject = Subject::start("tg-reload")?;
    subject.rewrite(|text| text.replace("[tg-reload-a]", "[tg-reload-b]"))?;
    subject.wait_for("tg-reload-b", "tg-reload-a")?;
    let log = subject.agent.log()?;
    assert!(log.contains("summary=\"Active filters: ProcessNames=[tg-reload-b]\""), "{log}");
    let metrics = subject.agent.metrics()?;
    assert!(metrics.sum("telegen_profiler_config_reloads_total", &[])? >= 1.0);
    assert_eq!(metrics.sum(RELOADED, &[])?, 1.0);
    Ok(())
}

#[test]
fn sighup_reloads() -> Result<()> {
    let mut subject = Subject::start("tg-hup")?;
    let before = subject.agent.metrics()?.sum("telegen_profiler_config_reloads_total", &[]).unwrap_or(0.0);
    subject.agent.running.signal(Signal::HUP)?;
    until(LIMIT, "the reload to be counted", || {
        let reloads =
            subject.agent.metrics()?.sum("telegen_profiler_config_reloads_total", &[]).unwrap_or(0.0);
        Ok((reloads > before).then_some(()))
    })?;
    subject.wait_for("tg-hup-a", "tg-hup-b")
}

#[test]
fn the_last_good_configuration_keeps_running() -> Result<()> {
    let mut subject = Subject::start("tg-last-good")?;
    subject.rewrite(|text| format!("{text}  no_such_key: 1\n"))?;
    subject.agent.running.signal(Signal::HUP)?;
    until(LIMIT, "the failed reload to be shown", || {
        Ok((subject.agent.metrics()?.sum(RELOADED, &[])? == 0.0).then_some(()))
    })?;
    assert!(subject.agent.log()?.contains("no_such_key"), "{}", subject.agent.log()?);
    subject.wait_for("tg-last-good-a", "tg-last-good-b")?;
    subject.rewrite(|text| text.replace("  no_such_key: 1\n", ""))?;
    until(LIMIT, "the good reload to be shown", || {
        Ok((subject.agent.metrics()?.sum(RELOADED, &[])? == 1.0).then_some(()))
    })
}

#[test]
fn disabling_detaches_every_program_and_keeps_the_listener() -> Result<()> {
    let subject = Subject::start("tg-kill-switch")?;
    let loaded = KernelObjects::of_process(subject.agent.running.pid())?;
    assert!(loaded.count("link") > 0, "what is attached is held by links: {loaded:?}");
    subject.rewrite(|text| text.replacen("profiler:\n", "profiler:\n  enabled: false\n", 1))?;
    until(LIMIT, "the programs to be detached", || {
        Ok((loaded.still_in(&KernelObjects::all()?).count("link") == 0).then_some(()))
    })?;
    let detached = SystemTime::now();
    std::thread::sleep(Duration::from_secs(3));
    let late = subject.agent.profiles()?.into_iter().filter(|profile| profile.start > detached);
    assert_eq!(
        late.map(|profile| profile.total()).sum::<u64>(),
        0,
        "samples of a profiler that is switched off"
    );
    assert_eq!(subject.agent.get("/healthz")?.status, 200);
    subject.rewrite(|text| text.replacen("  enabled: false\n", "", 1))?;
    subject.wait_for("tg-kill-switch-a", "tg-kill-switch-b")
}

const RELOADS: &str = "telegen_profiler_config_reloads_total";

/// Rules that differ, and that all have the same in store for `tg-reload-stays`.
const SAME_FOR_ONE: [&str; 4] = [
    "  target_process_names: [tg-reload-stays]\n",
    "  target_process_names: [tg-reload-other, tg-reload-stays]\n",
    "  target_process_names: [\"tg-reload-*\"]\n  exclude_process_names: [tg-reload-other]\n",
    "  targets:\n    - name: other\n      process_names: [tg-reload-other]\n  target_process_names: [tg-reload-stays]\n",
];

#[test]
fn whom_a_reload_does_not_concern_it_costs_not_one_sample() -> Result<()> {
    const HZ: f64 = 499.0;
    let scratch = Scratch::new()?;
    let stays = scratch.start(Program::Burn, "tg-reload-stays", &[])?;
    let _other = scratch.start(Program::Burn, "tg-reload-other", &[])?;
    let meter = CpuMeter::start(stays.pid());
    let rate = format!("  cpu: {{sample_rate: {HZ}}}\n");
    let rules = format!("{rate}{}", SAME_FOR_ONE[0]);
    let mut agent =
        Agent::start(&scratch, &AgentSettings { interval: "5s", rules: &rules, ..AgentSettings::default() })?;
    let file = scratch.join("agent.yaml");
    let text = fs::read_to_string(&file)?;
    agent.wait_for_profiles("a first profile", |all| !all.is_empty())?;
    let begun = SystemTime::now();
    let reloads = || -> Result<f64> { Ok(agent.metrics()?.sum(RELOADS, &[]).unwrap_or(0.0)) };
    // Each loses what it may lose once more, so that a few milliseconds a time would be too many in the end.
    for nth in 1..=24 {
        let before = reloads()?;
        let new = scratch.write("agent.yaml.new", &text.replace(SAME_FOR_ONE[0], SAME_FOR_ONE[nth % 4]))?;
        fs::rename(new, &file)?;
        until(LIMIT, "the reload", || Ok((reloads()? > before).then_some(())))?;
    }
    let reloaded = SystemTime::now();
    let profiles = agent.wait_for_profiles("a profile after the last reload", |all| {
        all.iter().any(|profile| profile.start > reloaded && profile.count_of("tg-reload-stays") > 0)
    })?;
    let undelivered = agent.metrics()?.sum("telegen_profiler_samples_undelivered_estimate", &[])?;
    agent.terminate()?;
    let profiles: Vec<_> = profiles.into_iter().filter(|profile| profile.start > begun).collect();
    let (first, last) = (profiles.first().context("a profile")?, profiles.last().context("a profile")?);
    assert!(first.start < reloaded && last.start > reloaded, "reloads are to lie in between");
    // Of the whole time: what might be lost from one window to the next is missing, too.
    let cpu_seconds = meter.between(first.start, last.end())?;
    let samples = profiles.iter().map(|profile| profile.count_of("tg-reload-stays")).sum();
    assert_sample_count_beside(samples, undelivered as u64, cpu_seconds, HZ);
    assert!(profiles.iter().any(|profile| profile.count_of("tg-reload-other") > 0), "some concern the other");
    Ok(())
}
