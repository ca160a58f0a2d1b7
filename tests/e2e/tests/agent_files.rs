//! The profiles that an agent writes into `export.files.directory`.

use anyhow::{Result, ensure};
use std::collections::BTreeSet;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};
use telegen_e2e::{Agent, AgentSettings, Profile, Program, Scratch, record_files};

#[test]
fn one_profile_is_written_for_each_interval() -> Result<()> {
    let scratch = Scratch::new()?;
    let _burner = scratch.start(Program::Burn, "tg-agent-files", &[])?;
    let _other = scratch.start(Program::Burn, "tg-agent-not", &[])?;
    let rules = "  target_process_names: [tg-agent-files]\n";
    let agent = Agent::start(&scratch, &AgentSettings { interval: "3s", rules, ..AgentSettings::default() })?;
    let profiles = agent.wait_for_profiles("four profiles", |all| all.len() >= 4)?;
    for pair in profiles.windows(2) {
        let gap = pair[1].start.duration_since(pair[0].end()).map_or(-1.0, |gap| gap.as_secs_f64());
        let overlap =
            pair[0].end().duration_since(pair[1].start).map_or(0.0, |overlap| overlap.as_secs_f64());
        assert!(overlap < 0.1 && gap < 0.5, "profiles follow each other: {:?}", windows(pair));
    }
    for profile in &profiles[1..] {
        assert!((2.5..4.0).contains(&profile.duration.as_secs_f64()), "{:?}", profile.duration);
        assert!(profile.count_with("tg_half") > 0);
        assert_eq!(profile.label_values("process.executable.name"), ["tg-agent-files"].into());
    }
    Ok(())
}

fn windows(profiles: &[Profile]) -> Vec<(SystemTime, Duration)> {
    profiles.iter().map(|profile| (profile.start, profile.duration)).collect()
}

#[test]
fn the_directory_never_holds_more_than_its_bound_and_keeps_the_newest() -> Result<()> {
    const BOUND: u64 = 16 << 10;
    let scratch = Scratch::new()?;
    let _burner = scratch.start(Program::Burn, "tg-agent-bound", &["--threads", "4"])?;
    let rules = "  target_process_names: [tg-agent-bound]\n";
    let agent =
        Agent::start(&scratch, &AgentSettings { interval: "1s", max_size: "16KiB", rules, server: "" })?;
    let mut seen = BTreeSet::new();
    let begin = Instant::now();
    loop {
        let names = record_files(agent.directory())?;
        // A file may go between the two looks.
        let sizes = names.iter().filter_map(|name| fs::metadata(agent.directory().join(name)).ok());
        let total: u64 = sizes.map(|metadata| metadata.len()).sum();
        ensure!(total <= BOUND, "{total} bytes in {names:?}");
        seen.extend(names.iter().filter(|name| name.ends_with(".pb.gz")).cloned());
        let gone = seen.iter().filter(|name| !names.contains(name)).count();
        if gone >= 3 {
            break;
        }
        ensure!(begin.elapsed() < Duration::from_secs(120), "nothing was ever removed: {names:?}");
        sleep(Duration::from_millis(20));
    }
    let mut removed = seen.clone();
    let left: BTreeSet<String> = record_files(agent.directory())?.into_iter().collect();
    removed.retain(|name| !left.contains(name));
    // Names carry the time, so that they sort by it.
    let oldest_left = left.iter().find(|name| name.ends_with(".pb.gz"));
    assert!(removed.iter().max() < oldest_left, "removed {removed:?}, left {left:?}");
    Ok(())
}

#[test]
fn a_profile_that_can_be_seen_is_whole() -> Result<()> {
    let scratch = Scratch::new()?;
    let _burner = scratch.start(Program::Burn, "tg-agent-whole", &[])?;
    let rules = "  target_process_names: [tg-agent-whole]\n";
    let agent = Agent::start(&scratch, &AgentSettings { interval: "1s", rules, ..AgentSettings::default() })?;
    let begin = Instant::now();
    let mut read = BTreeSet::new();
    while begin.elapsed() < Duration::from_secs(10) {
        for name in record_files(agent.directory())?.into_iter().filter(|name| name.ends_with(".pb.gz")) {
            if read.insert(name.clone()) {
                Profile::read(&agent.directory().join(&name))?;
            }
        }
        sleep(Duration::from_millis(1));
    }
    assert!(read.len() >= 5, "{read:?}");
    Ok(())
}

#[test]
fn an_idle_target_costs_no_agent_its_life() -> Result<()> {
    let scratch = Scratch::new()?;
    let _sleeper = scratch.start(Program::Sleeper, "tg-agent-sleeps", &[])?;
    let rules = "  target_process_names: [tg-agent-sleeps]\n";
    let mut agent =
        Agent::start(&scratch, &AgentSettings { interval: "1s", rules, ..AgentSettings::default() })?;
    sleep(Duration::from_secs(4));
    assert!(agent.running.is_running()?);
    assert_eq!(agent.profiles()?.iter().map(Profile::total).sum::<u64>(), 0);
    agent.terminate()?;
    Ok(())
}
