//! Whose samples are in a profile, and in which function each was taken, by the word of Go's own reader.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The samples of a process.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Samples {
    pub(crate) all: u64,
    /// Those whose leaf has a function's name.
    pub(crate) named: u64,
    /// Those whose leaf is the function that was asked for.
    pub(crate) in_function: u64,
}

/// The samples in some profiles, by pid.
pub(crate) fn by_pid(profiles: &[PathBuf], function: &str) -> Result<BTreeMap<u32, Samples>> {
    let mut found = BTreeMap::new();
    for profile in profiles {
        take(&traces(profile)?, function, &mut found).with_context(|| format!("in {}", profile.display()))?;
    }
    Ok(found)
}

fn traces(profile: &Path) -> Result<String> {
    let mut command = Command::new("go");
    command.args(["tool", "pprof", "-symbolize=none", "-sample_index=samples", "-traces"]).arg(profile);
    let output = command.output().context("cannot run go tool pprof")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Each trace stands below a line: labels, then the leaf behind a number, then its callers.
fn take(traces: &str, function: &str, found: &mut BTreeMap<u32, Samples>) -> Result<()> {
    for trace in traces.split("-----------+").skip(1) {
        let mut lines = trace.lines().skip(1).map(str::trim);
        let Some(pid) = lines.find_map(|line| line.strip_prefix("process.pid:")) else { continue };
        let pid = pid.trim().parse().with_context(|| format!("a process {pid:?}"))?;
        // Labels of other keys may still come.
        let leaf = lines.find_map(|line| {
            let (count, leaf) = line.split_once(' ')?;
            Some((count.parse::<u64>().ok()?, leaf.trim()))
        });
        let (count, leaf) = leaf.with_context(|| format!("a trace of process {pid} without a leaf"))?;
        let samples: &mut Samples = found.entry(pid).or_default();
        samples.all += count;
        samples.named += if is_name(leaf) { count } else { 0 };
        samples.in_function += if leaf == function { count } else { 0 };
    }
    Ok(())
}

/// Addresses without a name are shown as `[module+0x…]` or as they are.
fn is_name(leaf: &str) -> bool {
    !leaf.is_empty() && !leaf.starts_with(['[', '<']) && !leaf.starts_with("0x")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_told_by_process_and_leaf() {
        let text = "File: x\nType: samples\n\
                    -----------+-------\n    target:  default\n thread.id:  7\nprocess.pid:  7\n         3   spin\n             main\n\
                    -----------+-------\n thread.id:  7\nprocess.pid:  7\n         1   [x+0xbe1]\n             main\n\
                    -----------+-------\nprocess.pid:  8\n thread.id:  9\n         2   do_exit [kernel]\n\
                    -----------+-------\n";
        let mut found = BTreeMap::new();
        take(text, "spin", &mut found).unwrap();
        let expected = [
            (7, Samples { all: 4, named: 3, in_function: 3 }),
            (8, Samples { all: 2, named: 2, in_function: 0 }),
        ];
        assert_eq!(found, BTreeMap::from(expected));
        assert!(take("-----------+\nprocess.pid:  8\n", "spin", &mut found).is_err());
    }
}
