//! Stacks through hand-written assembly whose call frame information says what compilers' never does.

use anyhow::Result;
use telegen_e2e::own_names;
use telegen_e2e::row::{Row, assert_rows};
use telegen_e2e::whole_stacks::flaw_of_table;
use telegen_e2e::{Scratch, build_with, record};

/// What `assembly.c` can call.
const CALLS: [(&str, &[&str]); 9] = [
    ("library", &["main"]),
    ("main", &["tg_unevenly", "tg_encrypting", "tg_multiplying"]),
    ("tg_unevenly", &["tg_spin"]),
    ("tg_spin", &[]),
    ("tg_encrypting", &["tg_by_register"]),
    ("tg_by_register", &["tg_called"]),
    ("tg_called", &[]),
    ("tg_multiplying", &["tg_by_index"]),
    ("tg_by_index", &[]),
];

fn knowledge(names: &[&str]) -> Option<String> {
    flaw_of_table(names, &CALLS, own_names::of_c)
}

#[test]
fn of_assembly_whose_frames_are_found_by_registers_that_calls_change() -> Result<()> {
    let row = Row {
        name: "assembly",
        compiler: &["gcc", "-O2", "-g", "-fomit-frame-pointer"],
        source: "assembly.c",
        arguments: &[],
        knowledge: &knowledge,
        roots: &[],
        places: &["tg_called", "tg_by_index", "tg_spin"],
    };
    assert_rows(&[row], 997, "3s")
}

/// What the function that has not returned would return to is the next one, which is not on the stack.
#[test]
fn a_last_call_is_of_the_function_that_ends_with_it() -> Result<()> {
    let scratch = Scratch::new()?;
    let built = build_with("unfollowed", &["gcc", "-O2", "-g", "-fomit-frame-pointer"], "unfollowed.c")?;
    let recording = record(scratch.path(), &["-F", "499", "-d", "2s", "--", &built.to_string_lossy()])?;
    let count = |name| recording.profile.count_with(name);
    assert!(count("tg_unfollowed") > 100, "{:?}", recording.profile.functions());
    assert_eq!(count("tg_next"), 0, "of {} stacks", recording.profile.total());
    Ok(())
}
