//! Becoming root, for the tests that load BPF programs.

use anyhow::{Context, Result, bail};
use rustix::process::{getegid, geteuid};
use std::path::Path;
use std::process::{Command, Stdio};

/// How to run something as root.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Privilege {
    /// This process is root.
    Root,
    /// `sudo` does not ask for a password.
    Sudo,
}

/// What the Rust toolchain needs of the caller's environment: sudo has a HOME of its own, whatever it is told to keep.
const KEPT_VARIABLES: [&str; 3] = ["HOME", "CARGO_HOME", "RUSTUP_HOME"];

impl Privilege {
    /// Finds out.
    ///
    /// # Errors
    ///
    /// If there is no way without asking somebody.
    pub(crate) fn obtain() -> Result<Self> {
        if geteuid().is_root() {
            return Ok(Self::Root);
        }
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "true"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if sudo.status().is_ok_and(|status| status.success()) {
            return Ok(Self::Sudo);
        }
        bail!(
            "the end-to-end tests load BPF programs, as root: run this as root, or let sudo work without a password \
             (`cargo test` runs all tests that need neither)"
        )
    }

    /// The words before a program's name that run it as root and with this PATH; none if that is not needed.
    pub(crate) fn prefix(self, path: &str) -> Vec<String> {
        match self {
            Self::Root => Vec::new(),
            Self::Sudo => {
                let kept = KEPT_VARIABLES
                    .iter()
                    .filter_map(|name| Some(format!("{name}={}", std::env::var(name).ok()?)));
                let sudo = ["sudo", "-n", "-E", "env"].into_iter().map(str::to_owned);
                sudo.chain([format!("PATH={path}")]).chain(kept).collect()
            }
        }
    }

    /// Gives back to the caller what was written as root for them.
    pub(crate) fn give_back(self, path: &Path) -> Result<()> {
        if self == Self::Root || !path.exists() {
            return Ok(());
        }
        let owner = format!("{}:{}", geteuid().as_raw(), getegid().as_raw());
        let mut chown = Command::new("sudo");
        chown.args(["-n", "chown", "-R", "--no-dereference", &owner]).arg(path);
        let status = chown.status().with_context(|| format!("cannot run {chown:?}"))?;
        if !status.success() {
            bail!("{} is left to root: {chown:?}: {status}", path.display());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_needs_no_prefix_and_sudo_passes_on_the_path() {
        assert!(Privilege::Root.prefix("/bin").is_empty());
        let prefix = Privilege::Sudo.prefix("/bin:/sbin");
        assert_eq!(prefix[..5], ["sudo", "-n", "-E", "env", "PATH=/bin:/sbin"]);
    }
}
