//! A control group that holds nothing but what is measured, and counts its memory as an OOM killer does.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// A control group of the memory controller; it is removed when this is dropped.
pub(crate) struct MemoryGroup {
    directory: PathBuf,
    peak: &'static str,
}

/// Where the memory controller may be, and what the most it has seen is called there.
const HIERARCHIES: [(&str, &str); 3] = [
    ("/sys/fs/cgroup/memory", "memory.max_usage_in_bytes"),
    ("/sys/fs/cgroup", "memory.peak"),
    ("/sys/fs/cgroup/unified", "memory.peak"),
];

impl MemoryGroup {
    pub(crate) fn create(name: &str) -> Result<Self> {
        for (root, peak) in HIERARCHIES {
            let directory = Path::new(root).join(format!("{name}-{}", std::process::id()));
            if !Path::new(root).join("cgroup.procs").exists() || fs::create_dir(&directory).is_err() {
                continue;
            }
            let group = Self { directory, peak };
            if group.directory.join(peak).exists() {
                return Ok(group);
            }
        }
        anyhow::bail!("there is no memory controller to be found")
    }

    /// Where a process enters by writing its pid.
    pub(crate) fn entrance(&self) -> PathBuf {
        self.directory.join("cgroup.procs")
    }

    /// The most it has held, page cache and kernel memory included.
    pub(crate) fn peak_bytes(&self) -> Result<u64> {
        let text = fs::read_to_string(self.directory.join(self.peak))?;
        text.trim().parse().context("no number of bytes")
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        // It is busy until the kernel has let go of its last process.
        for _ in 0..50 {
            if fs::remove_dir(&self.directory).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}
