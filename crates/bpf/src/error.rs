//! What can go wrong on the way into the kernel.

use crate::{Capability, missing_capabilities};
use std::io;
use std::path::PathBuf;

/// What went wrong, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The process may not load BPF programs.
    #[error("not permitted to load BPF programs: missing {}", list(missing))]
    NotPermitted {
        /// What it lacks.
        missing: Vec<Capability>,
    },
    /// The kernel does not describe its own types.
    #[error("this kernel has no BTF type information (no {}): it must be built with CONFIG_DEBUG_INFO_BTF=y", path.display())]
    NoBtf {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The kernel is older than the programs, or was built without what they need.
    #[error(
        "this kernel ({release}) lacks what the BPF programs need: {}; telegen runs on Linux 6.1 and newer",
        features(missing)
    )]
    OldKernel {
        /// What the kernel calls itself.
        release: String,
        /// What it lacks, each with the version of Linux that has had it first.
        missing: Vec<(&'static str, &'static str)>,
    },
    /// The kernel lets nobody look into it.
    #[error(
        "the kernel is locked down for confidentiality, so BPF programs may not read its memory: boot it with lockdown=integrity or less"
    )]
    LockedDown,
    /// libbpf or the verifier refused the programs.
    #[error("the kernel refused the BPF programs: {source}{}", details(log))]
    Load {
        /// What libbpf returned.
        source: libbpf_rs::Error,
        /// What it said beside it.
        log: Vec<String>,
    },
    /// The object that was built in lacks a part: a fault of the build.
    #[error("the built-in BPF object has no {kind} `{name}`")]
    Missing {
        /// `program` or `map`.
        kind: &'static str,
        /// Its name.
        name: &'static str,
    },
    /// A program could not be attached to its tracepoint.
    #[error("cannot attach {program}: {source}")]
    Attach {
        /// The program.
        program: String,
        /// What libbpf returned.
        source: libbpf_rs::Error,
    },
    /// The clock of a CPU could not be opened.
    #[error("cannot open the {clock} clock on CPU {cpu}: {source}{}", hint(source))]
    PerfEvent {
        /// Which clock.
        clock: &'static str,
        /// On which CPU.
        cpu: u32,
        /// What the kernel said.
        source: io::Error,
    },
    /// The machine has more CPUs than can be counted.
    #[error("CPU {cpu} is beyond the {limit} CPUs that this build can count")]
    TooManyCpus {
        /// The number of the CPU.
        cpu: u32,
        /// How many there may be.
        limit: usize,
    },
    /// A list of CPUs could not be read.
    #[error("cannot read the list of CPUs from {}: {source}{}", path.display(), sysfs_hint(source))]
    CpuList {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// A system call on what has been loaded failed.
    #[error("{action}: {source}")]
    Kernel {
        /// What was being done.
        action: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Error {
    /// Whether the cause is a missing permission or a kernel feature that is not there, rather than a failure.
    pub fn is_environment(&self) -> bool {
        match self {
            Error::NotPermitted { .. }
            | Error::NoBtf { .. }
            | Error::OldKernel { .. }
            | Error::LockedDown
            | Error::Load { .. }
            | Error::Attach { .. } => true,
            // sysfs is not mounted.
            Error::CpuList { source, .. } => source.kind() == io::ErrorKind::NotFound,
            Error::PerfEvent { source, .. } => {
                matches!(
                    source.raw_os_error(),
                    Some(libc::EACCES | libc::EPERM | libc::ENOENT | libc::EOPNOTSUPP)
                )
            }
            _ => false,
        }
    }
}

fn list(capabilities: &[Capability]) -> String {
    capabilities.iter().map(|capability| capability.name()).collect::<Vec<_>>().join(", ")
}

fn details(log: &[String]) -> String {
    log.iter().map(|line| format!("\n  {}", line.trim_end())).collect()
}

fn features(missing: &[(&str, &str)]) -> String {
    let named = |(name, since): &(&str, &str)| format!("{name} (Linux {since})");
    missing.iter().map(named).collect::<Vec<_>>().join(", ")
}

fn sysfs_hint(source: &io::Error) -> &'static str {
    if source.kind() == io::ErrorKind::NotFound { " (is sysfs mounted on /sys?)" } else { "" }
}

fn hint(source: &io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(libc::ENOENT | libc::EOPNOTSUPP) => {
            " (this machine has no such counter; a virtual machine often has none: use cpu-clock)"
        }
        // Distributions have added levels above those of the kernel proper, which CAP_PERFMON does not lift.
        Some(libc::EACCES | libc::EPERM) if !missing_capabilities().contains(&Capability::Perfmon) => {
            " (with CAP_PERFMON held: this kernel asks for CAP_SYS_ADMIN too while kernel.perf_event_paranoid is above 2)"
        }
        Some(libc::EACCES | libc::EPERM) => " (CAP_PERFMON is needed)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_old_kernel_lacks_is_named() {
        let missing = vec![("bpf_task_pt_regs", "5.15"), ("bpf_loop", "5.17")];
        let error = Error::OldKernel { release: "5.10.0-46-amd64".into(), missing };
        assert!(error.is_environment());
        assert_eq!(
            error.to_string(),
            "this kernel (5.10.0-46-amd64) lacks what the BPF programs need: bpf_task_pt_regs (Linux 5.15), \
             bpf_loop (Linux 5.17); telegen runs on Linux 6.1 and newer"
        );
    }

    #[test]
    fn a_missing_sysfs_is_not_a_failure_of_the_program() {
        let error = |kind| Error::CpuList { path: "/sys/x".into(), source: io::Error::from(kind) };
        let missing = error(io::ErrorKind::NotFound);
        assert!(missing.is_environment() && missing.to_string().contains("sysfs"), "{missing}");
        let odd = error(io::ErrorKind::InvalidData);
        assert!(!odd.is_environment() && !odd.to_string().contains("sysfs"), "{odd}");
    }
}
