//! Stacks as telegen has them beside those that `perf` unwinds from copies of the stack.

use anyhow::Result;
use std::collections::BTreeMap;
use telegen_e2e::perf::{is_supported, perf_stacks};
use telegen_e2e::{Observation, Scratch, Subject, build_with, own_names, skip};

const HZ: u32 = 199;
const SECONDS: u32 = 4;

/// Stacks of the program's own functions, what lies in between being one each, and their shares of all.
type Shares = BTreeMap<Vec<String>, f64>;

/// The program's own functions; those of libraries, which may have no names, are told apart by nothing.
fn reduced<'a>(names: impl Iterator<Item = &'a str>, own: fn(&str) -> Option<String>) -> Vec<String> {
    let mut kinds: Vec<String> =
        names.map(|name| own(name).unwrap_or_else(|| "library".to_owned())).collect();
    kinds.dedup_by(|a, b| a == b && a == "library");
    kinds
}

fn shares(stacks: impl Iterator<Item = (Vec<String>, u64)>) -> (Shares, f64) {
    let mut counts: BTreeMap<Vec<String>, u64> = BTreeMap::new();
    // perf loses its way behind every other signal's frame, which it looks up by the byte before.
    for (stack, count) in stacks.filter(|(stack, _)| !stack.iter().any(|name| name == "tg_handler")) {
        *counts.entry(stack).or_default() += count;
    }
    let total = counts.values().sum::<u64>() as f64;
    (counts.into_iter().map(|(stack, count)| (stack, count as f64 / total)).collect(), total)
}

/// Fails unless both have the same stacks as often, to what chance allows: four standard deviations and half a percent.
fn assert_same(name: &str, telegen: &(Shares, f64), perf: &(Shares, f64)) {
    let (mut difference, mut expected) = (0.0, 0.0);
    for stack in telegen.0.keys().chain(perf.0.keys().filter(|stack| !telegen.0.contains_key(*stack))) {
        let of = |shares: &Shares| shares.get(stack).copied().unwrap_or(0.0);
        let (ours, theirs) = (of(&telegen.0), of(&perf.0));
        let mean = (ours * telegen.1 + theirs * perf.1) / (telegen.1 + perf.1);
        let deviation = (mean * (1.0 - mean) * (1.0 / telegen.1 + 1.0 / perf.1)).sqrt();
        difference += (ours - theirs).abs() / 2.0;
        // The mean of a normal distribution's absolute value is 0.8 of its deviation.
        expected += deviation * 0.8 / 2.0;
        assert!(
            (ours - theirs).abs() <= 4.0 * deviation + 0.005,
            "{name}: {:.2} % of {} stacks are {stack:?}, of perf's {} {:.2} %",
            ours * 100.0,
            telegen.1,
            perf.1,
            theirs * 100.0
        );
    }
    assert!(
        difference <= 2.0 * expected + 0.01,
        "{name}: {:.1} % of the stacks differ, where chance makes {:.1} %",
        difference * 100.0,
        expected * 100.0
    );
}

fn assert_agrees(name: &str, compiler: &[&str], source: &str, own: fn(&str) -> Option<String>) -> Result<()> {
    let built = build_with(&format!("row-{name}"), compiler, source)?;
    let scratch = Scratch::new()?;
    let subject = Subject::start(&scratch, &built, &format!("tg-{name}"), &[])?;
    let seen = Observation::of(&scratch, &subject, HZ, &format!("{SECONDS}s"))?;
    seen.assert_count();
    let perf = perf_stacks(&scratch, subject.running.pid(), HZ, SECONDS)?;
    let ours = seen.profile.samples.iter().map(|sample| {
        let user =
            sample.frames.iter().filter(|frame| !frame.mapping.starts_with("[kernel") && !frame.inlined);
        (reduced(user.map(|frame| frame.function.as_str()), own), sample.count)
    });
    let theirs = perf.iter().map(|(stack, count)| (reduced(stack.iter().map(String::as_str), own), *count));
    assert_same(name, &shares(ours), &shares(theirs));
    Ok(())
}

#[test]
fn of_c_is_what_perf_has() -> Result<()> {
    if !is_supported() {
        skip!("no perf, or none that can sample CPU time");
    }
    let library = ["gcc", "-O2", "-g", "-fomit-frame-pointer", "-Wl,--no-as-needed", "-lm"];
    assert_agrees("truth-library", &library, "library.c", own_names::of_c)?;
    let moved = ["clang", "-O3", "-g", "-fomit-frame-pointer", "-pthread"];
    assert_agrees("truth-stacks", &moved, "stacks.c", own_names::of_c)
}

#[test]
fn of_cpp_is_what_perf_has() -> Result<()> {
    if !is_supported() {
        skip!("no perf, or none that can sample CPU time");
    }
    let options = ["g++", "-std=c++17", "-O2", "-g", "-pthread", "-fomit-frame-pointer"];
    assert_agrees("truth-cpp", &options, "exceptions.cpp", own_names::of_path)
}

#[test]
fn of_rust_is_what_perf_has() -> Result<()> {
    if !is_supported() {
        skip!("no perf, or none that can sample CPU time");
    }
    let options = ["rustc", "--edition=2021", "-Copt-level=3", "-Cdebuginfo=line-tables-only"];
    assert_agrees("truth-rust", &options, "stacks.rs", own_names::of_path)
}
