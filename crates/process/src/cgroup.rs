//! Which container a process runs in, from `/proc/PID/cgroup`: cgroups(7).
//!
//! Runtimes put a container into a control group whose name holds its id, in forms that depend on the runtime and on who
//! manages control groups: `…/<id>` (cgroupfs), `…/<runtime>-<id>.scope` (systemd), `…:<runtime>:<id>` (a path for systemd
//! that was taken literally). A node that is a container itself, as kind's and minikube's are, has its own id in front.

use telegen_model::{Container, ContainerId};

/// What runtimes put before the id.
const PREFIXES: [&str; 4] = ["cri-containerd-", "docker-", "crio-", "libpod-"];
/// Lines of all hierarchies; there are some fifteen.
const MAX_LINES: usize = 64;

/// Takes the container out of the text of `/proc/PID/cgroup`; `None` if the process is in none.
///
/// Where hierarchies differ, the one that knows most counts: the process's pod too before its container alone.
pub fn parse_container(text: &[u8]) -> Option<Container> {
    let mut best: Option<Container> = None;
    for line in text.split(|&byte| byte == b'\n').take(MAX_LINES) {
        // number:controllers:path, and a path may have colons.
        let Some(path) = line.splitn(3, |&byte| byte == b':').nth(2) else { continue };
        let Ok(path) = std::str::from_utf8(path) else { continue };
        match of_path(path) {
            Some(found) if found.pod_uid.is_some() => return Some(found),
            Some(found) => best = best.or(Some(found)),
            None => {}
        }
    }
    best
}

/// The container that a process is in by one hierarchy alone, `None` if that knows of none: number 0 is version 2's, others are
/// as `/proc/cgroups` numbers them.
pub(crate) fn parse_container_in(text: &[u8], hierarchy: u32) -> Option<Container> {
    let number = format!("{hierarchy}:");
    let mut lines = text.split(|&byte| byte == b'\n').take(MAX_LINES);
    let line = lines.find(|line| line.starts_with(number.as_bytes()))?;
    parse_container(line)
}

/// The innermost container of a path. What is before it may be a node that is a container, what is behind it is the
/// container's own.
fn of_path(path: &str) -> Option<Container> {
    let segments: Vec<&str> = path.split('/').collect();
    let (at, id) =
        segments.iter().enumerate().rev().find_map(|(at, name)| Some((at, container_id(name)?)))?;
    let pod_uid = segments[..=at].iter().rev().find_map(|name| pod_uid(name));
    Some(Container { id, pod_uid })
}

fn container_id(segment: &str) -> Option<ContainerId> {
    let name = segment.rsplit(':').next().unwrap_or(segment);
    let name = name.strip_suffix(".scope").unwrap_or(name);
    // A conmon, crio-conmon-<id>.scope, watches over a container from outside.
    let name = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix)).unwrap_or(name);
    ContainerId::new(name)
}

/// `pod<uid>` (cgroupfs), `kubepods-burstable-pod<uid>.slice` with underscores for dashes (systemd), or that before colons.
fn pod_uid(segment: &str) -> Option<Box<str>> {
    let name = segment.split(':').next().unwrap_or(segment);
    let uid = match name.strip_suffix(".slice") {
        Some(slice) if slice.contains("kubepods") => slice.rsplit_once("-pod")?.1,
        Some(_) => return None,
        None => name.strip_prefix("pod")?,
    };
    let uid = uid.replace('_', "-");
    let digits = uid.bytes().filter(u8::is_ascii_hexdigit).count();
    let dashes = uid.bytes().filter(|&byte| byte == b'-').count();
    // A UUID, or the 32 digits of a static pod's hash.
    (digits == 32 && digits + dashes == uid.len() && (dashes == 0 || dashes == 4)).then(|| uid.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    const NODE: &str = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
    const UID: &str = "8f6c2f3a-1d2e-4b5c-9a7b-0123456789ab";
    const UID_: &str = "8f6c2f3a_1d2e_4b5c_9a7b_0123456789ab";
    const HASH: &str = "0123456789abcdef0123456789abcdef";

    fn parsed(text: &str) -> Option<(String, Option<String>)> {
        let container = parse_container(text.as_bytes())?;
        Some((container.id.to_string(), container.pod_uid.map(Into::into)))
    }

    /// What each runtime and driver writes, and what it means: a container, and perhaps its pod.
    #[test]
    fn every_runtime_and_driver_is_understood() {
        for (text, pod) in [
            // docker: cgroupfs on v1, systemd on v2, and within its own cgroup namespace seen from a sibling.
            (
                format!(
                    "12:cpuset:/docker/{ID}\n1:name=systemd:/docker/{ID}\n0::/system.slice/docker.service\n"
                ),
                None,
            ),
            (format!("0::/system.slice/docker-{ID}.scope\n"), None),
            (format!("0::/../{ID}\n"), None),
            (format!("0::/../../kubepods/burstable/pod{UID}/{ID}\n"), Some(UID)),
            // docker under a kubelet.
            (format!("11:memory:/kubepods/besteffort/pod{UID}/{ID}\n"), Some(UID)),
            (
                format!(
                    "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID_}.slice/docker-{ID}.scope\n"
                ),
                Some(UID),
            ),
            // containerd: through ctr, under a kubelet with either driver, and with the driver's names mixed up.
            (format!("0::/k8s.io/{ID}\n"), None),
            (format!("0::/kubepods/pod{UID}/{ID}\n"), Some(UID)),
            (format!("0::/kubepods.slice/kubepods-pod{UID_}.slice/cri-containerd-{ID}.scope\n"), Some(UID)),
            (
                format!(
                    "0::/system.slice/containerd.service/kubepods-burstable-pod{UID_}.slice:cri-containerd:{ID}\n"
                ),
                Some(UID),
            ),
            // CRI-O.
            (
                format!(
                    "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod{UID_}.slice/crio-{ID}.scope\n"
                ),
                Some(UID),
            ),
            (format!("5:cpu:/kubepods/burstable/pod{UID}/crio-{ID}\n"), Some(UID)),
            // podman: as root, as a user, and with the payload in a group of its own.
            (format!("0::/machine.slice/libpod-{ID}.scope\n"), None),
            (
                format!(
                    "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container\n"
                ),
                None,
            ),
            (format!("4:pids:/libpod_parent/libpod-{ID}\n"), None),
            // k3s names nothing else, but is a service itself.
            (format!("0::/system.slice/k3s.service/kubepods/besteffort/pod{UID}/{ID}\n"), Some(UID)),
            // kind and minikube: the node is a container, and its own services are in it.
            (
                format!(
                    "0::/system.slice/docker-{NODE}.scope/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod{UID_}.slice/cri-containerd-{ID}.scope\n"
                ),
                Some(UID),
            ),
            (format!("9:cpu:/docker/{NODE}/kubepods/burstable/pod{UID}/{ID}\n"), Some(UID)),
            // A static pod.
            (format!("0::/kubepods/burstable/pod{HASH}/{ID}\n"), Some(HASH)),
            // Hybrid: the unified hierarchy knows less than the others, and systemd runs inside the container.
            (
                format!("3:memory:/kubepods/pod{UID}/{ID}\n0::/system.slice/docker-{ID}.scope/init.scope\n"),
                Some(UID),
            ),
        ] {
            assert_eq!(parsed(&text), Some((ID.to_owned(), pod.map(str::to_owned))), "{text}");
        }
    }

    #[test]
    fn a_process_on_its_way_is_where_the_hierarchy_that_is_asked_for_says() {
        let text = format!("12:cpu:/docker/{ID}\n1:name=systemd:/\n0::/system.slice/docker-{NODE}.scope\n");
        let id = |hierarchy| Some(parse_container_in(text.as_bytes(), hierarchy)?.id.to_string());
        assert_eq!((id(12), id(0)), (Some(ID.into()), Some(NODE.into())));
        assert_eq!((id(1), id(2)), (None, None));
    }

    #[test]
    fn what_is_no_container_is_none() {
        for text in [
            "0::/\n".to_owned(),
            "0::/init.scope\n".into(),
            "0::/user.slice/user-0.slice/session-3.scope\n".into(),
            "1:name=systemd:/system.slice/ssh.service\n".into(),
            format!("0::/machine.slice/crio-conmon-{ID}.scope\n"),
            format!("0::/machine.slice/libpod-conmon-{ID}.scope\n"),
            format!("0::/kubepods/burstable/pod{UID}\n"),
            "0::/lxc.payload.web\n".into(),
            format!("0::/docker/{}\n", &ID[1..]),
            format!("0::/docker/{ID}0\n"),
            format!("0::/docker/{}\n", ID.to_uppercase()),
            String::new(),
            "garbage\n".into(),
            ":::\n::\n".into(),
        ] {
            assert_eq!(parsed(&text), None, "{text}");
        }
        assert_eq!(parse_container(b"0::/docker/\xff\xfe\n"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_harm(text in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = parse_container(&text);
        }

        #[test]
        fn whatever_stands_around_it_a_container_is_found(
            before in "(/[a-z.@-]{1,12}){0,4}", id in "[0-9a-f]{64}", prefix in 0usize..5, behind in "(/[a-z.]{1,12}){0,2}",
        ) {
            let prefix = PREFIXES.get(prefix).copied().unwrap_or_default();
            let text = format!("0::{before}/{prefix}{id}.scope{behind}\n");
            prop_assert_eq!(parsed(&text), Some((id, None)));
        }
    }
}
