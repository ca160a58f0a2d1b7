//! Settings of the kernel.

use anyhow::{Context, Result};
use std::fs;

/// A sysctl that has another value while this lives.
#[derive(Debug)]
pub struct Sysctl {
    path: &'static str,
    before: String,
}

impl Sysctl {
    /// Sets it; the path is that below `/proc/sys`, with it.
    ///
    /// # Errors
    ///
    /// If there is none, or it may not be written.
    pub fn set(path: &'static str, value: &str) -> Result<Self> {
        let before = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
        fs::write(path, value).with_context(|| format!("cannot write {path}"))?;
        Ok(Self { path, before })
    }
}

impl Drop for Sysctl {
    fn drop(&mut self) {
        // Nobody could do anything about it.
        let _ = fs::write(self.path, &self.before);
    }
}
