//! Stacks of recursions whose depth the program knows: all of them up to the limit, and a marker beyond it.

use anyhow::Result;
use std::path::Path;
use telegen_e2e::possible_calls::PossibleCalls;
use telegen_e2e::row::{Row, assert_rows};
use telegen_e2e::whole_stacks::{WholeStacks, is_marker};
use telegen_e2e::{Observation, Profile, Sample, Scratch, Subject, build_with, own_names, record};

const GCC: [&str; 4] = ["gcc", "-O2", "-g", "-fomit-frame-pointer"];
const TRUNCATED: &str = "[truncated]";
/// The most frames of a stack, unless configured otherwise.
const LIMIT: usize = 512;
/// `tg_spin`, `main`, two functions of the C library, `_start`.
const OTHER_FRAMES: usize = 5;

/// The functions from the leaf on are `tg_spin`, then the two by turns: the last of them is the even one, below `main`.
fn is_recursion(names: &[&str]) -> bool {
    let expected =
        |index: usize, depth: usize| if (depth - index).is_multiple_of(2) { "tg_even" } else { "tg_odd" };
    let body = names.get(1..).unwrap_or_default();
    let depth = body.iter().take_while(|name| own_names::of_c(name).is_some_and(|own| own != "main")).count();
    names.first() == Some(&"tg_spin") && (0..depth).all(|index| body[index] == expected(index, depth - 1))
}

fn knowledge_of(depth: usize) -> impl Fn(&[&str]) -> Option<String> {
    move |names| {
        if names.first() != Some(&"tg_spin") || names.get(1) == Some(&"tg_unevenly") {
            return None;
        }
        let recursions = names.iter().filter(|name| ["tg_even", "tg_odd"].contains(name)).count();
        if recursions != depth + 1 {
            return Some(format!("{recursions} recursions, not {}", depth + 1));
        }
        (!is_recursion(names)).then(|| "the two functions do not call each other by turns".to_owned())
    }
}

#[test]
fn of_fifty_and_four_hundred_calls() -> Result<()> {
    let (shallow, deep) = (knowledge_of(50), knowledge_of(400));
    let clang = ["clang", "-O3", "-g", "-fomit-frame-pointer"];
    let of_fifty = Row {
        name: "recursion-50",
        compiler: &GCC,
        source: "recursion.c",
        arguments: &["50"],
        knowledge: &shallow,
        roots: &[],
        places: &["tg_even"],
    };
    let of_clang =
        Row { name: "recursion-400", compiler: &clang, arguments: &["400"], knowledge: &deep, ..of_fifty };
    assert_rows(&[of_fifty, of_clang], 499, "4s")
}

/// The frames of the user's part of a stack, inlined functions not counted, without a marker.
fn user_frames(sample: &Sample) -> Vec<&str> {
    let user = sample.frames.iter().filter(|frame| !frame.mapping.starts_with("[kernel") && !frame.inlined);
    user.map(|frame| frame.function.as_str()).filter(|name| !is_marker(name)).collect()
}

/// Fails unless 99.5 % of the stacks of the recursion have this many frames and are cut off, or are not.
fn assert_extent(profile: &Profile, frames: usize, truncated: bool) {
    let is_deep = |sample: &Sample| {
        let names = user_frames(sample);
        names.first() == Some(&"tg_spin") && names.get(1) != Some(&"tg_unevenly")
    };
    let fits = |sample: &Sample| {
        let names = user_frames(sample);
        let ends = sample.frames.last().is_some_and(|frame| frame.function == TRUNCATED);
        let no_kernel = !sample.frames.iter().any(|frame| frame.mapping.starts_with("[kernel"));
        (names.len() == frames || !no_kernel && names.len() + 40 > frames)
            && ends == truncated
            && is_recursion(&names)
    };
    let deep = profile.count(is_deep);
    assert!(deep * 10 >= profile.total() * 7, "{deep} of {}: {:?}", profile.total(), profile.functions());
    let fitting = profile.count(|sample| is_deep(sample) && fits(sample));
    let odd = profile.samples.iter().find(|sample| is_deep(sample) && !fits(sample));
    assert!(
        (deep - fitting) * 200 <= deep,
        "{fitting} of {deep} stacks have {frames} frames and are cut off: {truncated}; one has {} and ends in {:?}",
        odd.map_or(0, |sample| user_frames(sample).len()),
        odd.and_then(|sample| sample.frames.last())
    );
}

#[test]
fn of_two_thousand_calls_up_to_the_limit_and_then_a_marker() -> Result<()> {
    let built = build_with("row-recursion-limit", &GCC, "recursion.c")?;
    let scratch = Scratch::new()?;
    let depth_of = |frames: usize| (frames - OTHER_FRAMES - 1).to_string();
    let (just, beyond) = (depth_of(LIMIT), depth_of(LIMIT + 1));
    let subjects = [("tg-deep", "2000"), ("tg-just", &just), ("tg-beyond", &beyond)]
        .map(|(name, depth)| Subject::start(&scratch, &built, name, &[depth]));
    let subjects = subjects.into_iter().collect::<Result<Vec<_>>>()?;
    let seen = Observation::of_all(&scratch, &subjects, 499, "4s")?;
    Observation::assert_counts(&seen);
    assert_extent(&seen[0].profile, LIMIT, true);
    assert_extent(&seen[1].profile, LIMIT, false);
    assert_extent(&seen[2].profile, LIMIT, true);
    // Up to the marker, each frame must have been called by the next.
    let nothing_known = |_: &[&str]| None;
    let whole = WholeStacks::new(PossibleCalls::new(Path::new("/")), &nothing_known);
    whole.assert_all_up_to("recursion-limit", TRUNCATED, &seen[0].profile);
    whole.assert_all_up_to("recursion-limit", TRUNCATED, &seen[2].profile);
    whole.assert_all("recursion-just", &seen[1].profile);
    Ok(())
}

#[test]
fn a_configured_limit_is_kept() -> Result<()> {
    let built = build_with("row-recursion-limit", &GCC, "recursion.c")?;
    let scratch = Scratch::new()?;
    let config = scratch.write("limits.yaml", "profiler:\n  limits: {max_stack_depth: 100}\n")?;
    let subjects = [("tg-above", "400"), ("tg-below", "50")]
        .map(|(name, depth)| Subject::start(&scratch, &built, name, &[depth]));
    let subjects = subjects.into_iter().collect::<Result<Vec<_>>>()?;
    let pids = subjects.iter().map(|subject| subject.running.pid().to_string()).collect::<Vec<_>>();
    let config = config.to_string_lossy();
    let arguments = ["--config", &config, "--pid", &pids.join(","), "-F", "199", "-d", "2s"];
    let recording = record(scratch.path(), &arguments)?;
    for (pid, frames, truncated) in [(&pids[0], 100, true), (&pids[1], 50 + OTHER_FRAMES + 1, false)] {
        let mut profile = recording.profile.clone();
        profile.samples.retain(|sample| sample.label("process.pid") == pid);
        assert_extent(&profile, frames, truncated);
    }
    Ok(())
}
