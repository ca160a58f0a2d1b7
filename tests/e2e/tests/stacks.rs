//! Whole user stacks, of programs without frame pointers: every pair of frames is a call that the program can make,
//! and every stack goes up to where its thread began.

use anyhow::Result;
use std::path::Path;
use telegen_e2e::possible_calls::PossibleCalls;
use telegen_e2e::whole_stacks::{WholeStacks, flaw_of_table};
use telegen_e2e::{Observation, Scratch, Subject, build_with};

const HZ: u32 = 499;

/// What `stacks.c` can call; `library` is whatever is neither `main` nor its own.
const CALLS: [(&str, &[&str]); 21] = [
    ("library", &["library", "main", "tg_compare", "tg_handler", "tg_coroutine", "tg_thread"]),
    ("main", &["library", "tg_round"]),
    (
        "tg_round",
        &[
            "library",
            "tg_unevenly",
            "tg_shallow",
            "tg_deep",
            "tg_sorting",
            "tg_raising",
            "tg_copying",
            "tg_aligned",
            "tg_jumping",
            "tg_switching",
            "tg_threading",
        ],
    ),
    ("tg_unevenly", &["tg_spin"]),
    ("tg_shallow", &["tg_recurse"]),
    ("tg_deep", &["tg_recurse"]),
    ("tg_recurse", &["tg_recurse", "tg_spin"]),
    ("tg_sorting", &["library"]),
    ("tg_compare", &["tg_spin"]),
    ("tg_raising", &["library"]),
    ("tg_handler", &["tg_spin"]),
    ("tg_copying", &["library"]),
    ("tg_aligned", &["tg_spin"]),
    ("tg_jumping", &["library", "tg_no_return"]),
    ("tg_no_return", &["tg_never"]),
    ("tg_never", &["tg_spin", "library"]),
    ("tg_switching", &["library"]),
    ("tg_coroutine", &["tg_spin", "library"]),
    ("tg_threading", &["library"]),
    ("tg_thread", &["tg_spin"]),
    ("tg_spin", &[]),
];

/// What every recording must have come by.
const ENDS: [&str; 8] = [
    "tg_shallow",
    "tg_deep",
    "tg_compare",
    "tg_handler",
    "tg_copying",
    "tg_aligned",
    "tg_never",
    "tg_thread",
];

/// What the program knows of its stacks: who calls whom, and how deep its recursions are.
fn knowledge(names: &[&str]) -> Option<String> {
    let own = |name: &str| is_own(name).then(|| name.to_owned());
    if let Some(flaw) = flaw_of_table(names, &CALLS, own) {
        return Some(flaw);
    }
    let recursions = names.iter().filter(|name| **name == "tg_recurse").count();
    let expected = if names.contains(&"tg_deep") { 401 } else { 51 };
    let is_short = names.first() == Some(&"tg_spin") && recursions != 0 && recursions != expected;
    is_short.then(|| format!("{recursions} recursions"))
}

fn assert_whole(name: &str, compiler: &[&str]) -> Result<()> {
    let built = build_with(&format!("stacks-{name}"), compiler, "stacks.c")?;
    let scratch = Scratch::new()?;
    let subject = Subject::start(&scratch, &built, &format!("tg-{name}"), &[])?;
    let seen = Observation::of(&scratch, &subject, HZ, "3s")?;
    seen.assert_count();
    let profile = &seen.profile;
    for end in ENDS {
        assert!(profile.count_with(end) * 100 > profile.total(), "{name}: hardly anything in {end}");
    }
    let whole = WholeStacks::new(PossibleCalls::new(Path::new("/")), &knowledge);
    whole.assert_all(name, profile);
    Ok(())
}

fn is_own(name: &str) -> bool {
    name == "main" || name.starts_with("tg_")
}

const OPTIONS: [&str; 4] = ["-g", "-pthread", "-fomit-frame-pointer", "-Wl,--build-id"];
const GLIBC: &str = "-DTG_COROUTINES";

#[test]
fn of_gcc_at_every_level_of_optimisation() -> Result<()> {
    for level in ["-O0", "-O1", "-O2", "-O3", "-Os"] {
        assert_whole(&format!("gcc{level}"), &[&["gcc", level, GLIBC][..], &OPTIONS].concat())?;
    }
    Ok(())
}

#[test]
fn of_clang_at_every_level_of_optimisation() -> Result<()> {
    for level in ["-O0", "-O1", "-O2", "-O3"] {
        assert_whole(&format!("clang{level}"), &[&["clang", level, GLIBC][..], &OPTIONS].concat())?;
    }
    Ok(())
}

#[test]
fn of_link_time_optimisation() -> Result<()> {
    assert_whole("lto", &[&["gcc", "-O2", "-flto", GLIBC][..], &OPTIONS].concat())
}

#[test]
fn of_programs_with_frame_pointers() -> Result<()> {
    assert_whole("fp", &["gcc", "-O2", "-g", "-pthread", "-fno-omit-frame-pointer", GLIBC])
}

#[test]
fn of_static_programs() -> Result<()> {
    assert_whole("static", &[&["gcc", "-O2", "-static", GLIBC][..], &OPTIONS].concat())
}

#[test]
fn of_static_programs_that_can_be_moved() -> Result<()> {
    assert_whole("static-pie", &[&["gcc", "-O2", "-static-pie", GLIBC][..], &OPTIONS].concat())
}

#[test]
fn of_programs_that_cannot_be_moved() -> Result<()> {
    assert_whole("no-pie", &[&["gcc", "-O2", "-no-pie", GLIBC][..], &OPTIONS].concat())
}

/// This C library has neither call frame information nor frame pointers: its code itself tells what its frames are.
#[test]
fn of_musl() -> Result<()> {
    assert_whole("musl", &[&["musl-gcc", "-O2"][..], &OPTIONS].concat())?;
    assert_whole("musl-static", &[&["musl-gcc", "-O2", "-static"][..], &OPTIONS].concat())
}

#[test]
fn of_programs_whose_frames_only_debug_information_describes() -> Result<()> {
    let options = ["gcc", "-O2", GLIBC, "-fno-asynchronous-unwind-tables", "-fno-exceptions"];
    assert_whole("debug-frame", &[&options[..], &OPTIONS].concat())
}
