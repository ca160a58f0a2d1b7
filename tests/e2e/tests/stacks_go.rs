//! Stacks of Go programs, with and without symbols, and through C and back.

use anyhow::Result;
use std::path::Path;
use telegen_e2e::own_names::GO_ROOTS;
use telegen_e2e::possible_calls::PossibleCalls;
use telegen_e2e::row::Row;
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

/// Records a program; its stacks must be whole. Where it is stripped, the same program as it was before says what its code is.
fn assert_whole(row: &Row<'_>, unstripped: Option<&Row<'_>>) -> Result<()> {
    let scratch = Scratch::new()?;
    let subject = Subject::start(&scratch, &row.built()?, &format!("tg-{}", row.name), row.arguments)?;
    let seen = Observation::of(&scratch, &subject, 499, "4s")?;
    seen.assert_count();
    let mut calls = PossibleCalls::new(Path::new("/"));
    if let Some(unstripped) = unstripped {
        calls = calls.reading_instead(&subject.file(), &unstripped.built()?);
    }
    WholeStacks::new(calls, row.knowledge).beginning_in(row.roots).assert_all(row.name, &seen.profile);
    row.assert_places(&seen.profile);
    Ok(())
}

const STRIPPED: [&str; 3] = ["go", "build", "-ldflags=-s -w"];
const PIE: [&str; 3] = ["go", "build", "-buildmode=pie"];
const STRIPPED_PIE: [&str; 4] = ["go", "build", "-buildmode=pie", "-ldflags=-s -w"];

#[test]
fn of_programs_with_symbols() -> Result<()> {
    assert_whole(&go_row("go", &["go", "build"]), None)
}

#[test]
fn of_programs_that_can_be_loaded_anywhere() -> Result<()> {
    assert_whole(&go_row("go-pie", &PIE), None)
}

/// Go's own table of functions is still there, as its tracebacks need it: it has the names that the symbols had, and the sizes of
/// frames.
#[test]
fn of_programs_without_symbols() -> Result<()> {
    assert_whole(&go_row("go-stripped", &STRIPPED), Some(&go_row("go", &["go", "build"])))
}

/// What the run time does for a function on its thread's own stack is on that function's stack.
fn switching_knowledge(names: &[&str]) -> Option<String> {
    let has = |wanted: &str| names.iter().any(|name| name.trim_end_matches(".abi0") == wanted);
    // A signal may take the processor away anywhere.
    let takes = ["runtime.asyncPreempt", "runtime.sigreturn"];
    let taken = names.iter().rposition(|name| takes.contains(&name.trim_end_matches(".abi0")));
    let behind = taken.map_or(0, |at| at + 1);
    if let Some(flaw) = flaw_of_table(&names[behind..], &SWITCHING_CALLS, own_names::of_go) {
        return Some(flaw);
    }
    let below = |inside: &str, outside: &str| {
        (has(inside) && !has(outside)).then(|| format!("{inside} is not below {outside}"))
    };
    // It is left for good only for another one.
    if names.last().is_some_and(|root| root.starts_with("runtime.morestack")) && !has("runtime.schedule") {
        return Some("a stack grows of no goroutine".to_owned());
    }
    below("runtime.copystack", "main.tgGrower")
        .or_else(|| below("runtime.newproc1", "main.main"))
        .or_else(|| below("time.Now", "main.main"))
        .or_else(|| below("main.main", "runtime.goexit"))
        .or_else(|| below("main.tgGrow", "runtime.goexit"))
}

/// What `stacks_switching.go` can call besides the library.
const SWITCHING_CALLS: [(&str, &[&str]); 14] = [
    (
        "library",
        &[
            "library",
            "main.main",
            "main.tgGrower",
            "main.tgGrowing.func1",
            "main.tgNothing",
            "main.tgStarting.func1",
            "main.tgSharing.func1",
        ],
    ),
    (
        "main.main",
        &[
            "library",
            "main.tgGrowing",
            "main.tgStarting",
            "main.tgReading",
            "main.tgAllocating",
            "main.tgCollecting",
            "main.tgSharing",
        ],
    ),
    ("main.tgGrowing", &["library"]),
    ("main.tgStarting", &["library"]),
    ("main.tgReading", &["library"]),
    ("main.tgAllocating", &["library"]),
    ("main.tgCollecting", &["library"]),
    ("main.tgSharing", &["library"]),
    // What `go` begins with if it has arguments.
    ("main.tgGrowing.func1", &["library", "main.tgGrower"]),
    ("main.tgStarting.func1", &["library", "main.tgNothing"]),
    ("main.tgGrower", &["library", "main.tgGrow"]),
    ("main.tgGrow", &["library", "main.tgGrow"]),
    ("main.tgNothing", &["library"]),
    ("main.tgSharing.func1", &["library", "main.tgSpin"]),
];

fn switching_row<'a>(name: &'a str, compiler: &'a [&'a str]) -> Row<'a> {
    Row {
        name,
        compiler,
        source: "stacks_switching.go",
        arguments: &[],
        knowledge: &switching_knowledge,
        roots: &GO_ROOTS,
        places: &[
            "main.tgGrow",
            "main.tgStarting",
            "main.tgReading",
            "main.tgSharing.func1",
            "runtime.systemstack",
            "runtime.copystack",
        ],
    }
}

#[test]
fn of_programs_that_change_stacks_all_the_time() -> Result<()> {
    assert_whole(&switching_row("go-switching", &["go", "build"]), None)
}

#[test]
fn of_such_programs_without_symbols() -> Result<()> {
    let (whole, stripped) = (["go", "build"], STRIPPED);
    assert_whole(
        &switching_row("go-switching-stripped", &stripped),
        Some(&switching_row("go-switching", &whole)),
    )
}

#[test]
fn of_such_programs_that_can_be_loaded_anywhere() -> Result<()> {
    assert_whole(
        &switching_row("go-switching-stripped-pie", &STRIPPED_PIE),
        Some(&switching_row("go-switching-pie", &PIE)),
    )
}

/// A call of C runs on the thread's own stack, and one back on the goroutine's again.
fn cgo_knowledge(names: &[&str]) -> Option<String> {
    let count = |wanted: &str| names.iter().filter(|name| **name == wanted).count();
    let is_deep = names.first() == Some(&"tg_c_spin") && count("tg_c_deep") > 0;
    if is_deep && count("tg_c_deep") != 11 {
        return Some(format!("{} recursions in C", count("tg_c_deep")));
    }
    let below = |inside: &str, outside: &[&str]| {
        let missing = outside.iter().find(|outside| count(outside) == 0);
        missing.filter(|_| count(inside) > 0).map(|missing| format!("{inside} is not below {missing}"))
    };
    below("tg_c_deep", &["main.tgToC", "main.main", "runtime.goexit"]).or_else(|| {
        below("main.tgBack", &["tg_c_calling", "main.tgToCAndBack", "main.main", "runtime.goexit"])
    })
}

fn cgo_row<'a>(name: &'a str, compiler: &'a [&'a str]) -> Row<'a> {
    Row {
        name,
        compiler,
        source: "stacks_cgo.go",
        arguments: &[],
        knowledge: &cgo_knowledge,
        roots: &GO_ROOTS,
        places: &["tg_c_spin", "main.tgBack", "main.tgInGo", "tg_c_calling"],
    }
}

#[test]
fn of_calls_of_c_and_of_calls_back() -> Result<()> {
    assert_whole(&cgo_row("cgo", &["go", "build"]), None)
}

#[test]
fn of_calls_of_c_in_programs_that_can_be_loaded_anywhere() -> Result<()> {
    assert_whole(&cgo_row("cgo-pie", &PIE), None)
}
