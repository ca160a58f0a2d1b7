//! What the kernel itself counts of BPF programs.

use anyhow::{Context, Result};
use std::fs;
use std::process::Command;

/// Lets the kernel count the run time of BPF programs while this lives.
pub(crate) struct BpfStats(String);

const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// How long a program has run, and how often.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Runs {
    time_ns: u64,
    count: u64,
}

impl BpfStats {
    pub(crate) fn enable() -> Result<Self> {
        let before = fs::read_to_string(SWITCH).context("no BPF statistics here")?;
        fs::write(SWITCH, "1")?;
        Ok(Self(before))
    }

    /// The program of that name that the process holds.
    pub(crate) fn program(&self, pid: u32, name: &str) -> Result<Runs> {
        let programs = bpftool(&["prog", "show"])?;
        let held = |program: &&serde_json::Value| program["name"] == name && is_held(program, pid);
        let program = programs.iter().rfind(held);
        let program = program.with_context(|| format!("there is no program {name}"))?;
        let count = |key: &str| program[key].as_u64().unwrap_or(0);
        Ok(Runs { time_ns: count("run_time_ns"), count: count("run_cnt") })
    }
}

impl Drop for BpfStats {
    fn drop(&mut self) {
        // Left on they cost a little, and that is all.
        let _ = fs::write(SWITCH, self.0.trim());
    }
}

impl Runs {
    /// Nanoseconds of a run since then.
    pub(crate) fn mean_since(self, before: Self) -> f64 {
        (self.time_ns - before.time_ns) as f64 / (self.count - before.count).max(1) as f64
    }
}

/// What the kernel holds for the map of that name that the process has.
pub(crate) fn map_bytes(pid: u32, name: &str) -> Result<u64> {
    map_of(pid, name)?["bytes_memlock"].as_u64().context("the kernel does not tell what a map takes")
}

/// The keys of that map, which must be numbers of 32 bits.
pub(crate) fn map_keys(pid: u32, name: &str) -> Result<Vec<u64>> {
    let id = map_of(pid, name)?["id"].to_string();
    let entries = bpftool(&["map", "dump", "id", &id])?;
    let key = |entry: &serde_json::Value| entry["formatted"]["key"].as_u64();
    entries.iter().map(|entry| key(entry).with_context(|| format!("an entry of {name}: {entry}"))).collect()
}

fn map_of(pid: u32, name: &str) -> Result<serde_json::Value> {
    let held = |map: &serde_json::Value| map["name"] == name && is_held(map, pid);
    bpftool(&["map", "show"])?.into_iter().rfind(held).with_context(|| format!("there is no map {name}"))
}

/// Where bpftool cannot tell holders, the newest is the one.
fn is_held(object: &serde_json::Value, pid: u32) -> bool {
    let holders = object["pids"].as_array();
    holders.is_none_or(|holders| holders.iter().any(|holder| holder["pid"] == pid))
}

/// What the kernel holds for the maps that came after these.
pub(crate) fn map_bytes_besides(before: &[u64]) -> Result<u64> {
    let maps = bpftool(&["map", "show"])?;
    let new = maps.iter().filter(|map| !map["id"].as_u64().is_some_and(|id| before.contains(&id)));
    Ok(new.filter_map(|map| map["bytes_memlock"].as_u64()).sum())
}

/// The maps there are.
pub(crate) fn map_ids() -> Result<Vec<u64>> {
    Ok(bpftool(&["map", "show"])?.iter().filter_map(|map| map["id"].as_u64()).collect())
}

fn bpftool(arguments: &[&str]) -> Result<Vec<serde_json::Value>> {
    let output = Command::new("bpftool").arg("-j").args(arguments).output().context("cannot run bpftool")?;
    serde_json::from_slice(&output.stdout).with_context(|| {
        format!("bpftool {}: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr))
    })
}
