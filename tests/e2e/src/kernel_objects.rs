//! What is loaded into the kernel, as `bpftool` lists it.

use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

/// The programs, maps and links of BPF, by kind and id. Ids are handed out in a circle and not used again soon.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KernelObjects {
    ids: BTreeMap<&'static str, BTreeSet<u64>>,
}

const KINDS: [&str; 3] = ["prog", "map", "link"];

impl KernelObjects {
    /// All that are loaded now.
    ///
    /// # Errors
    ///
    /// If `bpftool` cannot be run.
    pub fn all() -> Result<Self> {
        let mut objects = Self::default();
        for kind in KINDS {
            objects.ids.insert(kind, list(kind)?.iter().filter_map(|object| object["id"].as_u64()).collect());
        }
        Ok(objects)
    }

    /// Those that a process holds open, by `/proc/PID/fdinfo`. Other processes of the machine may load programs at any
    /// time, so that only these can be told to be telegen's.
    ///
    /// # Errors
    ///
    /// If the process is gone.
    pub fn of_process(pid: u32) -> Result<Self> {
        let mut objects = Self::default();
        let directory = format!("/proc/{pid}/fdinfo");
        for entry in fs::read_dir(&directory).with_context(|| format!("cannot list {directory}"))? {
            let Ok(information) = fs::read_to_string(entry?.path()) else { continue };
            for (kind, id) in information.lines().filter_map(object_id) {
                objects.ids.entry(kind).or_default().insert(id);
            }
        }
        Ok(objects)
    }

    /// How many of a kind (`prog`, `map`, `link`).
    pub fn count(&self, kind: &str) -> usize {
        self.ids.get(kind).map_or(0, BTreeSet::len)
    }

    /// The map of a name among them, and its id.
    ///
    /// # Errors
    ///
    /// If there is none, or `bpftool` cannot be run.
    pub fn map(&self, name: &str) -> Result<u64> {
        let own = |id: &u64| self.ids.get("map").is_some_and(|ids| ids.contains(id));
        let found = list("map")?.into_iter().filter(|map| map["name"] == name);
        let found = found.filter_map(|map| map["id"].as_u64()).find(own);
        found.with_context(|| format!("there is no map {name}"))
    }

    /// Those of these that are still among others.
    pub fn still_in(&self, others: &Self) -> Self {
        let remaining = self.ids.iter().map(|(kind, ids)| {
            let still = others.ids.get(kind).map(|there| ids & there).unwrap_or_default();
            (*kind, still)
        });
        Self { ids: remaining.collect() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ids.values().all(BTreeSet::is_empty)
    }
}

/// `prog_id: 12`, with a tab.
fn object_id(line: &str) -> Option<(&'static str, u64)> {
    let (key, value) = line.split_once(':')?;
    let kind = key.strip_suffix("_id")?;
    let kind = KINDS.into_iter().find(|known| *known == kind)?;
    Some((kind, value.trim().parse().ok()?))
}

fn list(kind: &str) -> Result<Vec<serde_json::Value>> {
    let output = Command::new("bpftool").args(["-j", kind, "list"]).output().context("cannot run bpftool")?;
    if !output.status.success() {
        bail!("bpftool {kind} list: {}", String::from_utf8_lossy(&output.stderr));
    }
    // With nothing loaded, some versions print nothing at all.
    if output.stdout.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("bpftool {kind} list is not a list"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_from_fdinfo() {
        assert_eq!(object_id("prog_id:\t12"), Some(("prog", 12)));
        assert_eq!(object_id("btf_id:\t12"), None);
        assert_eq!(object_id("mnt_id:\t12"), None);
        assert_eq!(object_id("map_type:\t2"), None);
    }

    #[test]
    fn what_remains_is_what_both_have() {
        let of = |ids: [u64; 2]| KernelObjects { ids: [("prog", ids.into())].into() };
        assert!(of([1, 2]).still_in(&of([3, 4])).is_empty());
        assert_eq!(of([1, 2]).still_in(&of([2, 3])).count("prog"), 1);
    }
}
