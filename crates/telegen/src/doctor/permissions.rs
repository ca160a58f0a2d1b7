//! What this process may do.

use super::{Finding, Health, finding};
use crate::privileges::{NEEDS, clock_needs, has};
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
    findings.extend([perf_events(), kernel_symbols(), mapped_files(), open_files()]);
    findings
}

/// Whether the capabilities for it are enough; that none of them helps shows where programs are loaded.
fn perf_events() -> Finding {
    let level = sysctl("perf_event_paranoid").unwrap_or_else(|| "unknown".into());
    let found = format!("kernel.perf_event_paranoid = {level}");
    let status = if clock_needs().is_empty() { Health::Ok } else { Health::Degraded };
    finding(
        "perf events",
        status,
        found,
        "this kernel asks for CAP_SYS_ADMIN beside CAP_PERFMON, so it is kept; with 2 it would not be needed",
    )
}

fn sysctl(name: &str) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok()?.trim().to_owned())
}

fn kernel_symbols() -> Finding {
    const UNNAMED: &str = "kernel frames are shown as addresses";
    let cost = match sysctl("kptr_restrict").as_deref() {
        // From everybody.
        Some("2") => "kernel frames are shown as addresses; kernel.kptr_restrict=1 gives them names",
        _ => "kernel frames are shown as addresses; CAP_SYSLOG gives them names",
    };
    match telegen_symbolize::KernelSymbols::read_from(Path::new("/proc/kallsyms")) {
        Ok(symbols) if symbols.is_empty() && !symbols.is_hidden() => {
            finding("kernel symbols", Health::Degraded, "there are none in /proc/kallsyms", UNNAMED)
        }
        Ok(symbols) if !symbols.is_hidden() => {
            finding("kernel symbols", Health::Ok, format!("{} in /proc/kallsyms", symbols.len()), "")
        }
        Ok(_) => finding("kernel symbols", Health::Degraded, "addresses are hidden in /proc/kallsyms", cost),
        Err(error) => finding("kernel symbols", Health::Degraded, error.to_string(), UNNAMED),
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
