//! System calls that profiling cannot do without, and whether something in front of the kernel refuses them.

use crate::sys;
use std::io;

/// A system call that profiling cannot do without.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// bpf(2).
    Bpf,
    /// perf_event_open(2).
    PerfEventOpen,
}

impl Call {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Bpf, Self::PerfEventOpen];

    /// Its name, as manual pages and profiles of containers write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bpf => "bpf",
            Self::PerfEventOpen => "perf_event_open",
        }
    }

    /// Whether it is refused before the kernel looks at it, as a seccomp filter does: whatever capabilities are held.
    pub fn is_refused(self) -> bool {
        // Both are asked for what does not exist, of which the kernel complains before it asks for a capability.
        let (error, kernels_own) = match self {
            Self::Bpf => (sys::call_bpf_wrongly(), libc::E2BIG),
            Self::PerfEventOpen => (sys::call_perf_event_open_wrongly(), libc::EINVAL),
        };
        is_refusal(&error, kernels_own)
    }
}

/// Filters answer with EPERM, or with ENOSYS as if there were no such call.
fn is_refusal(error: &io::Error, kernels_own: i32) -> bool {
    error.raw_os_error() != Some(kernels_own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_kernels_own_complaint_says_that_a_call_came_through() {
        assert!(!is_refusal(&io::Error::from_raw_os_error(libc::E2BIG), libc::E2BIG));
        for refused in [libc::EPERM, libc::ENOSYS, libc::EACCES] {
            assert!(is_refusal(&io::Error::from_raw_os_error(refused), libc::E2BIG));
        }
    }
}
