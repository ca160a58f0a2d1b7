//! What of the machine can be seen from here.

use super::{Finding, Health, finding};
use std::fs;
use telegen_bpf::CpuSet;

pub(super) fn findings() -> Vec<Finding> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    vec![cpus(), pid_namespace(), proc_mount(&mounts), control_groups(&mounts)]
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

/// The file systems of a type: their options, and where they are mounted. proc_pid_mountinfo(5).
fn mounted<'a>(mounts: &'a str, kind: &str) -> Vec<(&'a str, &'a str)> {
    let mount = |line: &'a str| {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut file_system = file_system.split(' ');
        (file_system.next()? == kind).then_some(())?;
        Some((mount.split(' ').nth(4)?, file_system.nth(1)?))
    };
    mounts.lines().filter_map(mount).collect()
}

fn proc_mount(mounts: &str) -> Finding {
    const COST: &str =
        "without CAP_SYS_PTRACE other users' processes are not seen in /proc: no arguments, no symbols";
    let proc = mounted(mounts, "proc");
    // The one that was mounted last covers the others.
    let Some((_, options)) = proc.iter().rfind(|(place, _)| *place == "/proc") else {
        return finding("/proc", Health::Missing, "not mounted", "nothing is known of any process");
    };
    match options.split(',').find(|option| option.starts_with("hidepid=")) {
        None | Some("hidepid=0" | "hidepid=off") => finding("/proc", Health::Ok, "mounted", ""),
        // What costs nothing with the capability says so itself.
        Some(hidden)
            if crate::privileges::NEEDS
                .iter()
                .any(|need| need.name == "CAP_SYS_PTRACE" && crate::privileges::has(need)) =>
        {
            finding("/proc", Health::Ok, format!("mounted with {hidden}"), "")
        }
        Some(hidden) => finding("/proc", Health::Degraded, format!("mounted with {hidden}"), COST),
    }
}

fn control_groups(mounts: &str) -> Finding {
    let (first, second) = (mounted(mounts, "cgroup").len(), mounted(mounts, "cgroup2").len());
    let found = match (first, second) {
        (0, 0) => "none mounted",
        (_, 0) => "version 1",
        (0, _) => "version 2",
        _ => "versions 1 and 2",
    };
    // Which container a process is in stands in /proc; the mounts are asked for the agent's own limit only.
    let status = if first + second > 0 { Health::Ok } else { Health::Degraded };
    finding(
        "control groups",
        status,
        found,
        "the memory limit of the agent's own group is not known: set limits.memory",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "22 1 0:20 / /proc rw,nosuid - proc proc rw,hidepid=invisible\n\
                          30 24 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n\
                          31 24 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

    #[test]
    fn mounts_are_told_by_their_type() {
        assert_eq!(mounted(MOUNTS, "proc"), [("/proc", "rw,hidepid=invisible")]);
        assert_eq!(control_groups(MOUNTS).found, "versions 1 and 2");
        assert_eq!(control_groups(&MOUNTS.replace("- cgroup2", "- tmpfs")).found, "version 1");
        let none = control_groups("");
        assert_eq!((none.status, none.found.as_str()), (Health::Degraded, "none mounted"));
    }

    #[test]
    fn a_proc_that_hides_processes_is_told() {
        assert_eq!(proc_mount(MOUNTS).found, "mounted with hidepid=invisible");
        assert_eq!(proc_mount(&MOUNTS.replace(",hidepid=invisible", "")).found, "mounted");
        assert_eq!(proc_mount("").status, Health::Missing);
        let covered = MOUNTS.replace(",hidepid=invisible", "") + MOUNTS;
        assert_eq!(proc_mount(&covered).found, "mounted with hidepid=invisible");
    }
}
