//! The end-to-end tests: telegen built as users of `cargo build` have it, with its assertions, against real programs.

use crate::libtest;
use crate::privilege::Privilege;
use crate::project::Project;
use crate::skips::{AllowedSkips, count_skips};
use crate::tally::Tally;
use anyhow::{Context, Result, bail};
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The tests that may be skipped, relative to the workspace's root.
const ALLOWED_SKIPS: &str = "tests/e2e/allowed-skips.txt";

/// Where system tools such as `bpftool` and `runc` are, also for those whose PATH does not say so.
const SYSTEM_TOOLS: &str = "/usr/local/sbin:/usr/sbin:/sbin";

/// Runs the tests whose names contain one of the given ones, or all if none is given.
pub(crate) fn run(project: &Project, names: &[String]) -> Result<Tally> {
    let privilege = Privilege::obtain()?;
    let allowed = project.root.join(ALLOWED_SKIPS);
    let allowed =
        fs::read_to_string(&allowed).with_context(|| format!("cannot read {}", allowed.display()))?;
    let allowed = AllowedSkips::parse(&allowed).context(ALLOWED_SKIPS)?;
    let telegen = build(project)?;
    let skips = project.metadata.target_directory.join("e2e-skips.txt");
    fs::write(&skips, "").with_context(|| format!("cannot write {}", skips.display()))?;
    let mut tally = libtest::run_one_at_a_time(test_command(project, privilege, &telegen, &skips, names))?;
    privilege.give_back(&project.metadata.target_directory.join("debug/e2e-workloads"))?;
    let skips = fs::read_to_string(&skips).with_context(|| format!("cannot read {}", skips.display()))?;
    count_skips(&mut tally, &skips, &allowed)?;
    Ok(tally)
}

/// Builds telegen; the path of the program.
fn build(project: &Project) -> Result<PathBuf> {
    let mut command = project.cargo(["build", "--locked", "-p", "telegen"]);
    command.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("telegen does not compile");
    }
    executable(&String::from_utf8_lossy(&output.stdout)).context("cargo does not say where it put telegen")
}

/// The path of telegen among cargo's messages, one JSON object a line.
fn executable(messages: &str) -> Option<PathBuf> {
    messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let ours = message["target"]["name"] == "telegen" && message["target"]["kind"][0] == "bin";
        ours.then(|| message["executable"].as_str().map(PathBuf::from))?
    })
}

fn test_command(
    project: &Project,
    privilege: Privilege,
    telegen: &Path,
    skips: &Path,
    names: &[String],
) -> Command {
    let mut command = project.cargo(["test", "--locked", "--no-fail-fast", "-p", "telegen-e2e"]);
    let path = path_with_system_tools();
    let prefix = privilege.prefix(&path);
    if !prefix.is_empty() {
        // Compiled by the caller, run as root. A list of strings looks the same in JSON and in TOML.
        let runner = serde_json::Value::from(prefix);
        command.arg("--config").arg(format!("target.'cfg(unix)'.runner = {runner}"));
    }
    command.args(["--", "--test-threads=1"]).args(names);
    command.env("TELEGEN_BIN", telegen).env("TELEGEN_E2E_SKIPS", skips).env("PATH", path);
    command
}

fn path_with_system_tools() -> String {
    format!("{}:{SYSTEM_TOOLS}", env::var("PATH").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_among_cargos_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"telegen_model","kind":["lib"]},"executable":null}
not json
{"reason":"build-script-executed","package_id":"telegen"}
{"reason":"compiler-artifact","target":{"name":"telegen","kind":["bin"]},"executable":"/t/debug/telegen"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages), Some(PathBuf::from("/t/debug/telegen")));
        assert_eq!(executable(r#"{"reason":"build-finished","success":true}"#), None);
    }

    #[test]
    fn the_tests_run_one_at_a_time_and_as_root() -> Result<()> {
        let project = Project::find()?;
        let names = ["labels".to_owned()];
        let words = |privilege| {
            let command = test_command(&project, privilege, Path::new("/t"), Path::new("/s"), &names);
            command.get_args().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        let as_root = words(Privilege::Root);
        assert!(as_root.ends_with(&["--".into(), "--test-threads=1".into(), "labels".into()]), "{as_root:?}");
        assert!(!as_root.contains(&"--config".to_owned()));
        let runner =
            words(Privilege::Sudo).into_iter().find(|word| word.contains("runner")).unwrap_or_default();
        assert!(
            runner.starts_with(r#"target.'cfg(unix)'.runner = ["sudo","-n","-E","env","PATH="#),
            "{runner}"
        );
        assert!(runner.contains(SYSTEM_TOOLS), "{runner}");
        Ok(())
    }

    #[test]
    fn the_list_of_allowed_skips_can_be_read() -> Result<()> {
        let list = fs::read_to_string(Project::find()?.root.join(ALLOWED_SKIPS))?;
        AllowedSkips::parse(&list)?;
        Ok(())
    }
}
