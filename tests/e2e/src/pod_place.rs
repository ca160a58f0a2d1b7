//! Where a kubelet puts the containers of a pod.

use std::fs;
use std::path::{Path, PathBuf};

/// A pod as control groups have it.
#[derive(Clone, Debug)]
pub struct PodPlace {
    uid: String,
    shape: Shape,
    shares_pids: bool,
}

#[derive(Clone, Copy, Debug)]
enum Shape {
    Cgroupfs,
    /// With what the runtime puts before an id.
    Systemd(&'static str),
}

impl PodPlace {
    /// By the cgroupfs driver: `/kubepods/burstable/pod<uid>/<id>`.
    pub fn cgroupfs(uid: &str) -> Self {
        Self { uid: uid.to_owned(), shape: Shape::Cgroupfs, shares_pids: false }
    }

    /// By the systemd driver with containerd: slices, and `cri-containerd-<id>.scope`.
    pub fn containerd(uid: &str) -> Self {
        Self { shape: Shape::Systemd("cri-containerd"), ..Self::cgroupfs(uid) }
    }

    /// By the systemd driver with CRI-O: slices, and `crio-<id>.scope`.
    pub fn crio(uid: &str) -> Self {
        Self { shape: Shape::Systemd("crio"), ..Self::cgroupfs(uid) }
    }

    /// In the node's own namespace of pids, as `hostPID: true` asks for.
    #[must_use]
    pub fn with_the_nodes_pids(self) -> Self {
        Self { shares_pids: true, ..self }
    }

    /// The pod's uid.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// The control group of a container, below the root of any hierarchy.
    pub fn cgroup(&self, id: &str) -> String {
        let Self { uid, shape, .. } = self;
        match shape {
            Shape::Cgroupfs => format!("/kubepods/burstable/pod{uid}/{id}"),
            Shape::Systemd(runtime) => {
                let uid = uid.replace('-', "_");
                format!(
                    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{uid}.slice/{runtime}-{id}.scope"
                )
            }
        }
    }

    pub(crate) fn shares_pids(&self) -> bool {
        self.shares_pids
    }
}

/// A control group and all above it, in every hierarchy; the innermost comes first.
pub(crate) fn cgroups(path: &str) -> Vec<PathBuf> {
    let groups = |hierarchy: &PathBuf| {
        let hierarchy = hierarchy.clone();
        let above = Path::new(path).ancestors().filter(|path| *path != Path::new("/"));
        above.map(move |path| hierarchy.join(path.strip_prefix("/").unwrap_or(path))).collect::<Vec<_>>()
    };
    hierarchies().iter().flat_map(groups).collect()
}

/// Where there may be hierarchies: one, or one a directory.
fn hierarchies() -> Vec<PathBuf> {
    let mut hierarchies = vec![PathBuf::from("/sys/fs/cgroup")];
    hierarchies
        .extend(fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path()));
    hierarchies
}

/// The roots of the hierarchies that there are.
pub(crate) fn mounted() -> Vec<PathBuf> {
    /// `CGROUP_SUPER_MAGIC` and `CGROUP2_SUPER_MAGIC` of linux/magic.h: what they are mounted below is a file system, too.
    const HIERARCHIES: [u64; 2] = [0x0027_e0eb, 0x6367_7270];
    let is_one = |root: &PathBuf| {
        rustix::fs::statfs(root).is_ok_and(|found| HIERARCHIES.contains(&(found.f_type as u64)))
    };
    hierarchies().into_iter().filter(is_one).collect()
}
