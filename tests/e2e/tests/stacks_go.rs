//! Stacks of Go programs, with and without symbols, and through C and back.

use anyhow::Result;
use std::path::Path;
use telegen_e2e::own_names::GO_ROOTS;
use telegen_e2e::possible_calls::PossibleCalls;
use telegen_e2e::row::{Row, assert_rows};
use telegen_e2e::whole_stacks::{WholeStacks, flaw_of_table};
use telegen_e2e::{Observation, Scratch, Subject, own_names};

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

#[test]
fn of_programs_with_symbols() -> Result<()> {
    assert_rows(&[go_row("go", &["go", "build"])], 499, "4s")
}

/// Go's own table of functions is still there, as its tracebacks need it.
#[test]
fn of_programs_without_symbols() -> Result<()> {
    let whole = go_row("go", &["go", "build"]);
    let stripped = go_row("go-stripped", &["go", "build", "-ldflags=-s -w"]);
    let scratch = Scratch::new()?;
    let subject = Subject::start(&scratch, &stripped.built()?, "tg-go-stripped", &[])?;
    let seen = Observation::of(&scratch, &subject, 499, "4s")?;
    seen.assert_count();
    let calls = PossibleCalls::new(Path::new("/")).reading_instead(&subject.file(), &whole.built()?);
    WholeStacks::new(calls, &knowledge).beginning_in(&GO_ROOTS).assert_all("go-stripped", &seen.profile);
    stripped.assert_places(&seen.profile);
    Ok(())
}

/// A call of C runs on the thread's own stack, and one back on the goroutine's again.
fn cgo_knowledge(names: &[&str]) -> Option<String> {
    let has = |name: &str| names.contains(&name);
    if !names.iter().any(|name| name.starts_with("main.tg") || name.starts_with("tg_c_")) {
        return None;
    }
    let missing =
        |expected: &[&str]| expected.iter().find(|name| !has(name)).map(|name| format!("no {name}"));
    if let Some(flaw) = missing(&["main.tgRound", "main.main", "runtime.main"]) {
        return Some(flaw);
    }
    if has("tg_c_spin") {
        let depth = names.iter().filter(|name| **name == "tg_c_deep").count();
        return missing(&["runtime.cgocall", "main.tgToC"])
            .or_else(|| (depth != 11).then(|| format!("{depth} recursions in C")));
    }
    if has("main.tgBack") {
        return missing(&["crosscall2", "tg_c_calling", "runtime.cgocall", "main.tgToCAndBack"]);
    }
    None
}

#[test]
fn of_calls_of_c_and_of_calls_back() -> Result<()> {
    let row = Row {
        name: "cgo",
        compiler: &["go", "build"],
        source: "stacks_cgo.go",
        arguments: &[],
        knowledge: &cgo_knowledge,
        roots: &GO_ROOTS,
        places: &["tg_c_spin", "main.tgBack", "main.tgInGo"],
    };
    assert_rows(&[row], 499, "4s")
}
