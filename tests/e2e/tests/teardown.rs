//! What is held for a process is let go when it is a target no more.

use anyhow::{Result, ensure};
use std::fs;
use std::process::Command;
use std::time::Duration;
use telegen_e2e::{Agent, AgentSettings, KernelObjects, Program, Scratch, run, until};

const LIMIT: Duration = Duration::from_secs(60);
const LIVES: usize = 1_000;
const AT_A_TIME: usize = 20;

/// What an agent holds: descriptors, bytes of memory of its own, bytes of maps, images that can be unwound, targets.
#[derive(Debug)]
struct Held {
    descriptors: usize,
    memory: f64,
    maps: f64,
    images: f64,
    targets: f64,
}

fn held(agent: &Agent) -> Result<Held> {
    let pid = agent.running.pid();
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let memory = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let metrics = agent.metrics()?;
    Ok(Held {
        descriptors: fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
        memory: memory
            .and_then(|text| text.trim().trim_end_matches(" kB").trim().parse().ok())
            .unwrap_or(0.0),
        maps: metrics.sum("telegen_profiler_bpf_map_bytes", &[])?,
        images: metrics.sum("telegen_profiler_unwind_processes", &[])?,
        targets: metrics.sum("telegen_profiler_processes_matched", &[("filter", "enabled")])?,
    })
}

#[test]
fn a_thousand_processes_leave_nothing_behind() -> Result<()> {
    let scratch = Scratch::new()?;
    let settings = AgentSettings {
        interval: "1s",
        rules: "  target_process_names: [tg-passer-by]\n",
        ..AgentSettings::default()
    };
    let mut agent = Agent::start(&scratch, &settings)?;
    let passer_by = scratch.install(Program::Short, "tg-passer-by")?;
    let walk = |lives: usize| -> Result<()> {
        // So many at a time, each for some milliseconds of CPU time.
        let script = "for i in $(seq \"$2\"); do \"$1\" 5 & done; wait";
        for _ in 0..lives / AT_A_TIME {
            let mut command = Command::new("sh");
            command.args(["-c", script, "sh"]).arg(&passer_by).arg(AT_A_TIME.to_string());
            run(&mut command, LIMIT)?.expect_code(0)?;
        }
        Ok(())
    };
    let settled = || {
        until(LIMIT, "nobody to be left", || {
            let now = held(&agent)?;
            Ok((now.targets == 0.0 && now.images == 0.0).then_some(now))
        })
    };
    // The first ones bring symbols and tables that are meant to stay.
    walk(LIVES / 10)?;
    settled()?;
    std::thread::sleep(Duration::from_secs(3));
    let before = settled()?;
    walk(LIVES)?;
    settled()?;
    let after = until(LIMIT, "memory to return", || {
        let now = settled()?;
        let back = now.memory <= before.memory * 1.1 && now.descriptors <= before.descriptors;
        Ok(back.then_some(now))
    })?;
    assert!(after.maps <= before.maps * 1.01, "{after:?}, before it {before:?}");
    let samples: u64 = agent.profiles()?.iter().map(|profile| profile.count_of("tg-passer-by")).sum();
    assert!(samples > (LIVES / 10) as u64, "{samples} samples of {LIVES} lives");
    agent.terminate()?;
    Ok(())
}

/// `bpftool map` on an entry of the kernel's table.
fn on_entry(map: u64, what: &str, key: u32, entry: Option<&[u8]>) -> Result<String> {
    let mut command = Command::new("bpftool");
    command.args(["-j", "map", what, "id", &map.to_string(), "key"]);
    let in_decimal = |bytes: &[u8]| bytes.iter().map(u8::to_string).collect::<Vec<_>>();
    command.args(in_decimal(&key.to_ne_bytes()));
    if let Some(entry) = entry {
        command.arg("value").args(in_decimal(entry));
    }
    let output = command.output()?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Where the release of a process was not seen: nothing else brings that about at will.
#[test]
fn an_entry_that_is_left_over_is_deleted_by_a_scan() -> Result<()> {
    let scratch = Scratch::new()?;
    let agent = Agent::start(&scratch, &AgentSettings::default())?;
    let map = KernelObjects::of_process(agent.running.pid())?.map("tg_processes")?;
    let none = 0x3f_fff0;
    // The word says that its last thread has exited, or not; the pid is nobody's, or that of somebody who has yet to be waited for.
    let cases = [(none, 0x22, none), (none + 1, 0x02, none + 1), (none + 2, 0x22, std::process::id())];
    for (key, flags, pid) in cases {
        let mut entry = [0; 40];
        entry[..8].copy_from_slice(&(u64::from(key) << 16 | flags).to_ne_bytes());
        entry[16..20].copy_from_slice(&pid.to_ne_bytes());
        on_entry(map, "update", key, Some(&entry))?;
        ensure!(on_entry(map, "lookup", key, None)?.contains("value"), "{key:#x} is not there");
    }
    let is_there = |key: u32| Ok::<_, anyhow::Error>(on_entry(map, "lookup", key, None)?.contains("value"));
    until(Duration::from_secs(100), "the entry to go", || Ok((!is_there(none)?).then_some(())))?;
    assert!(is_there(none + 1)? && is_there(none + 2)?, "they may be alive");
    let deleted = agent.metrics()?.sum("telegen_profiler_process_entries_left_over_total", &[])?;
    assert!(deleted >= 1.0, "{deleted}");
    Ok(())
}
