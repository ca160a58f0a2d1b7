//! A small file system that can be filled.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted tmpfs, unmounted when dropped.
#[derive(Debug)]
pub struct Tmpfs {
    path: PathBuf,
}

impl Tmpfs {
    /// Mounts one of so many KiB at a new directory.
    ///
    /// # Errors
    ///
    /// If mounting is not permitted.
    pub fn mount(path: PathBuf, size_kib: u32) -> Result<Self> {
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let size = format!("size={size_kib}k,mode=755");
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&path).output()?;
        if !output.status.success() {
            bail!("cannot mount a tmpfs: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fills it to the last byte with one file, `filler`.
    ///
    /// # Errors
    ///
    /// If the file cannot be made.
    pub fn fill(&self) -> Result<()> {
        use std::io::Write;
        let mut file = std::fs::File::create(self.path.join("filler"))?;
        while file.write_all(&[b'x'; 4096]).is_ok() {}
        Ok(())
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // Lazily, so that nothing which still has a file open there can keep the mount.
        let _ = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}
