//! A dozen different programs that are always busy: what a node's targets may be.

use super::load::Load;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) const JAVA: &str =
    "class Burn { public static void main(String[] a) { double x = 0; while (true) x += Math.sin(x); } }";
const GO: &str = "package main\nfunc main() { x := 1; for { x ^= x << 13; x ^= x >> 7 } }\n";
const CPP: &str = "#include <map>\n#include <string>\nint main() { std::map<std::string, int> m; for (unsigned i = 0;; i++) m[std::to_string(i % 5000)]++; }\n";

/// Starts them; fails where one of them cannot be had here, since the figures would be of something else.
pub(crate) fn start(directory: &Path) -> Result<Load> {
    fs::create_dir_all(directory)?;
    let at = |name: &str| directory.join(name).to_string_lossy().into_owned();
    fs::write(at("Burn.java"), JAVA)?;
    fs::write(at("burn.go"), GO)?;
    fs::write(at("burn.cpp"), CPP)?;
    run(Command::new("c++").args(["-O2", "-g", "-o", &at("burn-cpp"), &at("burn.cpp")]))?;
    run(Command::new("go")
        .args(["build", "-o", &at("burn-go"), &at("burn.go")])
        .env("GOCACHE", at("go-cache")))?;
    let own = std::env::current_exe()?.to_string_lossy().into_owned();
    let (source, cpp, go) = (at("Burn.java"), at("burn-cpp"), at("burn-go"));
    let mut programs: Vec<Vec<&str>> = vec![
        vec![&own, "burn", "7200", "1"],
        vec!["python3", "-c", "while True: sum(i * i for i in range(1000))"],
        vec!["node", "-e", "let x = 0; for (;;) x += Math.sin(x)"],
        vec![&cpp],
        vec![&go],
        vec!["perl", "-e", "while (1) { $x += sin($x) }"],
        vec!["awk", "BEGIN { while (1) x += sin(x) }"],
        vec!["bash", "-c", "while :; do :; done"],
        vec!["gzip", "-c", "/dev/zero"],
        vec!["sha256sum", "/dev/zero"],
    ];
    let runtimes: Vec<String> =
        java_runtimes().iter().map(|path| path.to_string_lossy().into_owned()).collect();
    programs.extend(runtimes.iter().map(|java| vec![java.as_str(), &source]));
    programs.extend([
        vec!["dd", "if=/dev/zero", "of=/dev/null", "bs=4k"],
        vec!["dash", "-c", "while :; do :; done"],
    ]);
    ensure!(!runtimes.is_empty(), "there is no java; scripts/install-deps bench installs one");
    let mut load = Load::default();
    for program in &programs[..12] {
        load.add(Command::new(program[0]).args(&program[1..]))?;
    }
    Ok(load)
}

/// At most two, of different makers or versions.
pub(crate) fn java_runtimes() -> Vec<PathBuf> {
    let entries = fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        entries.filter_map(|entry| entry.path().join("bin/java").canonicalize().ok()).collect();
    found.sort();
    found.dedup();
    found.truncate(2);
    found
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
