//! What the program may do: no more than it needs, from the start.

mod system_calls;

use crate::failure::{Failure, Status};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};
use telegen_bpf::{Clock, may_open_clock};
use tikv_jemalloc_ctl::background_thread;

/// A capability that telegen has a use for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Need {
    pub(crate) capability: CapabilitySet,
    /// As capabilities(7) writes it.
    pub(crate) name: &'static str,
    /// Whether nothing can be profiled without it.
    pub(crate) required: bool,
    /// What is lost without it.
    pub(crate) cost: &'static str,
}

/// All that profiling has a use for; everything else is given up.
pub(crate) const NEEDS: [Need; 6] = [
    Need {
        capability: CapabilitySet::BPF,
        name: "CAP_BPF",
        required: true,
        cost: "BPF programs cannot be loaded; nothing can be profiled",
    },
    Need {
        capability: CapabilitySet::PERFMON,
        name: "CAP_PERFMON",
        required: true,
        cost: "BPF programs cannot look at processes; nothing can be profiled",
    },
    Need {
        capability: CapabilitySet::SYS_PTRACE,
        name: "CAP_SYS_PTRACE",
        required: false,
        cost: "what other users' processes have mapped cannot be read: their frames are addresses",
    },
    Need {
        capability: CapabilitySet::DAC_READ_SEARCH,
        name: "CAP_DAC_READ_SEARCH",
        required: false,
        cost: "binaries that this user may not read have no symbols",
    },
    Need {
        capability: CapabilitySet::SYSLOG,
        name: "CAP_SYSLOG",
        required: false,
        cost: "kernel frames are addresses, unless kernel.kptr_restrict is 0 and kernel.perf_event_paranoid at most 1",
    },
    Need {
        capability: CapabilitySet::CHECKPOINT_RESTORE,
        name: "CAP_CHECKPOINT_RESTORE",
        required: false,
        cost: "binaries that were deleted or replaced have no symbols",
    },
];

/// Contains CAP_BPF, CAP_PERFMON and CAP_CHECKPOINT_RESTORE, and is what older container runtimes give instead.
const ADMIN: CapabilitySet = CapabilitySet::SYS_ADMIN;

/// Who gives up privileges.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// A service, which writes where its own user may.
    Service,
    /// A command, which writes where its caller says and ends the command that it was given.
    Command,
}

impl Role {
    fn extra(self) -> CapabilitySet {
        match self {
            Self::Service => CapabilitySet::empty(),
            Self::Command => CapabilitySet::DAC_OVERRIDE | CapabilitySet::KILL,
        }
    }
}

/// Gives up all capabilities but those that profiling needs here, for good: nothing that is run from here on gets them back. To be
/// called before the first thread is started, since each has its own.
pub(crate) fn give_up(role: Role) -> Result<(), Failure> {
    try_to_give_up(role)
        .map_err(|error| Failure::message(Status::Failed, format!("cannot give up privileges: {error}")))?;
    // The allocator's thread has what its parent has, so it must not be there before. Without it memory that is freed
    // goes back later.
    if let Err(error) = background_thread::write(true) {
        tracing::debug!(%error, "the allocator has no thread of its own");
    }
    Ok(())
}

/// Gives up system calls that a running profiler has no use for, for all threads and for good. To be called when everything
/// has been started. Where the kernel cannot do that, it says so and goes on.
pub(crate) fn confine() {
    if let Err(error) = system_calls::forbid() {
        tracing::warn!(%error, "system calls cannot be restricted here (seccomp)");
    }
}

fn try_to_give_up(role: Role) -> rustix::io::Result<()> {
    let held = capabilities(None)?;
    let kept = kept(held.permitted, role, clock_needs());
    // This takes CAP_SETPCAP; who has not got it has a bounding set that others have seen to.
    for capability in CapabilitySet::all().iter().filter(|capability| !kept.contains(*capability)) {
        if remove_capability_from_bounding_set(capability).is_err() {
            break;
        }
    }
    // Kernels without ambient capabilities have none to clear.
    let _ = clear_ambient_capability_set();
    set_capabilities(
        None,
        CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() },
    )?;
    set_no_new_privs(true)
}

/// What this kernel asks for beside CAP_PERFMON before it lets a clock be opened.
///
/// Debian and Ubuntu have added levels above 2 to kernel.perf_event_paranoid, and set one; depending on the version only
/// CAP_SYS_ADMIN lifts it. So the kernel is asked.
pub(crate) fn clock_needs() -> CapabilitySet {
    let none = CapabilitySet::empty();
    let Ok(held) = capabilities(None) else { return none };
    if !held.effective.contains(ADMIN) || may_open_clock(Clock::CpuClock).is_err() {
        return none;
    }
    let lowered = CapabilitySets { effective: held.effective & !ADMIN, ..held };
    if set_capabilities(None, lowered).is_err() {
        return none;
    }
    let enough = may_open_clock(Clock::CpuClock).is_ok();
    // It is in the permitted set, so it can always be had back.
    if set_capabilities(None, held).is_err() || enough { none } else { ADMIN }
}

fn kept(permitted: CapabilitySet, role: Role, clock_needs: CapabilitySet) -> CapabilitySet {
    let needed = NEEDS.iter().fold(role.extra() | clock_needs, |all, need| all | need.capability);
    let required = NEEDS.iter().filter(|need| need.required);
    let complete = required.map(|need| need.capability).all(|capability| permitted.contains(capability));
    permitted & if complete { needed } else { needed | ADMIN }
}

/// Whether this thread has what a need is for.
pub(crate) fn has(need: &Need) -> bool {
    let contained = CapabilitySet::BPF
        | CapabilitySet::PERFMON
        | CapabilitySet::CHECKPOINT_RESTORE
        | CapabilitySet::SYSLOG;
    let Ok(held) = capabilities(None) else { return false };
    let by_admin = contained.contains(need.capability) && held.effective.contains(ADMIN);
    held.effective.contains(need.capability) || by_admin
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_needed_is_kept() {
        let none = CapabilitySet::empty();
        let service = kept(CapabilitySet::all(), Role::Service, none);
        assert!(NEEDS.iter().all(|need| service.contains(need.capability)));
        assert_eq!(service.iter().count(), NEEDS.len());
        let command = kept(CapabilitySet::all(), Role::Command, none);
        assert_eq!(command & !service, CapabilitySet::DAC_OVERRIDE | CapabilitySet::KILL);
        assert_eq!(kept(CapabilitySet::all(), Role::Service, ADMIN), service | ADMIN);
    }

    #[test]
    fn what_contains_the_rest_is_kept_where_the_rest_is_missing() {
        let old = ADMIN | CapabilitySet::SYS_PTRACE | CapabilitySet::NET_ADMIN;
        assert_eq!(kept(old, Role::Service, CapabilitySet::empty()), ADMIN | CapabilitySet::SYS_PTRACE);
        assert_eq!(kept(CapabilitySet::CHOWN, Role::Service, ADMIN), CapabilitySet::empty());
    }
}
