//! The program under test.

use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::Command;

/// The binary under test: `$TELEGEN_BIN`, else the one that was built last into the target directory of this test.
///
/// # Errors
///
/// If there is none.
pub fn telegen_binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("TELEGEN_BIN") {
        let path = PathBuf::from(path);
        return path.canonicalize().with_context(|| format!("$TELEGEN_BIN: {}", path.display()));
    }
    let executable = std::env::current_exe().context("where am I")?;
    let target = executable.ancestors().nth(3).context("a test binary lies in <target>/<profile>/deps")?;
    let built = ["debug", "release"].map(|profile| target.join(profile).join("telegen"));
    let newest = built
        .into_iter()
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .max_by_key(|(modified, _)| *modified);
    match newest {
        Some((_, path)) => Ok(path),
        None => bail!("no telegen in {}: build it first, or set $TELEGEN_BIN", target.display()),
    }
}

/// A command that runs telegen with the given arguments, untouched by this process's environment.
///
/// # Errors
///
/// If there is no binary.
pub fn telegen<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<Command> {
    let mut command = Command::new(telegen_binary()?);
    clean(&mut command);
    command.args(arguments);
    Ok(command)
}

/// The same as the user nobody, without any capability.
///
/// # Errors
///
/// If there is no binary.
pub fn telegen_as_nobody<S: AsRef<std::ffi::OsStr>>(
    arguments: impl IntoIterator<Item = S>,
) -> Result<Command> {
    let mut command = Command::new("setpriv");
    clean(&mut command);
    command.args([
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--bounding-set=-all",
        "--inh-caps=-all",
    ]);
    command.arg("--").arg(telegen_binary()?).args(arguments).env("HOME", "/nonexistent");
    Ok(command)
}

/// The capabilities that telegen has a use for, as setpriv(1) writes them.
pub const NEEDED_CAPABILITIES: [&str; 6] =
    ["bpf", "perfmon", "sys_ptrace", "dac_read_search", "syslog", "checkpoint_restore"];

/// The same as the user nobody, who has these capabilities and no others.
///
/// # Errors
///
/// If there is no binary.
pub fn telegen_as_nobody_with<S: AsRef<std::ffi::OsStr>>(
    capabilities: &[&str],
    arguments: impl IntoIterator<Item = S>,
) -> Result<Command> {
    let list: String = capabilities.iter().map(|name| format!(",+{name}")).collect();
    let sets = ["inh-caps", "ambient-caps"].map(|set| format!("--{set}=-all{list}"));
    let mut command = Command::new("setpriv");
    clean(&mut command);
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).args(sets).arg("--");
    command.arg(telegen_binary()?).args(arguments).env("HOME", "/nonexistent");
    Ok(command)
}

fn clean(command: &mut Command) {
    let foreign =
        ["NO_COLOR", "CLICOLOR_FORCE", "FORCE_COLOR", "KUBECONFIG", "NODE_NAME", "POD_NAME", "POD_NAMESPACE"];
    for name in foreign.iter().chain(&["RUST_LOG", "RUST_BACKTRACE", "TELEGEN_BTF_PATH"]) {
        command.env_remove(name);
    }
    command.env("LC_ALL", "C.UTF-8").env("TZ", "UTC");
}
