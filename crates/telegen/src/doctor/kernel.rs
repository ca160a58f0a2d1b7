//! What the kernel can do.

use super::{Finding, Health, finding};
use std::fs;
use std::path::Path;
use telegen_bpf::{Clock, Kernel, Options, btf_path, lockdown as mode_of_lockdown};

pub(super) fn findings() -> Vec<Finding> {
    vec![
        release(),
        btf(),
        lockdown(),
        programs(),
        replaced_code(),
        hardware_clock(),
        sample_rate(),
        stack_depth(),
    ]
}

fn release() -> Finding {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let status = if version >= (6, 1) { Health::Ok } else { Health::Degraded };
    finding("kernel", status, release, "telegen is made for 6.1 and newer")
}

fn btf() -> Finding {
    let path = btf_path();
    if path.exists() {
        return finding("BTF", Health::Ok, path.display().to_string(), "");
    }
    let cost = if Path::new("/sys/kernel").exists() {
        "the kernel must be built with CONFIG_DEBUG_INFO_BTF=y; nothing can be profiled"
    } else {
        "sysfs must be mounted; nothing can be profiled"
    };
    finding("BTF", Health::Missing, format!("no {}", path.display()), cost)
}

fn lockdown() -> Finding {
    let mode = mode_of_lockdown();
    let mode = mode.as_deref().unwrap_or("none that is seen (no securityfs)");
    // Integrity forbids BPF to write to the memory of processes, which telegen never does.
    let status = if mode == "confidentiality" { Health::Missing } else { Health::Ok };
    finding(
        "lockdown",
        status,
        mode,
        "BPF programs may not read the kernel's memory; nothing can be profiled until lockdown=integrity or less",
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

fn replaced_code() -> Finding {
    match Kernel::load(&options(Clock::CpuClock)).and_then(|mut kernel| kernel.watch_areas()) {
        Ok(()) => finding("replaced code", Health::Ok, "is noticed when it is mapped", ""),
        Err(error) => finding(
            "replaced code",
            Health::Degraded,
            error.to_string(),
            "a library in the place of another of the same size may be taken for that one",
        ),
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

fn sample_rate() -> Finding {
    let most = sysctl("perf_event_max_sample_rate");
    let status = if most.as_ref().is_none_or(|&most| most >= 10_000) { Health::Ok } else { Health::Degraded };
    let found = most.map_or_else(|| "no limit known".into(), |most| format!("up to {most} Hz"));
    finding(
        "sample rate",
        status,
        found,
        "kernel.perf_event_max_sample_rate refuses higher ones; the kernel lowers it where interrupts take long",
    )
}

fn stack_depth() -> Finding {
    let depth = sysctl("perf_event_max_stack");
    let status = if depth.is_none_or(|depth| depth >= 127) { Health::Ok } else { Health::Degraded };
    let found = depth.map_or_else(|| "unknown".into(), |depth| format!("{depth}"));
    let found = format!("kernel.perf_event_max_stack = {found}");
    finding("stack depth", status, found, "deeper kernel stacks are cut")
}

fn sysctl(name: &str) -> Option<u64> {
    fs::read_to_string(format!("/proc/sys/kernel/{name}")).ok()?.trim().parse().ok()
}
