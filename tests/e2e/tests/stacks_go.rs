//! Stacks of Go programs, with and without symbols, and through C and back.

use anyhow::Result;
use std::path::Path;
use telegen_e2e::module::Module;
use telegen_e2e::own_names::GO_ROOTS;
use telegen_e2e::possible_calls::PossibleCalls;
use telegen_e2e::row::Row;
use telegen_e2e::whole_stacks::{WholeStacks, flaw_of_table};
use telegen_e2e::{Frame, Observation, Profile, Sample, Scratch, Subject, own_names};

/// What `stacks.go` can call, besides the library, which everything can.
const CALLS: [(&str, &[&str]); 22] = [
    (
        "library",
        &[
            "main.main",
            "main.tgRecovered",
            "main.ordered.Less",
            "main.(*ordered).Less",
            "main.ordered.Swap",
            "main.(*ordered).Swap",
            "main.ordered.Len",
            "main.(*ordered).Len",
            "main.tgRoutine",
            "main.tgRoutines.func1",
        ],
    ),
    ("main.main", &["main.tgRound"]),
    (
        "main.tgRound",
        &[
            "main.tgShallow",
            "main.tgDeep",
            "main.tgInterface",
            "main.tgPanicking",
            "main.tgSorting",
            "main.tgCalling",
            "main.tgClosure",
            "main.tgAllocating",
            "main.tgRoutines",
        ],
    ),
    ("main.tgShallow", &["main.tgRecurse"]),
    ("main.tgDeep", &["main.tgRecurse"]),
    ("main.tgRecurse", &["main.tgRecurse", "main.tgSpin"]),
    ("main.tgInterface", &["main.square.tgArea", "main.(*square).tgArea"]),
    ("main.(*square).tgArea", &["main.square.tgArea"]),
    ("main.square.tgArea", &["main.tgSpin"]),
    ("main.tgPanicking", &["main.tgRecovered"]),
    ("main.tgRecovered", &["main.tgSpin"]),
    ("main.tgSorting", &[]),
    ("main.(*ordered).Less", &["main.ordered.Less"]),
    ("main.(*ordered).Swap", &["main.ordered.Swap"]),
    ("main.ordered.Less", &["main.tgSpin"]),
    ("main.tgCalling", &["main.tgClosure.func1"]),
    ("main.tgClosure.func1", &["main.tgSpin"]),
    ("main.tgAllocating", &[]),
    ("main.tgRoutines", &[]),
    ("main.tgRoutines.func1", &["main.tgRoutine"]),
    ("main.tgRoutine", &["main.tgSpin"]),
    ("main.tgSpin", &[]),
];

fn knowledge(names: &[&str]) -> Option<String> {
    let every: Vec<(&str, Vec<&str>)> =
        CALLS.iter().map(|(caller, calls)| (*caller, [&["library"], *calls].concat())).collect();
    let table: Vec<(&str, &[&str])> =
        every.iter().map(|(caller, calls)| (*caller, calls.as_slice())).collect();
    if let Some(flaw) = flaw_of_table(names, &table, own_names::of_go) {
        return Some(flaw);
    }
    let depth = names.iter().filter(|name| **name == "main.tgRecurse").count();
    let expected = if names.contains(&"main.tgDeep") { 401 } else { 51 };
    if names.first() == Some(&"main.tgSpin") && depth != 0 && depth != expected {
        return Some(format!("{depth} recursions"));
    }
    // The library calls the main function from where the program begins.
    (names.contains(&"main.tgRound") && !names.contains(&"runtime.main"))
        .then(|| "it is not below runtime.main".to_owned())
}

const PLACES: [&str; 7] = [
    "main.tgShallow",
    "main.tgDeep",
    "main.square.tgArea",
    "main.tgRecovered",
    "main.ordered.Less",
    "main.tgClosure.func1",
    "main.tgRoutine",
];

fn go_row<'a>(name: &'a str, compiler: &'a [&'a str]) -> Row<'a> {
    Row {
        name,
        compiler,
        source: "stacks.go",
        arguments: &[],
        knowledge: &knowledge,
        roots: &GO_ROOTS,
        places: &PLACES,
    }
}

/// Where the runtime changes from a goroutine's stack to its thread's own and back, by hand: no description of frames tells how
/// to get from the one to the other, so that stacks end at one of these, or soon after.
const SWITCHES: [&str; 9] = [
    "runtime.systemstack",
    "runtime.systemstack_switch",
    "runtime.morestack",
    "runtime.mcall",
    "runtime.asmcgocall",
    "runtime.cgocallback",
    "runtime.nanotime1",
    "runtime.sigtramp",
    "crosscall_amd64",
];

/// The stacks that are one stack, and the share of the others.
fn on_one_stack(profile: &Profile) -> (Profile, f64) {
    let switches = |sample: &Sample| {
        let function = |frame: &Frame| SWITCHES.contains(&frame.function.trim_end_matches(".abi0"));
        sample.frames.iter().any(function)
    };
    let mut rest = profile.clone();
    rest.samples.retain(|sample| !switches(sample));
    let share = 1.0 - rest.total() as f64 / profile.total() as f64;
    (rest, share)
}

fn assert_whole_on_one_stack(row: &Row<'_>, most_switching: f64) -> Result<()> {
    let scratch = Scratch::new()?;
    let subject = Subject::start(&scratch, &row.built()?, &format!("tg-{}", row.name), row.arguments)?;
    let seen = Observation::of(&scratch, &subject, 499, "4s")?;
    seen.assert_count();
    let (on_one, switching) = on_one_stack(&seen.profile);
    assert!(switching <= most_switching, "{}: {switching} of all stacks change to another", row.name);
    row.expectation().assert_all(row.name, &on_one);
    row.assert_places(&seen.profile);
    Ok(())
}

#[test]
fn of_programs_with_symbols() -> Result<()> {
    assert_whole_on_one_stack(&go_row("go", &["go", "build"]), 0.08)
}

/// Go's own table of functions is still there, as its tracebacks need it: it has the names that the symbols had, and the sizes of
/// frames.
#[test]
fn of_programs_without_symbols() -> Result<()> {
    let whole = go_row("go", &["go", "build"]);
    let stripped = go_row("go-stripped", &["go", "build", "-ldflags=-s -w"]);
    let scratch = Scratch::new()?;
    let subject = Subject::start(&scratch, &stripped.built()?, "tg-go-stripped", &[])?;
    let seen = Observation::of(&scratch, &subject, 499, "4s")?;
    seen.assert_count();
    let (symbols, file) = (Module::read(&whole.built()?)?, subject.file());
    let own = |frame: &&Frame| frame.mapping == file && !frame.inlined;
    let is_named = |frame: &Frame| {
        let function = symbols.function(frame.address);
        let name = |name: &str| name.trim_end_matches(".abi0").to_owned();
        let names = function.map_or(&[][..], |function| symbols.names(function.start));
        names.iter().any(|symbol| name(symbol) == name(&frame.function))
    };
    let frames: Vec<&Frame> = seen.profile.frames().filter(own).collect();
    let wrong: Vec<&&Frame> = frames.iter().filter(|frame| !is_named(frame)).collect();
    assert!(frames.len() > 1_000, "{} frames", frames.len());
    assert!(wrong.is_empty(), "{} of {} frames, such as {:?}", wrong.len(), frames.len(), wrong.first());
    let (on_one, _) = on_one_stack(&seen.profile);
    let calls = PossibleCalls::new(Path::new("/")).reading_instead(&file, &whole.built()?);
    WholeStacks::new(calls, &knowledge).beginning_in(&GO_ROOTS).assert_all("go-stripped", &on_one);
    stripped.assert_places(&seen.profile);
    Ok(())
}

/// A call of C runs on the thread's own stack, and one back on the goroutine's again: stacks go to where the runtime changes from the
/// one to the other.
fn cgo_knowledge(names: &[&str]) -> Option<String> {
    let depth = names.iter().filter(|name| **name == "tg_c_deep").count();
    let is_deep = names.first() == Some(&"tg_c_spin") && depth > 0;
    (is_deep && depth != 11).then(|| format!("{depth} recursions in C"))
}

#[test]
fn of_calls_of_c_and_of_calls_back_up_to_the_change_of_stacks() -> Result<()> {
    let row = Row {
        name: "cgo",
        compiler: &["go", "build"],
        source: "stacks_cgo.go",
        arguments: &[],
        knowledge: &cgo_knowledge,
        roots: &GO_ROOTS,
        places: &["tg_c_spin", "main.tgBack", "main.tgInGo"],
    };
    let scratch = Scratch::new()?;
    let subject = Subject::start(&scratch, &row.built()?, "tg-cgo", row.arguments)?;
    let seen = Observation::of(&scratch, &subject, 499, "4s")?;
    seen.assert_count();
    row.assert_places(&seen.profile);
    let (on_one, _) = on_one_stack(&seen.profile);
    row.expectation().assert_all("cgo, in Go", &on_one);
    let mut in_c = seen.profile.clone();
    in_c.samples.retain(|sample| sample.frames.first().is_some_and(|leaf| leaf.function == "tg_c_spin"));
    let is_c = |name: &str| name.starts_with("tg_c_") || name.starts_with("_cgo_");
    row.expectation().assert_all_up_to_library("cgo, in C", is_c, &in_c);
    let switched = in_c
        .count(|sample| sample.frames.iter().any(|frame| frame.function.starts_with("runtime.asmcgocall")));
    assert!(
        switched * 1000 >= in_c.total() * 995,
        "{switched} of {} stacks in C go to the change",
        in_c.total()
    );
    Ok(())
}
