//! Stacks in containers that have a C library of their own, and files under the paths of others outside.

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use telegen_e2e::possible_calls::PossibleCalls;
use telegen_e2e::whole_stacks::{WholeStacks, flaw_of_table};
use telegen_e2e::{Container, CpuMeter, Observation, Scratch, build_with, own_names, skip};

/// The shared libraries that a program needs, as the dynamic linker lists them.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("ldd").arg(program).output().context("ldd")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect())
}

const CALLS: [(&str, &[&str]); 5] = [
    ("library", &["main"]),
    ("main", &["library", "tg_even", "tg_unevenly"]),
    ("tg_even", &["tg_odd", "tg_spin"]),
    ("tg_odd", &["tg_even", "tg_spin"]),
    ("tg_unevenly", &["tg_spin"]),
];

/// It is started with a depth of 30.
fn knowledge(names: &[&str]) -> Option<String> {
    if let Some(flaw) = flaw_of_table(names, &CALLS, own_names::of_c) {
        return Some(flaw);
    }
    let depth = names.iter().filter(|name| ["tg_even", "tg_odd"].contains(name)).count();
    (names.first() == Some(&"tg_spin") && depth != 0 && depth != 31).then(|| format!("{depth} recursions"))
}

/// A decoy: the path of a file in the container, outside of it, with something else.
struct Decoy(PathBuf);

impl Drop for Decoy {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn of_a_program_with_a_c_library_of_its_own_and_a_decoy_outside() -> Result<()> {
    if !Container::is_supported() {
        skip!("no runc");
    }
    let scratch = Scratch::new()?;
    let options = ["gcc", "-O2", "-g", "-fomit-frame-pointer", "-Wl,--build-id"];
    let built = build_with("row-boxed", &options, "recursion.c")?;
    let other = build_with("row-decoy", &options, "plugins.c")?;
    let decoy = Decoy(PathBuf::from("/tg-boxed-stacks"));
    fs::copy(other, &decoy.0)?;
    let libraries = libraries(&built)?;
    let mut files: Vec<(&Path, &str)> = vec![(&built, "/tg-boxed-stacks")];
    for library in &libraries {
        files.push((library, library.to_str().context("a path")?));
    }
    let container = Container::start_files(&scratch, &files, "tg-boxed-stacks", &["30"])?;
    let meter = CpuMeter::start(container.pid());
    let seen = Observation::of_pid(&scratch, container.pid(), &meter, 499, "3s")?;
    seen.assert_count();
    let root = PathBuf::from(format!("/proc/{}/root", container.pid()));
    WholeStacks::new(PossibleCalls::new(&root), &knowledge).assert_all("in a container", &seen.profile);
    let deep = seen.profile.count_with("tg_odd");
    assert!(deep * 10 > seen.profile.total() * 7, "{:?}", seen.profile.functions());
    Ok(())
}
