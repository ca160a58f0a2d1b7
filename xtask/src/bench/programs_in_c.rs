//! The programs in C that are measured, or that make what is measured.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A process that spends some CPU time, ends at once, or waits; its arguments say which. Nearly all its time it is in
/// [`SPINNING`].
pub(crate) const LIFE: &str = include_str!("c/life.c");
/// The function in which it spends its time.
pub(crate) const SPINNING: &str = "tg_bench_spin";
/// What starts others.
pub(crate) const STARTER: &str = include_str!("c/starter.c");
/// One file, without any other that it needs: it runs in a container that holds nothing else, and starts fast.
pub(crate) const STATIC: [&str; 3] = ["-O2", "-g", "-static"];

/// A directory for programs, removed when this is dropped.
pub(crate) struct Workshop(PathBuf);

impl Workshop {
    /// A directory of that name, this process's own.
    pub(crate) fn open(name: &str) -> Result<Self> {
        let directory = std::env::temp_dir().join(format!("telegen-bench-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory)?;
        Ok(Self(directory))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Compiles a program, at this place in the directory.
    pub(crate) fn build(&self, source: &str, flags: &[&str], program: &str) -> Result<PathBuf> {
        let program = self.0.join(program);
        let file = program.with_extension("c");
        let directory = program.parent().context("a program without a directory")?;
        fs::create_dir_all(directory)?;
        fs::write(&file, source)?;
        let mut command = Command::new("cc");
        command.args(flags).arg("-o").arg(&program).arg(&file);
        let output = command.output().context("cannot run cc")?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::remove_file(file)?;
        Ok(program)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        // What cannot be removed is found below the directory for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}
