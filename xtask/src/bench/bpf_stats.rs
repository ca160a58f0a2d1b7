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
        let programs = bpftool("prog")?;
        let held = |program: &&serde_json::Value| {
            let holders = program["pids"].as_array();
            program["name"] == name
                && holders.is_none_or(|holders| holders.iter().any(|holder| holder["pid"] == pid))
        };
        // Where bpftool cannot tell holders, the newest is the one.
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

/// What the kernel holds for the maps that came after these.
pub(crate) fn map_bytes_besides(before: &[u64]) -> Result<u64> {
    let maps = bpftool("map")?;
    let new = maps.iter().filter(|map| !map["id"].as_u64().is_some_and(|id| before.contains(&id)));
    Ok(new.filter_map(|map| map["bytes_memlock"].as_u64()).sum())
}

/// The maps there are.
pub(crate) fn map_ids() -> Result<Vec<u64>> {
    Ok(bpftool("map")?.iter().filter_map(|map| map["id"].as_u64()).collect())
}

fn bpftool(kind: &str) -> Result<Vec<serde_json::Value>> {
    let output = Command::new("bpftool").args(["-j", kind, "show"]).output().context("cannot run bpftool")?;
    Ok(serde_json::from_slice(&output.stdout)?)
}
