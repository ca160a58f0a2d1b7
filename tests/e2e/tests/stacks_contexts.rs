//! Stacks that are not a thread's own: contexts of `makecontext`, fibers, bare `clone`, and the borrowed one of a child of
//! `vfork`.

use anyhow::{Context, Result};
use std::path::Path;
use telegen_e2e::accuracy::assert_sample_count_beside;
use telegen_e2e::possible_calls::PossibleCalls;
use telegen_e2e::row::{Row, assert_rows};
use telegen_e2e::whole_stacks::{WholeStacks, flaw_of_table};
use telegen_e2e::{Scratch, build_with, own_names, record, reported};

/// What `contexts.c` can call.
const CALLS: [(&str, &[&str]); 12] = [
    ("library", &["main", "tg_context", "tg_cloned"]),
    ("main", &["library", "tg_unevenly", "tg_contexts", "tg_fibers", "tg_cloning"]),
    ("tg_unevenly", &["tg_spin"]),
    ("tg_contexts", &["library"]),
    ("tg_context", &["library", "tg_context_deep"]),
    ("tg_context_deep", &["tg_context_deep", "tg_spin"]),
    ("tg_fibers", &["tg_switch"]),
    ("tg_fiber", &["tg_switch", "tg_spin"]),
    ("tg_switch", &[]),
    ("tg_cloning", &["library"]),
    ("tg_cloned", &["tg_spin"]),
    ("tg_spin", &[]),
];

/// A stack that begins in a context has nothing of `main`, and the other way round.
fn knowledge(names: &[&str]) -> Option<String> {
    if let Some(flaw) = flaw_of_table(names, &CALLS, own_names::of_c) {
        return Some(flaw);
    }
    let apart = ["tg_context", "tg_fiber", "tg_cloned"].iter().find(|name| names.contains(*name));
    if let Some(apart) = apart
        && names.contains(&"main")
    {
        return Some(format!("{apart} below main"));
    }
    let depth = names.iter().filter(|name| **name == "tg_context_deep").count();
    (names.first() == Some(&"tg_spin") && depth != 0 && depth != 21).then(|| format!("{depth} recursions"))
}

const PLACES: [&str; 3] = ["tg_context_deep", "tg_fiber", "tg_cloned"];

#[test]
fn of_contexts_fibers_and_bare_clones() -> Result<()> {
    let gcc = ["gcc", "-O2", "-g", "-fomit-frame-pointer"];
    let clang = ["clang", "-O1", "-g", "-fomit-frame-pointer"];
    let of_gcc = Row {
        name: "contexts-gcc",
        compiler: &gcc,
        source: "contexts.c",
        arguments: &[],
        knowledge: &knowledge,
        // Its return address is 0: nothing has called it.
        roots: &["tg_fiber"],
        places: &PLACES,
    };
    assert_rows(&[of_gcc, Row { name: "contexts-clang", compiler: &clang, ..of_gcc }], 997, "4s")
}

const VFORK_CALLS: [(&str, &[&str]); 7] = [
    ("library", &["main"]),
    ("main", &["library", "seconds_of", "tg_parent", "tg_vforking"]),
    ("seconds_of", &["library"]),
    ("tg_parent", &["tg_spin"]),
    ("tg_vforking", &["library", "tg_child"]),
    ("tg_child", &["tg_spin"]),
    ("tg_spin", &[]),
];

/// The child runs on the stack of its parent, which it has been called by.
#[test]
fn of_children_of_vfork() -> Result<()> {
    let built = build_with("row-vfork", &["gcc", "-O2", "-g", "-fomit-frame-pointer"], "vfork.c")?;
    let program = built.to_string_lossy();
    let scratch = Scratch::new()?;
    let recording = record(scratch.path(), &["-F", "499", "--", &program, "4"])?;
    let profile = &recording.profile;
    let cpu_seconds = reported(&recording.outcome.stdout, "total")?;
    assert_sample_count_beside(profile.total(), recording.undelivered(), cpu_seconds, 499.0);
    let own = |name: &str| (name == "seconds_of").then(|| name.to_owned()).or_else(|| own_names::of_c(name));
    let knowledge = |names: &[&str]| flaw_of_table(names, &VFORK_CALLS, own);
    WholeStacks::new(PossibleCalls::new(Path::new("/")), &knowledge).assert_all("vfork", profile);
    let (of_child, of_parent) = (profile.count_with("tg_child"), profile.count_with("tg_parent"));
    assert!(
        of_child * 10 > profile.total() * 4 && of_parent * 10 > profile.total() * 4,
        "{of_child} {of_parent}"
    );
    let parent = profile.samples.iter().find(|sample| sample.has("tg_parent")).context("the parent")?;
    let mixed = profile.count(|sample| {
        sample.has("tg_child") && sample.label("process.pid") == parent.label("process.pid")
            || sample.has("tg_parent") && sample.label("process.pid") != parent.label("process.pid")
    });
    assert_eq!(mixed, 0, "samples of one under the other's pid");
    Ok(())
}
