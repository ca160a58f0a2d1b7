//! What this process may do.

use super::{Finding, Health, finding};
use crate::privileges::{NEEDS, has};
use std::fs;
use std::path::Path;

pub(super) fn findings() -> Vec<Finding> {
    let mut findings: Vec<Finding> = NEEDS
        .iter()
        .map(|need| {
            let status = match (has(need), need.required) {
                (true, _) => Health::Ok,
                (false, true) => Health::Missing,
                (false, false) => Health::Degraded,
            };
            finding(need.name, status, if status == Health::Ok { "held" } else { "not held" }, need.cost)
        })
        .collect();
    findings.extend([kernel_symbols(), mapped_files(), open_files()]);
    findings
}

fn kernel_symbols() -> Finding {
    const COST: &str =
        "kernel frames are shown as addresses; CAP_SYSLOG, or kernel.kptr_restrict=0, gives them names";
    match telegen_symbolize::KernelSymbols::read_from(Path::new("/proc/kallsyms")) {
        Ok(symbols) if !symbols.is_hidden() => {
            finding("kernel symbols", Health::Ok, format!("{} in /proc/kallsyms", symbols.len()), "")
        }
        Ok(_) => finding("kernel symbols", Health::Degraded, "addresses are hidden in /proc/kallsyms", COST),
        Err(error) => finding("kernel symbols", Health::Degraded, error.to_string(), COST),
    }
}

fn mapped_files() -> Finding {
    let own = fs::read_dir("/proc/self/map_files").ok().and_then(|mut files| files.next()?.ok());
    let opened = own.map(|entry| fs::File::open(entry.path()));
    match opened {
        Some(Ok(_)) => finding("mapped files", Health::Ok, "can be opened through /proc/PID/map_files", ""),
        _ => finding(
            "mapped files",
            Health::Degraded,
            "/proc/PID/map_files cannot be used",
            "deleted binaries have no symbols; CAP_CHECKPOINT_RESTORE gives them",
        ),
    }
}

fn open_files() -> Finding {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let found = limit.maximum.map_or_else(|| "no limit".into(), |most| format!("up to {most}"));
    let status = if limit.maximum.is_none_or(|most| most >= 4096) { Health::Ok } else { Health::Degraded };
    finding("open files", status, found, "files beyond the limit have no symbols")
}
