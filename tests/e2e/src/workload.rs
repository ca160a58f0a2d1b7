//! The programs that are profiled: built from `workloads/` when first asked for.

use anyhow::{Context, Result, anyhow, bail};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex};

/// A program to profile; what each does stands at the top of its source.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Program {
    /// Three functions at 50 %, 30 % and 20 %: `burn.c`.
    Burn,
    /// The same, linked statically.
    BurnStatic,
    /// The same, without symbols and debug information.
    BurnStripped,
    /// A parent that forks a burning child: `forker.c`.
    Forker,
    /// A child under a chosen pid: `at_pid.c`.
    AtPid,
    /// Many children that burn at once: `crowd.c`.
    Crowd,
    /// A parent that forks and execs: `spawner.c`.
    Spawner,
    /// A program that becomes another: `exec_midway.c`.
    ExecMidway,
    /// A program that renames itself: `rename.c`.
    Rename,
    /// A short life: `short.c`.
    Short,
    /// Work before `main`: `early.c`.
    Early,
    /// Time in the kernel: `syscalls.c`.
    Syscalls,
    /// An inlined function: `inlined.c`.
    Inlined,
    /// A function made at run time, and a map of it: `generated.c`.
    Generated,
    /// A function made at run time, and a jitdump file of it: `jitdump.c`.
    JitDump,
    /// Time in the vDSO: `clocks.c`.
    Clocks,
    /// A child that is born in another control group: `into_cgroup.c`.
    IntoCgroup,
    /// More of something than a process should have: `crowded.c`.
    Crowded,
    /// A way to another program: `chain.c`.
    Chain,
    /// No CPU time at all: `sleeper.c`.
    Sleeper,
    /// The same, linked statically.
    SleeperStatic,
    /// C++ names: `templates.cpp`.
    Templates,
    /// Rust names: `burn.rs`.
    Rust,
    /// Go names: `burn.go`.
    Go,
    /// A function that is inlined, without symbols and debug information: `inlined.go`.
    GoStripped,
    /// The same, linked by the C compiler, to be loaded anywhere.
    GoStrippedPie,
    /// An inlined function, with its debug information in a file of its own: `inlined.c`.
    Split,
    /// Time in a BPF program: `bpf_busy.c`.
    BpfBusy,
}

const C: &[&str] =
    &["cc", "-O1", "-g", "-fno-omit-frame-pointer", "-fno-inline", "-pthread", "-Wall", "-Wl,--build-id"];
const STATIC_C: &[&str] =
    &["cc", "-O1", "-g", "-fno-omit-frame-pointer", "-fno-inline", "-pthread", "-static", "-Wl,--build-id"];
const STRIPPED_C: &[&str] =
    &["cc", "-O1", "-s", "-fno-omit-frame-pointer", "-fno-inline", "-pthread", "-Wl,--build-id"];
const OPTIMISED_C: &[&str] = &["cc", "-O2", "-g", "-fno-omit-frame-pointer", "-Wall", "-Wl,--build-id"];
const CXX: &[&str] =
    &["c++", "-std=c++17", "-O2", "-g", "-fno-omit-frame-pointer", "-Wall", "-Wl,--build-id"];
const RUST: &[&str] =
    &["rustc", "--edition=2021", "-Copt-level=2", "-Cdebuginfo=2", "-Cforce-frame-pointers=yes"];
const GO: &[&str] = &["go", "build"];
const STRIPPED_GO: &[&str] = &["go", "build", "-ldflags=-s -w"];
const STRIPPED_PIE_GO: &[&str] = &["go", "build", "-buildmode=pie", "-ldflags=-s -w -linkmode=external"];
const SPLIT_C: &[&str] =
    &["cc", "-O2", "-g", "-gsplit-dwarf", "-fno-omit-frame-pointer", "-Wall", "-Wl,--build-id"];

impl Program {
    fn source(self) -> &'static str {
        match self {
            Self::Burn | Self::BurnStatic | Self::BurnStripped => "burn.c",
            Self::Forker => "forker.c",
            Self::AtPid => "at_pid.c",
            Self::Crowd => "crowd.c",
            Self::Spawner => "spawner.c",
            Self::ExecMidway => "exec_midway.c",
            Self::Rename => "rename.c",
            Self::Short => "short.c",
            Self::Early => "early.c",
            Self::Syscalls => "syscalls.c",
            Self::Inlined => "inlined.c",
            Self::Generated => "generated.c",
            Self::JitDump => "jitdump.c",
            Self::Clocks => "clocks.c",
            Self::IntoCgroup => "into_cgroup.c",
            Self::Crowded => "crowded.c",
            Self::Chain => "chain.c",
            Self::Sleeper | Self::SleeperStatic => "sleeper.c",
            Self::Templates => "templates.cpp",
            Self::Rust => "burn.rs",
            Self::Go => "burn.go",
            Self::GoStripped | Self::GoStrippedPie => "inlined.go",
            Self::Split => "inlined.c",
            Self::BpfBusy => "bpf_busy.c",
        }
    }

    fn compiler(self) -> &'static [&'static str] {
        match self {
            Self::BurnStatic | Self::SleeperStatic => STATIC_C,
            Self::BurnStripped => STRIPPED_C,
            Self::Inlined => OPTIMISED_C,
            Self::Templates => CXX,
            Self::Rust => RUST,
            Self::Go => GO,
            Self::GoStripped => STRIPPED_GO,
            Self::GoStrippedPie => STRIPPED_PIE_GO,
            Self::Split => SPLIT_C,
            _ => C,
        }
    }

    /// The path of the built program.
    ///
    /// # Errors
    ///
    /// If there is no compiler or it fails.
    pub fn built(self) -> Result<PathBuf> {
        static BUILT: LazyLock<Mutex<BTreeMap<Program, PathBuf>>> = LazyLock::new(Mutex::default);
        // A test that panics while it builds leaves no half-made entry behind: entries are made whole.
        let mut built = BUILT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(path) = built.get(&self) {
            return Ok(path.clone());
        }
        let path = self.build()?;
        built.insert(self, path.clone());
        Ok(path)
    }

    fn build(self) -> Result<PathBuf> {
        build_with(&format!("{self:?}").to_lowercase(), self.compiler(), self.source())
    }
}

/// Builds a source of `workloads/` under a name, by a compiler and its options.
///
/// # Errors
///
/// If there is no such compiler or it fails.
pub fn build_with(name: &str, compiler: &[&str], source: &str) -> Result<PathBuf> {
    let directory = build_directory()?;
    let path = directory.join(name);
    let partial = directory.join(format!("{name}.partial"));
    let [compiler, options @ ..] = compiler else { bail!("no compiler for {name}") };
    // Tests that run beside this one may build the same. Closing the file ends it.
    let lock = File::create(directory.join("lock")).context("cannot lock the workloads")?;
    lock.lock().context("cannot lock the workloads")?;
    let mut command = Command::new(compiler);
    command.args(options).arg("-o").arg(&partial).arg(workloads().join(source));
    // The Go tool is not to look for modules anywhere.
    command.env("GO111MODULE", "off").env("GOPROXY", "off").env("GOFLAGS", "");
    command.env("GOCACHE", directory.join("go-cache"));
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    // A copy of the last run that is still being executed keeps its inode.
    fs::rename(&partial, &path)?;
    Ok(path)
}

/// The interpreter of Python itself, not a script that stands in for it, and the path of `burn.py`.
///
/// # Errors
///
/// If there is no Python.
pub fn python() -> Result<(PathBuf, PathBuf)> {
    let output = Command::new("python3")
        .args(["-c", "import os, sys; print(os.path.realpath(sys.executable))"])
        .output()?;
    let interpreter = PathBuf::from(String::from_utf8(output.stdout)?.trim());
    if !interpreter.is_file() {
        bail!("python3 does not say where it is: {}", interpreter.display());
    }
    Ok((interpreter, workloads().join("burn.py")))
}

/// A number of seconds from a program's own report, such as `tg_half=4.999`.
///
/// # Errors
///
/// If the report does not hold it.
pub fn reported(report: &str, key: &str) -> Result<f64> {
    report
        .split_whitespace()
        .find_map(|word| word.strip_prefix(key)?.strip_prefix('=')?.parse().ok())
        .ok_or_else(|| anyhow!("no {key}= in the program's report: {report:?}"))
}

/// The line of a workload's source that holds a text, counted from 1.
///
/// # Errors
///
/// If no line does.
pub fn source_line(source: &str, text: &str) -> Result<u32> {
    let source = workloads().join(source);
    let lines = fs::read_to_string(&source).with_context(|| format!("cannot read {}", source.display()))?;
    let at = lines.lines().position(|line| line.contains(text));
    let at = at.with_context(|| format!("no {text:?} in {}", source.display()))?;
    Ok(u32::try_from(at)? + 1)
}

fn workloads() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads")
}

/// A directory below the target directory that this test binary was built into, for what is to be kept between runs.
///
/// # Errors
///
/// If it cannot be made.
pub fn build_directory() -> Result<PathBuf> {
    let executable = std::env::current_exe().context("where am I")?;
    let profile = executable.ancestors().nth(2).context("a test binary lies in <target>/<profile>/deps")?;
    let directory = profile.join("e2e-workloads");
    fs::create_dir_all(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
    Ok(directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_program_can_be_built() -> Result<()> {
        use Program::*;
        for program in [Burn, BurnStatic, BurnStripped, Forker, Spawner, ExecMidway, Rename, Short, Early] {
            assert!(program.built()?.is_file());
        }
        for program in
            [Syscalls, Inlined, Generated, JitDump, Clocks, Sleeper, SleeperStatic, Templates, Rust, Go]
        {
            assert!(program.built()?.is_file());
        }
        for program in [AtPid, Crowd, GoStripped, GoStrippedPie, Split, BpfBusy] {
            assert!(program.built()?.is_file());
        }
        Ok(())
    }

    #[test]
    fn the_shares_of_the_burner_are_what_it_says() -> Result<()> {
        let outcome = crate::run(
            Command::new(Program::Burn.built()?).args(["--seconds", "1"]),
            Duration::from_secs(60),
        )?;
        let total = reported(&outcome.stdout, "total")?;
        assert!((0.95..1.2).contains(&total), "{outcome}");
        for (function, share) in [("tg_half", 0.5), ("tg_third", 0.3), ("tg_fifth", 0.2)] {
            let measured = reported(&outcome.stdout, function)? / total;
            assert!((measured - share).abs() < 0.02, "{function}: {measured}\n{outcome}");
        }
        assert!(reported(&outcome.stdout, "tg_none").is_err());
        Ok(())
    }
}
