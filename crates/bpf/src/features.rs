//! Why a kernel refuses the programs: what they need that it lacks, asked of the kernel itself.

use crate::Error;
use libbpf_rs::{MapType, ProgramType, libbpf_sys};
use std::fs;

/// Where the kernel says how far it is locked down, if securityfs is mounted: kernel_lockdown(7).
const LOCKDOWN: &str = "/sys/kernel/security/lockdown";

/// What the programs need, the version of Linux that has had it first, and whether this kernel has it.
type Feature = (&'static str, &'static str, fn() -> libbpf_rs::Result<bool>);

/// Not all that is needed, but something of each version from 5.8 to 5.17 that has brought any of it.
const NEEDED: [Feature; 5] = [
    ("ring buffers", "5.8", || MapType::RingBuf.is_supported()),
    ("bpf_get_current_task_btf", "5.11", || has_helper(libbpf_sys::BPF_FUNC_get_current_task_btf)),
    ("BPF_PROG_TYPE_SYSCALL", "5.14", || ProgramType::Syscall.is_supported()),
    ("bpf_task_pt_regs", "5.15", || has_helper(libbpf_sys::BPF_FUNC_task_pt_regs)),
    ("bpf_loop", "5.17", || has_helper(libbpf_sys::BPF_FUNC_loop)),
];

/// What no probe shows, but the verifier's own words do (kernel/bpf/verifier.c).
const REFUSED: [(&str, &str, &str); 1] = [(
    "can only use preallocated hash map",
    "hash tables without preallocation in programs of perf events",
    "6.1",
)];

fn has_helper(helper: libbpf_sys::bpf_func_id) -> libbpf_rs::Result<bool> {
    ProgramType::PerfEvent.is_helper_supported(helper)
}

/// How far the kernel is locked down: `none`, `integrity` or `confidentiality`; `None` if it does not say.
pub fn lockdown() -> Option<String> {
    mode_in_force(&fs::read_to_string(LOCKDOWN).ok()?).map(str::to_owned)
}

/// `none [integrity] confidentiality`: the one in brackets.
fn mode_in_force(text: &str) -> Option<&str> {
    Some(text.split_once('[')?.1.split_once(']')?.0)
}

/// Says why the kernel refuses the programs, if that can be found out; else what libbpf and the verifier said.
pub(crate) fn explain(source: libbpf_rs::Error, log: Vec<String>) -> Error {
    // Every kernel that has what else is needed has this helper; only lockdown takes it away. That is asked first of
    // all: then nothing else that is missing matters.
    if has_helper(libbpf_sys::BPF_FUNC_probe_read_kernel).is_ok_and(|has| !has) {
        return Error::LockedDown;
    }
    let probed = NEEDED.iter().filter(|(_, _, probe)| probe().is_ok_and(|has| !has));
    let mut missing: Vec<_> = probed.map(|(name, since, _)| (*name, *since)).collect();
    missing.extend(in_words(&log));
    if missing.is_empty() {
        return Error::Load { source, log };
    }
    Error::OldKernel { release: rustix::system::uname().release().to_string_lossy().into_owned(), missing }
}

fn in_words(log: &[String]) -> impl Iterator<Item = (&'static str, &'static str)> {
    let said = |words: &str| log.iter().any(|line| line.contains(words));
    REFUSED.iter().filter(move |(words, ..)| said(words)).map(|(_, name, since)| (*name, *since))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_in_force_is_the_one_in_brackets() {
        assert_eq!(mode_in_force("none [integrity] confidentiality\n"), Some("integrity"));
        assert_eq!(mode_in_force("[none] integrity confidentiality\n"), Some("none"));
        assert_eq!(mode_in_force(""), None);
    }

    #[test]
    fn the_verifiers_words_are_understood() {
        let log = ["trace type programs can only use preallocated hash map".to_owned()];
        assert_eq!(in_words(&log).map(|(_, since)| since).collect::<Vec<_>>(), ["6.1"]);
        assert_eq!(in_words(&["R1 is bad".to_owned()]).count(), 0);
    }
}
