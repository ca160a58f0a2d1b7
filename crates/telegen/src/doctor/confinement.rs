//! What stands in front of capabilities: filters of system calls, and security modules.

use super::{Finding, Health, finding};
use crate::privileges::{NEEDS, has};
use std::fs;
use std::io::ErrorKind;
use telegen_bpf::Call;

pub(super) fn findings() -> Vec<Finding> {
    let refused: Vec<Call> = Call::ALL.into_iter().filter(|call| call.is_refused()).collect();
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    vec![system_calls(is_filtered(&status), &refused), security_module(Module::of_this_process())]
}

/// `Seccomp: 2` is a filter: proc_pid_status(5).
fn is_filtered(status: &str) -> bool {
    status.lines().filter_map(|line| line.strip_prefix("Seccomp:")).any(|mode| mode.trim() == "2")
}

fn system_calls(filtered: bool, refused: &[Call]) -> Finding {
    const COST: &str = "nothing can be profiled; containerd 1.6.9 and CRI-O 1.35.1 are the first whose default filter lets \
                        CAP_BPF and CAP_PERFMON through (in Kubernetes before them: seccompProfile: {type: Unconfined})";
    let names: Vec<&str> = refused.iter().map(|call| call.name()).collect();
    match (filtered, names.is_empty()) {
        (false, true) => finding("system calls", Health::Ok, "not filtered", ""),
        (true, true) => {
            finding("system calls", Health::Ok, "filtered (seccomp); bpf and perf_event_open pass", "")
        }
        (true, false) => {
            let found = format!("a filter (seccomp) refuses {}", names.join(" and "));
            finding("system calls", Health::Missing, found, COST)
        }
        (false, false) => {
            let found = format!("{} refused, and not by seccomp", names.join(" and "));
            finding("system calls", Health::Missing, found, "nothing can be profiled")
        }
    }
}

const NAME: &str = "security module";

/// The security module that confines this process, and as what.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Module {
    None,
    AppArmor(String),
    SeLinux(String),
}

impl Module {
    fn of_this_process() -> Self {
        // Without a module that has labels the file cannot be read.
        Self::of_label(&fs::read_to_string("/proc/self/attr/current").unwrap_or_default())
    }

    /// SELinux: `user:role:type:level`, perhaps with a NUL behind it. AppArmor: `profile (mode)`, or `unconfined`.
    fn of_label(label: &str) -> Self {
        let label = label.trim_end_matches(['\0', '\n']);
        match label {
            "" | "unconfined" => Self::None,
            _ if label.split(':').count() >= 3 && !label.ends_with(')') => Self::SeLinux(label.to_owned()),
            _ => Self::AppArmor(label.to_owned()),
        }
    }
}

fn security_module(module: Module) -> Finding {
    let may_trace = NEEDS.iter().any(|need| need.name == "CAP_SYS_PTRACE" && has(need));
    // The first process is seldom of the same label. Without the capability it would be refused for want of that.
    let refused = module != Module::None
        && may_trace
        && fs::read("/proc/1/maps").is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
    judged(module, refused)
}

fn judged(module: Module, refused: bool) -> Finding {
    const BY_APPARMOR: &str = "it may not look at other processes: no arguments, no symbols of those that have another \
                               profile (in Kubernetes: appArmorProfile: {type: Unconfined})";
    const BY_SELINUX: &str =
        "it may not look at other processes: no symbols (in Kubernetes: seLinuxOptions: {type: spc_t})";
    let (found, cost) = match module {
        Module::None => ("none confines this process".to_owned(), ""),
        Module::AppArmor(label) => (format!("AppArmor, as {label}"), BY_APPARMOR),
        Module::SeLinux(label) => (format!("SELinux, as {label}"), BY_SELINUX),
    };
    finding(NAME, if refused { Health::Degraded } else { Health::Ok }, found, cost)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_refuses_is_told_from_one_that_does_not() {
        assert!(is_filtered("Name:\ttelegen\nSeccomp:\t2\nSeccomp_filters:\t1\n"));
        assert!(!is_filtered("Seccomp:\t0\nSeccomp_filters:\t2\n"));
        assert_eq!(system_calls(false, &[]).status, Health::Ok);
        assert_eq!(system_calls(true, &[]).status, Health::Ok);
        let refused = system_calls(true, &[Call::PerfEventOpen]);
        assert_eq!(refused.status, Health::Missing);
        assert_eq!(refused.found, "a filter (seccomp) refuses perf_event_open");
        assert_eq!(
            system_calls(false, &Call::ALL).found,
            "bpf and perf_event_open refused, and not by seccomp"
        );
    }

    #[test]
    fn labels_are_told_by_their_form() {
        assert_eq!(Module::of_label(""), Module::None);
        assert_eq!(Module::of_label("unconfined\n"), Module::None);
        let profile = "cri-containerd.apparmor.d (enforce)";
        assert_eq!(Module::of_label(&format!("{profile}\n")), Module::AppArmor(profile.into()));
        let stacked = "a//&:ns1:unconfined (enforce)";
        assert_eq!(Module::of_label(stacked), Module::AppArmor(stacked.into()));
        let context = "system_u:system_r:container_t:s0:c28,c560";
        assert_eq!(Module::of_label(&format!("{context}\0")), Module::SeLinux(context.into()));
    }

    #[test]
    fn what_a_module_refuses_is_told_with_the_way_out() {
        let judged = |label: &str, refused| judged(Module::of_label(label), refused);
        assert_eq!(judged("cri-containerd.apparmor.d (enforce)", false).status, Health::Ok);
        let apparmor = judged("cri-containerd.apparmor.d (enforce)", true);
        assert!(apparmor.status == Health::Degraded && apparmor.cost.contains("appArmorProfile"));
        assert!(judged("u:r:container_t:s0", true).cost.contains("spc_t"));
        assert_eq!(judged("unconfined", false).found, "none confines this process");
    }
}
