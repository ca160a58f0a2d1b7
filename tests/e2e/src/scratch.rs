//! A directory for one test.

use crate::{Program, Running};
use anyhow::{Context, Result};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A directory that is gone when the test is over. Every user may enter it, so that programs can run from it
/// unprivileged.
#[derive(Debug)]
pub struct Scratch {
    directory: TempDir,
}

impl Scratch {
    /// A new, empty directory.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn new() -> Result<Self> {
        let directory =
            tempfile::Builder::new().prefix("telegen-e2e-").tempdir().context("no scratch directory")?;
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755))?;
        Ok(Self { directory })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The path of something in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Puts a copy of a program here under a name, so that this test's processes are told from all others by it.
    ///
    /// # Errors
    ///
    /// If the program cannot be built or copied.
    pub fn install(&self, program: Program, name: &str) -> Result<PathBuf> {
        let path = self.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        if path.exists() {
            // It may be running, and then cannot be written.
            return Ok(path);
        }
        fs::copy(program.built()?, &path).with_context(|| format!("cannot install {}", path.display()))?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        Ok(path)
    }

    /// Installs a program under a name and starts it.
    ///
    /// # Errors
    ///
    /// If it cannot be installed or started.
    pub fn start(&self, program: Program, name: &str, arguments: &[&str]) -> Result<Running> {
        Running::spawn(Command::new(self.install(program, name)?).args(arguments))
    }

    /// The path of something in it, as text.
    pub fn text(&self, name: &str) -> String {
        self.join(name).to_string_lossy().into_owned()
    }

    /// Writes a file.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }
}
