//! Where the project is, and how its tools are run.

use crate::metadata::Metadata;
use crate::tally::Tally;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace this program was built in.
pub(crate) struct Project {
    pub(crate) root: PathBuf,
    pub(crate) metadata: Metadata,
}

impl Project {
    /// Asks cargo about the workspace.
    pub(crate) fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask stands in the workspace")?;
        let mut command = cargo(root);
        let output = command
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .output()
            .with_context(|| format!("cannot run {command:?}"))?;
        if !output.status.success() {
            bail!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(Self { root: root.to_owned(), metadata: Metadata::parse(&output.stdout)? })
    }

    /// A cargo command in the workspace's root.
    pub(crate) fn cargo<S: AsRef<std::ffi::OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = cargo(&self.root);
        command.args(arguments);
        command
    }
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // Colours would stand in the lines that are counted.
    command.current_dir(root).env("CARGO_TERM_COLOR", "never");
    for name in std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()) {
        if is_of_this_package(&name) {
            command.env_remove(name);
        }
    }
    command
}

/// What cargo has told this program of its own package. There are build scripts that are run anew when it changes, and with
/// them all that needs them is built anew: it must be the same as where a user calls cargo.
fn is_of_this_package(name: &str) -> bool {
    ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| name.starts_with(prefix))
}

/// Runs a command that passes or fails as a whole.
pub(crate) fn pass_or_fail(mut command: Command) -> Result<Tally> {
    let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
    Ok(if status.success() { Tally::pass() } else { Tally::fail(format!("{}: {status}", shown(&command))) })
}

/// A command as one would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words: Vec<_> =
        std::iter::once(program).chain(command.get_args()).map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_passes_or_fails_by_its_status() -> Result<()> {
        assert_eq!(pass_or_fail(Command::new("true"))?, Tally::pass());
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exit 3"]);
        assert_eq!(pass_or_fail(command)?.failed, ["sh -c exit 3: exit status: 3"]);
        assert!(pass_or_fail(Command::new("/nonexistent")).is_err());
        Ok(())
    }

    #[test]
    fn cargo_is_not_told_of_this_package() -> Result<()> {
        let removed = |name: &str| {
            let command = cargo(Path::new("/"));
            command.get_envs().any(|(key, value)| key == name && value.is_none())
        };
        // These are there while a test runs, as they are under `cargo run`.
        for name in ["CARGO_PKG_NAME", "CARGO_PKG_VERSION_MAJOR", "CARGO_MANIFEST_DIR"] {
            assert!(std::env::var_os(name).is_some() && removed(name), "{name}");
        }
        assert!(!removed("CARGO_HOME") && !removed("CARGO_TARGET_DIR") && !removed("PATH"));
        Ok(())
    }

    #[test]
    fn the_workspace_is_found_with_its_crates() -> Result<()> {
        let project = Project::find()?;
        assert!(project.root.join("xtask/src/project.rs").is_file());
        assert!(project.metadata.packages.iter().any(|package| package.name == "xtask"));
        Ok(())
    }
}
