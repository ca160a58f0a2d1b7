//! Commands that see other mounts than the rest of the machine.

use std::process::Command;

/// The same command in a mount namespace of its own, after a shell has made `changes` there. Nobody else sees these, and
/// they go with the command.
pub fn with_mounts(changes: &str, command: &Command) -> Command {
    let mut changed = Command::new("unshare");
    changed.args(["--mount", "sh", "-c", &format!("set -e; {changes}; exec \"$@\""), "sh"]);
    changed.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => changed.env(name, value),
            None => changed.env_remove(name),
        };
    }
    changed
}
