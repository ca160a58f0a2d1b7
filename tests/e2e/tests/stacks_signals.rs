//! Stacks of handlers of signals, and of what they have interrupted: at any instruction of small functions, in the C
//! library, in another handler.

use anyhow::Result;
use telegen_e2e::own_names;
use telegen_e2e::row::{Row, assert_rows};
use telegen_e2e::whole_stacks::flaw_of_table;

/// What `interrupted.c` calls by itself.
const CALLS: [(&str, &[&str]); 14] = [
    ("library", &["main", "tg_order", "tg_timer_handler", "tg_inner_handler"]),
    ("main", &["tg_round", "library"]),
    ("tg_round", &["tg_small_ones", "tg_sorting", "tg_copying"]),
    ("tg_small_ones", &["tg_six"]),
    ("tg_six", &["tg_small"]),
    ("tg_small", &["tg_tiny"]),
    ("tg_tiny", &[]),
    ("tg_order", &["tg_tiny"]),
    ("tg_sorting", &["library"]),
    ("tg_copying", &["library"]),
    ("tg_timer_handler", &["tg_spin", "library"]),
    ("tg_inner_handler", &["tg_spin"]),
    ("tg_spin", &[]),
    ("tg_unevenly", &[]),
];

/// In front of and behind what returns from a signal the program's calls are the ones it makes; whatever it was doing, it
/// came from `main`. A timer does not interrupt its own handler.
fn knowledge(names: &[&str]) -> Option<String> {
    let handled = |handler: &str| names.iter().position(|name| *name == handler);
    let (timer, inner) = (handled("tg_timer_handler"), handled("tg_inner_handler"));
    if names.iter().filter(|name| **name == "tg_timer_handler").count() > 1 {
        return Some("the timer's handler has interrupted itself".to_owned());
    }
    if inner.is_some() && timer.is_none() {
        return Some("nobody but the timer's handler raises the other signal".to_owned());
    }
    // The function that returns from a signal is the caller of its handler.
    let mut parts: Vec<&[&str]> = Vec::new();
    let mut rest = names;
    for handler in [inner, timer].into_iter().flatten() {
        let at = handler + 1 - (names.len() - rest.len());
        parts.push(&rest[..at]);
        rest = rest.get(at + 1..).unwrap_or_default();
    }
    parts.push(rest);
    if rest.iter().all(|name| *name != "main") && timer.is_some() {
        return Some("what was interrupted does not come from main".to_owned());
    }
    parts.into_iter().find_map(|part| flaw_of_table(part, &CALLS, own_names::of_c))
}

const PLACES: [&str; 5] = ["tg_timer_handler", "tg_inner_handler", "tg_tiny", "tg_sorting", "tg_copying"];

fn row<'a>(name: &'a str, compiler: &'a [&'a str]) -> Row<'a> {
    Row {
        name,
        compiler,
        source: "interrupted.c",
        arguments: &[],
        knowledge: &knowledge,
        roots: &[],
        places: &PLACES,
    }
}

#[test]
fn of_handlers_that_interrupt_anything() -> Result<()> {
    let gcc = ["gcc", "-O2", "-g", "-fomit-frame-pointer"];
    let clang = ["clang", "-O2", "-g", "-fomit-frame-pointer"];
    assert_rows(&[row("signals-gcc", &gcc), row("signals-clang", &clang)], 997, "5s")
}

#[test]
fn of_handlers_in_unoptimised_and_static_programs() -> Result<()> {
    let none = ["gcc", "-O0", "-g"];
    let linked = ["gcc", "-O1", "-g", "-fomit-frame-pointer", "-static"];
    assert_rows(&[row("signals-gcc-O0", &none), row("signals-static", &linked)], 997, "4s")
}
