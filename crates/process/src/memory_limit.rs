//! How much memory a process's control groups leave it: cgroups(7), and cgroup-v1/memory and cgroup-v2 in the kernel's
//! documentation.

use crate::ProcFs;
use std::fs;
use std::path::{Path, PathBuf};

/// A file of the limit, below the mount point of its hierarchy.
const V1: &str = "memory.limit_in_bytes";
const V2: &str = "memory.max";
/// Control groups are not nested deeper than anybody could mean.
const MAX_DEPTH: usize = 64;
/// Version 1 writes "no limit" as the largest multiple of a page; no machine has as much.
const NO_LIMIT: u64 = 1 << 60;

impl ProcFs {
    /// The lowest limit of memory among the control groups of the agent itself; `None` if there is none, or if it cannot
    /// be read.
    ///
    /// In a container the hierarchy usually begins at the container, so that what is above it cannot be seen.
    pub fn own_memory_limit(&self) -> Option<u64> {
        let read = |name: &str| fs::read_to_string(self.root.join("self").join(name)).ok();
        let (groups, mounts) = (read("cgroup")?, read("mountinfo")?);
        hierarchies(&groups, &mounts).into_iter().filter_map(|group| group.limit()).min()
    }
}

/// A process's place in a hierarchy that knows of memory.
#[derive(PartialEq, Eq, Debug)]
struct Group {
    mount_point: PathBuf,
    /// Below the mount point.
    path: PathBuf,
    file: &'static str,
}

impl Group {
    /// The lowest limit from here up to the mount point.
    fn limit(&self) -> Option<u64> {
        let ancestors = self.path.ancestors().take(MAX_DEPTH);
        let limit =
            |path: &Path| parse_limit(&fs::read_to_string(self.mount_point.join(path).join(self.file)).ok()?);
        ancestors.filter_map(limit).min()
    }
}

fn parse_limit(text: &str) -> Option<u64> {
    // Version 2 writes "max" where there is no limit.
    text.trim().parse().ok().filter(|&bytes| bytes < NO_LIMIT)
}

fn hierarchies(groups: &str, mounts: &str) -> Vec<Group> {
    mounts.lines().filter_map(|mount| group_of(groups, mount)).collect()
}

/// `36 35 98:0 /root /mount/point options … - type source super-options`: proc_pid_mountinfo(5).
fn group_of(groups: &str, mount: &str) -> Option<Group> {
    let (mount, file_system) = mount.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let (root, mount_point) = (unescaped(mount.next()?), unescaped(mount.next()?));
    let mut file_system = file_system.split(' ');
    let (kind, options) = (file_system.next()?, file_system.nth(1)?);
    let (controller, file) = match kind {
        "cgroup2" => ("", V2),
        "cgroup" if options.split(',').any(|option| option == "memory") => ("memory", V1),
        _ => return None,
    };
    let path = groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        controllers.split(',').any(|name| name == controller).then_some(path)
    })?;
    // What is mounted may begin at a group of its own, and the path counts from the hierarchy's beginning. A path that
    // leads out of what can be seen ("/../..") has nothing to read.
    let path = Path::new(path).strip_prefix(&root).unwrap_or(Path::new(""));
    let path = path.strip_prefix("/").unwrap_or(path);
    let inside = !path.components().any(|part| part.as_os_str() == "..");
    Some(Group { mount_point, path: if inside { path.into() } else { PathBuf::new() }, file })
}

/// mountinfo writes blanks and backslashes as octal numbers.
fn unescaped(text: &str) -> PathBuf {
    let text = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(text.to_owned(), |text, (escape, plain)| text.replace(escape, plain));
    PathBuf::from(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1_MOUNT: &str = "31 24 0:27 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory";
    const V2_MOUNT: &str = "30 24 0:26 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";

    fn found(groups: &str, mounts: &[&str]) -> Vec<(String, String, &'static str)> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let groups = hierarchies(groups, &mounts.join("\n")).into_iter();
        groups.map(|group| (text(&group.mount_point), text(&group.path), group.file)).collect()
    }

    fn expected(mount: &str, path: &str, file: &'static str) -> (String, String, &'static str) {
        (mount.into(), path.into(), file)
    }

    #[test]
    fn the_group_is_found_in_either_version_and_in_both() {
        let both = "5:cpu,cpuacct:/other\n4:memory:/kubepods/podx/abc\n0::/system.slice/telegen.service\n";
        let v1 = expected("/sys/fs/cgroup/memory", "kubepods/podx/abc", V1);
        let v2 = expected("/sys/fs/cgroup/unified", "system.slice/telegen.service", V2);
        assert_eq!(found(both, &[V1_MOUNT, V2_MOUNT]), [v1, v2]);
        assert_eq!(found("0::/\n", &[V2_MOUNT, V1_MOUNT]), [expected("/sys/fs/cgroup/unified", "", V2)]);
        assert_eq!(found(both, &["22 1 8:1 / / rw - ext4 /dev/vda rw"]), []);
    }

    #[test]
    fn what_is_mounted_may_begin_further_down() {
        let mount = "31 24 0:27 /docker/abc /sys/fs/cgroup/memory\\040x ro - cgroup cgroup rw,memory";
        let groups = "4:memory:/docker/abc/inner";
        assert_eq!(found(groups, &[mount]), [expected("/sys/fs/cgroup/memory x", "inner", V1)]);
        // Seen from within a namespace of control groups, or not at all.
        for groups in ["4:memory:/", "4:memory:/../../x", "4:memory:/elsewhere"] {
            assert_eq!(found(groups, &[mount]), [expected("/sys/fs/cgroup/memory x", "", V1)], "{groups}");
        }
    }

    #[test]
    fn the_lowest_limit_on_the_way_up_holds() {
        let directory = tempfile::tempdir().unwrap();
        let group = directory.path().join("a/b");
        fs::create_dir_all(&group).unwrap();
        let limit = || Group { mount_point: directory.path().into(), path: "a/b".into(), file: V2 }.limit();
        assert_eq!(limit(), None);
        fs::write(group.join(V2), "max\n").unwrap();
        assert_eq!(limit(), None);
        fs::write(directory.path().join("a").join(V2), "1048576\n").unwrap();
        assert_eq!(limit(), Some(1 << 20));
        fs::write(group.join(V2), "2097152\n").unwrap();
        assert_eq!(limit(), Some(1 << 20));
        assert_eq!(parse_limit("9223372036854771712\n"), None);
    }
}
