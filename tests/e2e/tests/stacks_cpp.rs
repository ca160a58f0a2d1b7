//! Stacks of C++ programs: exceptions, destructors that run meanwhile, templates, virtual functions, the library's
//! algorithms and threads.

use anyhow::Result;
use telegen_e2e::own_names;
use telegen_e2e::row::{Row, assert_rows};
use telegen_e2e::whole_stacks::flaw_of_table;

/// What `exceptions.cpp` can call; `library` is whatever is not its own.
const CALLS: [(&str, &[&str]); 22] = [
    // A lambda that is inlined has no path in its name.
    ("library", &["main", "tg_less", "tg_worker", "tg_round{}", "tg_called"]),
    ("main", &["library", "tg_round"]),
    (
        "tg_round",
        &[
            "library",
            "tg_unevenly",
            "tg_throwing",
            "tg_throwing_often",
            "tg_templates",
            "tg_virtual",
            "tg_algorithms",
            "tg_functional",
            "tg_threading",
        ],
    ),
    ("tg_unevenly", &["tg_spin"]),
    ("tg_throwing", &["library", "tg_descending", "tg_caught"]),
    ("tg_throwing_often", &["library", "tg_descending"]),
    // Compilers inline destructors all the same.
    ("tg_descending", &["library", "tg_descending", "~Guard", "tg_cleaning"]),
    // What goes on unwinding after it stands in its lines.
    ("~Guard", &["tg_cleaning", "library"]),
    ("tg_cleaning", &["tg_spin"]),
    ("tg_caught", &["library", "tg_spin"]),
    ("tg_templates", &["tg_floor"]),
    ("tg_floor", &["tg_floor", "tg_spin"]),
    ("tg_virtual", &["library", "tg_area"]),
    ("tg_area", &["tg_spin"]),
    ("tg_algorithms", &["library"]),
    ("tg_less", &["tg_spin"]),
    ("tg_functional", &["library", "tg_round{}"]),
    ("tg_round{}", &["tg_called"]),
    ("tg_called", &["tg_spin"]),
    ("tg_threading", &["library"]),
    ("tg_worker", &["tg_spin"]),
    ("tg_spin", &[]),
];

const PLACES: [&str; 7] = ["tg_caught", "~Guard", "_Unwind_", "tg_floor", "tg_area", "tg_less", "tg_worker"];

fn own(name: &str) -> Option<String> {
    own_names::of_path(name).or_else(|| (name == "main").then(|| name.to_owned()))
}

/// Exceptions are thrown at a depth of 61 or 20, and have destructors run by the frames 1, 21 and 41.
fn knowledge(names: &[&str]) -> Option<String> {
    if let Some(flaw) = flaw_of_table(names, &CALLS, own) {
        return Some(flaw);
    }
    let kinds: Vec<Option<String>> = names.iter().map(|name| own(name)).collect();
    let count = |name: &str| kinds.iter().flatten().filter(|kind| *kind == name).count();
    let (descents, floors) = (count("tg_descending"), count("tg_floor"));
    let leaf = kinds.first().and_then(Option::as_deref);
    if descents > 0 && leaf != Some("tg_descending") && ![61, 41, 21, 20, 1].contains(&descents) {
        return Some(format!("{descents} frames of tg_descending"));
    }
    if leaf == Some("tg_spin") && count("~Guard") > 0 && ![41, 21, 1].contains(&descents) {
        return Some(format!("a destructor below {descents} frames of tg_descending"));
    }
    (floors > 0 && leaf == Some("tg_spin") && ![31, 13].contains(&floors)).then(|| format!("{floors} floors"))
}

fn row<'a>(name: &'a str, compiler: &'a [&'a str]) -> Row<'a> {
    Row {
        name,
        compiler,
        source: "exceptions.cpp",
        arguments: &[],
        knowledge: &knowledge,
        roots: &[],
        places: &PLACES,
    }
}

const GCC: [&str; 5] = ["g++", "-std=c++17", "-g", "-pthread", "-fomit-frame-pointer"];
const CLANG: [&str; 5] = ["clang++", "-std=c++17", "-g", "-pthread", "-fomit-frame-pointer"];

#[test]
fn of_gcc_unoptimised_and_optimised() -> Result<()> {
    let (none, most) = ([&GCC[..], &["-O0"]].concat(), [&GCC[..], &["-O3"]].concat());
    assert_rows(&[row("cpp-gcc-O0", &none), row("cpp-gcc-O3", &most)], 499, "4s")
}

#[test]
fn of_clang_and_of_link_time_optimisation() -> Result<()> {
    let (clang, lto) = ([&CLANG[..], &["-O2"]].concat(), [&GCC[..], &["-O2", "-flto"]].concat());
    assert_rows(&[row("cpp-clang-O2", &clang), row("cpp-lto", &lto)], 499, "4s")
}

/// The library's code is in the program, and its unwinder finds call frame information by another way.
#[test]
fn of_static_programs() -> Result<()> {
    let linked = [&GCC[..], &["-O2", "-static"]].concat();
    assert_rows(&[row("cpp-static", &linked)], 499, "3s")
}
