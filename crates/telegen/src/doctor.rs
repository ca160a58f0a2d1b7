//! `telegen doctor`: what this machine and this process have of what telegen can use, and what each lack costs.

use crate::failure::{Failure, Status};
use crate::output::{print, shown, table};
use serde::Serialize;
use std::fs;
use std::path::Path;
use telegen_bpf::{Clock, CpuSet, Kernel, Options, btf_path, missing_capabilities};

/// How the findings are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DoctorFormat {
    Table,
    Json,
}

/// How a finding is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Ok,
    /// Something is lost, but profiles are made.
    Degraded,
    /// No profile can be made.
    Missing,
}

#[derive(Debug, Serialize)]
struct Finding {
    name: &'static str,
    status: Health,
    found: String,
    /// What is lost by it; empty if nothing is.
    cost: &'static str,
}

#[derive(Serialize)]
struct Report {
    ok: bool,
    findings: Vec<Finding>,
}

/// Looks at everything, and says what it costs. Fails with the status for what is missing if no profile can be made.
pub(crate) fn run(format: DoctorFormat) -> Result<(), Failure> {
    let findings = vec![
        kernel_release(),
        btf(),
        capabilities(),
        programs(),
        hardware_clock(),
        kernel_symbols(),
        mapped_files(),
        stack_depth(),
        pid_namespace(),
        cpus(),
        open_files(),
    ];
    let ok = findings.iter().all(|finding| finding.status != Health::Missing);
    let text = match format {
        DoctorFormat::Json => {
            let report = Report { ok, findings };
            serde_json::to_string_pretty(&report).map_err(|error| Failure::new(Status::Failed, error))? + "\n"
        }
        DoctorFormat::Table => rendered(&findings),
    };
    print(&text).map_err(|error| Failure::new(Status::Failed, error))?;
    if ok { Ok(()) } else { Err(Failure::message(Status::NotPermitted, "no profile can be made here")) }
}

fn rendered(findings: &[Finding]) -> String {
    let rows: Vec<Vec<String>> = findings
        .iter()
        .map(|finding| {
            let status = match finding.status {
                Health::Ok => "ok",
                Health::Degraded => "degraded",
                Health::Missing => "missing",
            };
            let first = finding.found.lines().next().unwrap_or_default();
            let found = if finding.cost.is_empty() {
                shown(first)
            } else {
                format!("{}: {}", shown(first), finding.cost)
            };
            vec![finding.name.into(), status.into(), found]
        })
        .collect();
    table(&["CHECK", "STATUS", "FOUND"], &rows)
}

fn finding(name: &'static str, status: Health, found: impl Into<String>, cost: &'static str) -> Finding {
    Finding { name, status, found: found.into(), cost: if status == Health::Ok { "" } else { cost } }
}

fn kernel_release() -> Finding {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let status = if version >= (6, 1) { Health::Ok } else { Health::Degraded };
    finding("kernel", status, release, "kernels before 6.1 are not tried")
}

fn btf() -> Finding {
    let path = btf_path();
    if path.exists() {
        return finding("BTF", Health::Ok, path.display().to_string(), "");
    }
    let found = format!("no {}", path.display());
    finding(
        "BTF",
        Health::Missing,
        found,
        "the kernel must be built with CONFIG_DEBUG_INFO_BTF=y; nothing can be profiled",
    )
}

fn capabilities() -> Finding {
    let missing = missing_capabilities();
    if missing.is_empty() {
        return finding("capabilities", Health::Ok, "CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN", "");
    }
    let names: Vec<&str> = missing.iter().map(|capability| capability.name()).collect();
    finding(
        "capabilities",
        Health::Missing,
        format!("missing {}", names.join(", ")),
        "nothing can be profiled",
    )
}

fn options(clock: Clock) -> Options {
    Options { clock, sample_hz: 99, max_user_frames: 127, kernel_stacks: true }
}

fn programs() -> Finding {
    let loaded = Kernel::load(&options(Clock::CpuClock)).and_then(|mut kernel| {
        kernel.watch_processes()?;
        kernel.follow_cpus()
    });
    match loaded {
        Ok((clocks, _)) => {
            finding("BPF programs", Health::Ok, format!("load, attach, and tick on {clocks} CPUs"), "")
        }
        Err(error) => finding("BPF programs", Health::Missing, error.to_string(), "nothing can be profiled"),
    }
}

fn hardware_clock() -> Finding {
    let ticking = Kernel::load(&options(Clock::Cycles)).and_then(|mut kernel| kernel.follow_cpus());
    match ticking {
        Ok(_) => finding("hardware cycles", Health::Ok, "can be counted (cpu.event: cycles)", ""),
        Err(error) => finding(
            "hardware cycles",
            Health::Degraded,
            error.to_string(),
            "cpu.event: cycles is not to be had, cpu-clock is",
        ),
    }
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

fn stack_depth() -> Finding {
    let text = fs::read_to_string("/proc/sys/kernel/perf_event_max_stack").unwrap_or_default();
    let found = format!("kernel.perf_event_max_stack = {}", text.trim());
    let status = if text.trim().parse::<u32>().is_ok_and(|depth| depth >= 127) {
        Health::Ok
    } else {
        Health::Degraded
    };
    finding("stack depth", status, found, "deeper kernel stacks are cut")
}

fn pid_namespace() -> Finding {
    /// The first pid namespace always has this inode (`PROC_PID_INIT_INO`, include/linux/proc_ns.h).
    const INITIAL: &str = "pid:[4026531836]";
    match fs::read_link("/proc/self/ns/pid") {
        Ok(own) if own.as_os_str() == INITIAL => {
            finding("pid namespace", Health::Ok, "the machine's own", "")
        }
        _ => finding(
            "pid namespace",
            Health::Degraded,
            "a nested one",
            "only processes in it can be profiled (in Kubernetes: hostPID: true)",
        ),
    }
}

fn cpus() -> Finding {
    match (CpuSet::online(), CpuSet::possible()) {
        (Ok(online), Ok(possible)) => {
            finding("CPUs", Health::Ok, format!("{} online of {} possible", online.len(), possible.len()), "")
        }
        (Err(error), _) | (_, Err(error)) => finding(
            "CPUs",
            Health::Missing,
            error.to_string(),
            "sysfs must be mounted; nothing can be profiled",
        ),
    }
}

fn open_files() -> Finding {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let found = limit.maximum.map_or_else(|| "no limit".into(), |most| format!("up to {most}"));
    let status = if limit.maximum.is_none_or(|most| most >= 4096) { Health::Ok } else { Health::Degraded };
    finding("open files", status, found, "files beyond the limit have no symbols")
}
