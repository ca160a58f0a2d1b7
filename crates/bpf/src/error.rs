//! What can go wrong on the way into the kernel.

use crate::Capability;
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
    #[error("cannot read the list of CPUs from {}: {source}", path.display())]
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
            Error::NotPermitted { .. } | Error::NoBtf { .. } | Error::Load { .. } | Error::Attach { .. } => {
                true
            }
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

fn hint(source: &io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(libc::ENOENT | libc::EOPNOTSUPP) => {
            " (this machine has no such counter; a virtual machine often has none: use cpu-clock)"
        }
        Some(libc::EACCES | libc::EPERM) => " (CAP_PERFMON is needed)",
        _ => "",
    }
}
