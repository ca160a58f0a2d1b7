//! The end-to-end tests: telegen built as users of `cargo build` have it, with its assertions, against real programs.

use crate::lanes::Lanes;
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
use std::thread;

/// The crate of the tests, relative to the workspace's root.
const DIRECTORY: &str = "tests/e2e";

/// The tests that may be skipped, in that directory.
const ALLOWED_SKIPS: &str = "allowed-skips.txt";

/// The tests that may run beside others, in that directory.
const LANES: &str = "lanes.txt";

/// Builds the tests. Of telegen nothing is built with them, but together they have the dependencies that the unit tests have,
/// feature by feature, so that these are not compiled once more.
const TESTS: [&str; 9] =
    ["test", "--locked", "--no-run", "-p", "telegen-e2e", "-p", "telegen", "--lib", "--test=main"];

/// Where system tools such as `bpftool` and `runc` are, also for those whose PATH does not say so.
const SYSTEM_TOOLS: &str = "/usr/local/sbin:/usr/sbin:/sbin";

/// Runs the tests whose names contain one of the given ones, or all if none is given.
pub(crate) fn run(project: &Project, names: &[String]) -> Result<Tally> {
    let privilege = Privilege::obtain()?;
    let allowed = AllowedSkips::parse(&read(project, ALLOWED_SKIPS)?).context(ALLOWED_SKIPS)?;
    let lanes = Lanes::parse(&read(project, LANES)?).context(LANES)?;
    let telegen = messages(project, &["build", "--locked", "-p", "telegen"])?;
    let telegen = executable(&telegen, "telegen", "bin")?;
    let tests = messages(project, &TESTS)?;
    let (harness, main) = (executable(&tests, "telegen_e2e", "lib")?, executable(&tests, "main", "test")?);
    let skips = project.metadata.target_directory.join("e2e-skips.txt");
    fs::write(&skips, "").with_context(|| format!("cannot write {}", skips.display()))?;
    let runner = Runner { project, privilege, telegen, skips, path: path_with_system_tools() };
    let mut tally = runner.one_at_a_time(&harness, "harness", runner.names(&harness, names)?)?;
    let (alone, beside) = lanes.split(runner.names(&main, names)?);
    tally.take(runner.one_at_a_time(&main, "main", alone)?);
    tally.take(runner.beside_each_other(&main, beside)?);
    privilege.give_back(&project.metadata.target_directory.join("debug/e2e-workloads"))?;
    let skips = &runner.skips;
    let skips = fs::read_to_string(skips).with_context(|| format!("cannot read {}", skips.display()))?;
    count_skips(&mut tally, &skips, &allowed)?;
    Ok(tally)
}

fn read(project: &Project, name: &str) -> Result<String> {
    let path = project.root.join(DIRECTORY).join(name);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// What cargo says of what it builds.
fn messages(project: &Project, arguments: &[&str]) -> Result<String> {
    let mut command = project.cargo(arguments);
    command.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("cargo {} fails", arguments.join(" "));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The path of a program among cargo's messages, one JSON object a line.
fn executable(messages: &str, name: &str, kind: &str) -> Result<PathBuf> {
    let path = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let ours = message["target"]["name"] == name && message["target"]["kind"][0] == kind;
        ours.then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    path.with_context(|| format!("cargo does not say where it put {name}"))
}

/// What the test programs are run with.
struct Runner<'a> {
    project: &'a Project,
    privilege: Privilege,
    telegen: PathBuf,
    skips: PathBuf,
    path: String,
}

impl Runner<'_> {
    /// The names of a program's tests that contain one of the given ones.
    fn names(&self, program: &Path, names: &[String]) -> Result<Vec<String>> {
        let mut command = Command::new(program);
        command.args(["--list", "--format", "terse"]).args(names);
        let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
        if !output.status.success() {
            bail!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        let list = String::from_utf8_lossy(&output.stdout);
        Ok(list.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
    }

    /// Runs these tests while nothing else does.
    fn one_at_a_time(&self, program: &Path, called: &str, tests: Vec<String>) -> Result<Tally> {
        if tests.is_empty() {
            return Ok(Tally::default());
        }
        println!("\n{called}, one at a time:");
        libtest::run_serially(self.command(program, &tests), called, |line| println!("{line}"))
    }

    /// Runs the tests of each lane one at a time, and all lanes at once; what a lane has printed is shown when it is through.
    fn beside_each_other(&self, program: &Path, lanes: Vec<Vec<String>>) -> Result<Tally> {
        let run = |tests: Vec<String>| -> Result<Tally> {
            let mut lines = String::new();
            let command = self.command(program, &tests);
            let tally = libtest::run_serially(command, "main", |line| lines = format!("{lines}{line}\n"));
            println!("\nmain, one of the lanes beside each other:\n{lines}");
            tally
        };
        thread::scope(|scope| {
            let running: Vec<_> = lanes.into_iter().map(|tests| scope.spawn(|| run(tests))).collect();
            let mut all = Tally::default();
            for lane in running {
                all.take(lane.join().unwrap_or_else(|_| bail!("a lane has panicked"))?);
            }
            Ok(all)
        })
    }

    /// A program with these tests, as root. What is compiled is compiled by the caller.
    fn command(&self, program: &Path, tests: &[String]) -> Command {
        let mut words = self.privilege.prefix(&self.path);
        words.push(program.to_string_lossy().into_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).args(["--test-threads=1", "--exact"]).args(tests);
        command.current_dir(self.project.root.join(DIRECTORY));
        command.env("TELEGEN_BIN", &self.telegen).env("TELEGEN_E2E_SKIPS", &self.skips);
        command.env("PATH", &self.path);
        command
    }
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
        assert_eq!(executable(messages, "telegen", "bin").ok(), Some(PathBuf::from("/t/debug/telegen")));
        assert!(executable(messages, "telegen", "test").is_err());
    }

    fn runner(project: &Project, privilege: Privilege) -> Runner<'_> {
        let (telegen, skips) = (PathBuf::from("/t"), PathBuf::from("/s"));
        Runner { project, privilege, telegen, skips, path: path_with_system_tools() }
    }

    #[test]
    fn the_tests_run_one_at_a_time_and_as_root() -> Result<()> {
        let project = Project::find()?;
        let tests = ["labels::a".to_owned()];
        let words = |privilege| {
            let command = runner(&project, privilege).command(Path::new("/main"), &tests);
            let words = [command.get_program()].into_iter().chain(command.get_args());
            words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(words(Privilege::Root), ["/main", "--test-threads=1", "--exact", "labels::a"]);
        let with_sudo = words(Privilege::Sudo);
        assert_eq!(with_sudo[..4], ["sudo", "-n", "-E", "env"]);
        assert!(with_sudo[4].contains(SYSTEM_TOOLS), "{with_sudo:?}");
        assert!(with_sudo.ends_with(&words(Privilege::Root)), "{with_sudo:?}");
        Ok(())
    }

    #[test]
    fn the_tests_of_all_lanes_are_counted() -> Result<()> {
        let project = Project::find()?;
        // Said again by what stands in for a test program.
        let passed = "\nrunning 1 test\ntest a ... ok\ntest result: ok. 1 passed; 0 failed;";
        let failed = "\nrunning 1 test\ntest b ... FAILED\nfailures:\n    b\n\ntest result: FAILED. 0 passed; 1 failed;";
        let lanes = [passed, failed, "no result"].map(|said| vec![said.to_owned()]);
        let tally =
            runner(&project, Privilege::Root).beside_each_other(Path::new("/bin/echo"), lanes.to_vec())?;
        assert_eq!((tally.passed, tally.timed.len()), (1, 2));
        assert_eq!(tally.failed, ["main: b", "main ended without a result"]);
        Ok(())
    }

    #[test]
    fn the_lists_can_be_read_and_what_is_in_a_lane_is_there() -> Result<()> {
        let project = Project::find()?;
        AllowedSkips::parse(&read(&project, ALLOWED_SKIPS)?)?;
        let lanes = Lanes::parse(&read(&project, LANES)?)?;
        assert!(lanes.modules().count() > 0);
        for module in lanes.modules() {
            let file = project.root.join(DIRECTORY).join(format!("tests/{module}.rs"));
            assert!(file.is_file(), "there are no tests in {}", file.display());
        }
        Ok(())
    }
}
