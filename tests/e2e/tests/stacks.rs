//! Whole user stacks, of programs without frame pointers: every pair of frames is a call that the program can make,
//! and every stack goes up to where its thread began.

use anyhow::{Context, Result};
use std::fs;
use telegen_e2e::accuracy::assert_sample_count_beside;
use telegen_e2e::{CpuMeter, Frame, Running, Sample, Scratch, build_with, record};

const HZ: &str = "499";
const NOT_READY: &str = "[no unwind table yet]";

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

/// How far up stacks go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Extent {
    /// To where their thread began.
    Whole,
    /// To the first function of a library that nothing describes the frames of.
    UpToLibrary,
}

/// What is wrong with a stack, if anything is.
fn flaw(sample: &Sample, extent: Extent) -> Option<String> {
    let kernel = |frame: &&Frame| frame.mapping.starts_with("[kernel");
    // The memory of a thread on its way out, where its stack was, may be gone.
    if sample.has("do_exit") {
        return None;
    }
    let mut user: Vec<&Frame> = sample.frames.iter().filter(|frame| !kernel(frame)).collect();
    if extent == Extent::UpToLibrary {
        let own = |frame: &&Frame| kind(&frame.function) != "library";
        user.truncate(user.iter().rposition(own).map_or(1, |last| last + 1));
    }
    // How soon tables are there depends on the machine and on the build.
    if sample.has(NOT_READY) {
        return None;
    }
    if let Some(marker) = user.iter().find(|frame| is_marker(&frame.function)) {
        return Some(format!("it ends in {}", marker.function));
    }
    let names: Vec<&str> = user.iter().map(|frame| kind(&frame.function)).collect();
    for pair in names.windows(2) {
        let (callee, caller) = (pair[0], pair[1]);
        let possible = CALLS.iter().any(|(name, calls)| *name == caller && calls.contains(&callee));
        if !possible {
            return Some(format!("{caller} does not call {callee}"));
        }
    }
    if extent == Extent::Whole && names.last() != Some(&"library") {
        return Some(format!("it begins in {:?}", names.last()));
    }
    if extent == Extent::Whole
        && names.contains(&"tg_round")
        && !user.last().is_some_and(|frame| frame.function.contains("_start"))
    {
        return Some(format!("it begins in {:?}", user.last()));
    }
    let recursions = names.iter().filter(|name| **name == "tg_recurse").count();
    let expected = if names.contains(&"tg_deep") { 401 } else { 51 };
    if names.first() == Some(&"tg_spin") && recursions != 0 && recursions != expected {
        return Some(format!("{recursions} recursions"));
    }
    None
}

/// `[truncated]` is one, `[libc.so.6+0x27249]` is not.
fn is_marker(function: &str) -> bool {
    function.starts_with('[') && !function.contains('+')
}

fn kind(function: &str) -> &str {
    if function == "main" || function.starts_with("tg_") { function } else { "library" }
}

fn assert_whole(name: &str, compiler: &[&str]) -> Result<()> {
    assert_stacks(name, compiler, Extent::Whole)
}

fn assert_stacks(name: &str, compiler: &[&str], extent: Extent) -> Result<()> {
    let built = build_with(&format!("stacks-{name}"), compiler, "stacks.c")?;
    let scratch = Scratch::new()?;
    let program = scratch.join(&format!("tg-{name}"));
    fs::copy(&built, &program)?;
    let running = Running::spawn(&mut std::process::Command::new(&program))?;
    let meter = CpuMeter::start(running.pid());
    let pid = running.pid().to_string();
    let recording = record(scratch.path(), &["--pid", &pid, "-F", HZ, "-d", "3s"])?;
    let profile = &recording.profile;
    let cpu_seconds = meter.between(profile.start, profile.end()).context("the program's CPU time")?;
    assert_sample_count_beside(profile.total(), recording.undelivered(), cpu_seconds, HZ.parse()?);
    for end in ENDS {
        // Where a leaf of the library is all that is known, its caller is not.
        if extent == Extent::UpToLibrary && end == "tg_copying" {
            continue;
        }
        assert!(profile.count_with(end) * 100 > profile.total(), "{name}: hardly anything in {end}");
    }
    let flawed: Vec<(u64, String, Vec<&str>)> = profile
        .samples
        .iter()
        .filter_map(|sample| {
            let names = sample.frames.iter().map(|frame| frame.function.as_str()).take(12).collect();
            flaw(sample, extent).map(|flaw| (sample.count, flaw, names))
        })
        .collect();
    let ready = profile.count(|sample| !sample.has(NOT_READY));
    assert!(ready * 10 >= profile.total() * 8, "{name}: tables for {ready} of {} stacks", profile.total());
    let count: u64 = flawed.iter().map(|(count, ..)| count).sum();
    assert!(
        count * 200 <= ready,
        "{name}: {count} of {ready} stacks are not whole: {:#?}",
        &flawed[..flawed.len().min(8)]
    );
    Ok(())
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

/// This C library has neither call frame information nor frame pointers.
#[test]
fn of_musl_up_to_the_library() -> Result<()> {
    assert_stacks("musl", &[&["musl-gcc", "-O2"][..], &OPTIONS].concat(), Extent::UpToLibrary)
}

#[test]
fn of_programs_whose_frames_only_debug_information_describes() -> Result<()> {
    let options = ["gcc", "-O2", GLIBC, "-fno-asynchronous-unwind-tables", "-fno-exceptions"];
    assert_whole("debug-frame", &[&options[..], &OPTIONS].concat())
}
