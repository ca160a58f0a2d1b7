//! Stacks as `perf` has them: it copies the stack's memory at each tick, and unwinds later with a library of its own.

use crate::{Scratch, run};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

/// The most of a stack that `perf` copies.
const CALL_GRAPH: &str = "dwarf,65528";

/// A user stack, the names of its functions leaf first, and how often it was seen.
pub type PerfStacks = BTreeMap<Vec<String>, u64>;

/// Whether `perf` is there, and can sample CPU time here.
pub fn is_supported() -> bool {
    let sampled =
        Command::new("perf").args(["record", "-q", "-e", "cpu-clock", "-o", "/dev/null", "true"]).output();
    sampled.is_ok_and(|output| output.status.success())
}

/// Records a process by `perf record --call-graph dwarf`. Inlined functions are left out. All CPUs are sampled: timers of
/// threads begin anew with each of them, and never see one that is shorter than their period.
///
/// # Errors
///
/// If `perf` fails.
pub fn perf_stacks(scratch: &Scratch, pid: u32, hz: u32, seconds: u32) -> Result<PerfStacks> {
    let data = scratch.join("perf.data");
    let mut record = Command::new("perf");
    record.args(["record", "-q", "-e", "cpu-clock", "--call-graph", CALL_GRAPH, "-F", &hz.to_string()]);
    record.args(["-a", "-o"]).arg(&data).args(["--", "sleep", &seconds.to_string()]);
    run(&mut record, Duration::from_secs(60))?.expect_code(0)?;
    let mut script = Command::new("perf");
    script.args(["script", "--no-inline", "--max-stack", "1024", "-F", "ip,sym,dso"]);
    script.args(["--pid", &pid.to_string(), "-i"]).arg(&data);
    let outcome = run(&mut script, Duration::from_secs(120))?.expect_code(0)?;
    std::fs::remove_file(&data).context("perf's data")?;
    let stacks = parse(&outcome.stdout);
    if stacks.is_empty() {
        bail!("perf has no stacks: {outcome}");
    }
    Ok(stacks)
}

/// A frame a line, `ADDRESS NAME (FILE)`; a blank line behind each stack.
fn parse(text: &str) -> PerfStacks {
    let mut stacks = PerfStacks::new();
    for block in text.split("\n\n") {
        let frames = block.lines().filter_map(|line| {
            let (_address, rest) = line.trim().split_once(' ')?;
            let (name, file) = rest.rsplit_once(" (")?;
            (!file.starts_with("[kernel") && !file.starts_with("[guest.kernel")).then(|| name.to_owned())
        });
        let stack: Vec<String> = frames.collect();
        if !stack.is_empty() {
            *stacks.entry(stack).or_default() += 1;
        }
    }
    stacks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_are_separated_by_blank_lines() {
        let text = "\n ffffffff810001 do_it ([kernel.kallsyms])\n     55d0 tg_spin (/tmp/a b)\n     7f11 [unknown] (/lib/c)\n\n     55d0 tg_spin (/tmp/a b)\n     7f11 [unknown] (/lib/c)\n\n     1 operator new(unsigned long) (/x)\n";
        let stacks = parse(text);
        assert_eq!(stacks[&vec!["tg_spin".to_owned(), "[unknown]".to_owned()]], 2);
        assert_eq!(stacks[&vec!["operator new(unsigned long)".to_owned()]], 1);
    }
}
