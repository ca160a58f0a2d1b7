//! Stacks of Rust programs, as they are released.

use anyhow::Result;
use telegen_e2e::own_names;
use telegen_e2e::row::{Row, assert_rows};
use telegen_e2e::whole_stacks::flaw_of_table;

/// What `stacks.rs` can call, besides the library, which everything can.
const CALLS: [(&str, &[&str]); 22] = [
    ("library", &["main", "tg_order", "tg_worker", "tg_panicking{}", "tg_failing", "tg_called", "tg_round"]),
    ("main", &["tg_round"]),
    (
        "tg_round",
        &["tg_shallow", "tg_deep", "tg_object", "tg_generic", "tg_panicking", "tg_sorting", "tg_threading"],
    ),
    ("tg_shallow", &["tg_recurse"]),
    ("tg_deep", &["tg_recurse"]),
    ("tg_recurse", &["tg_recurse", "tg_spin"]),
    ("tg_object", &["tg_area"]),
    ("tg_area", &["tg_spin"]),
    ("tg_generic", &["tg_round{}", "tg_called"]),
    ("tg_round{}", &["tg_called"]),
    ("tg_called", &["tg_spin"]),
    ("tg_panicking", &["tg_called", "tg_panicking{}", "tg_failing"]),
    ("tg_panicking{}", &["tg_failing"]),
    ("tg_failing", &["tg_failing"]),
    ("tg_sorting", &["tg_sorting{}"]),
    ("tg_sorting{}", &[]),
    ("tg_order", &["tg_spin"]),
    ("tg_threading", &[]),
    ("tg_threading{}", &["tg_worker"]),
    ("tg_worker", &["tg_spin"]),
    ("tg_spin", &[]),
    ("tg_worker{}", &[]),
];

/// `main` is the one in the program's own crate.
fn own(name: &str) -> Option<String> {
    if name == "stacks::main" { Some("main".to_owned()) } else { own_names::of_path(name) }
}

fn knowledge(names: &[&str]) -> Option<String> {
    let every: Vec<(&str, Vec<&str>)> =
        CALLS.iter().map(|(caller, calls)| (*caller, [&["library"], *calls].concat())).collect();
    let table: Vec<(&str, &[&str])> =
        every.iter().map(|(caller, calls)| (*caller, calls.as_slice())).collect();
    if let Some(flaw) = flaw_of_table(names, &table, own) {
        return Some(flaw);
    }
    let is = |name: &str, what: &str| own(name).as_deref() == Some(what);
    let depth = names.iter().filter(|name| is(name, "tg_recurse")).count();
    let expected = if names.iter().any(|name| is(name, "tg_deep")) { 401 } else { 51 };
    (names.first().is_some_and(|leaf| is(leaf, "tg_spin")) && depth != 0 && depth != expected)
        .then(|| format!("{depth} recursions"))
}

fn row<'a>(name: &'a str, compiler: &'a [&'a str], places: &'a [&'a str]) -> Row<'a> {
    Row { name, compiler, source: "stacks.rs", arguments: &[], knowledge: &knowledge, roots: &[], places }
}

const RELEASE: [&str; 5] =
    ["rustc", "--edition=2021", "-Copt-level=3", "-Cforce-frame-pointers=no", "-Cdebuginfo=line-tables-only"];
const PLACES: [&str; 6] = ["tg_shallow", "tg_deep", "tg_area", "tg_called", "tg_order", "tg_worker"];
const UNWINDING: [&str; 1] = ["tg_failing"];

#[test]
fn of_releases() -> Result<()> {
    let places = [&PLACES[..], &UNWINDING].concat();
    let lto = [&RELEASE[..], &["-Clto=fat", "-Ccodegen-units=1"]].concat();
    assert_rows(&[row("rust-release", &RELEASE, &places), row("rust-lto", &lto, &places)], 499, "4s")
}

#[test]
fn of_releases_that_abort_and_of_static_ones() -> Result<()> {
    let abort = [&RELEASE[..], &["-Cpanic=abort", "-Ccodegen-units=1"]].concat();
    let fixed = [&RELEASE[..], &["-Ctarget-feature=+crt-static", "-Crelocation-model=static"]].concat();
    let places = [&PLACES[..], &UNWINDING].concat();
    assert_rows(&[row("rust-abort", &abort, &PLACES), row("rust-static", &fixed, &places)], 499, "4s")
}
