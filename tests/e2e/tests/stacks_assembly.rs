//! Stacks through hand-written assembly whose call frame information says what compilers' never does.

use anyhow::Result;
use telegen_e2e::own_names;
use telegen_e2e::row::{Row, assert_rows};
use telegen_e2e::whole_stacks::flaw_of_table;
use telegen_e2e::{Sample, Scratch, build_with, record};

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

fn binding(names: &[&str]) -> Option<String> {
    const CALLS: [(&str, &[&str]); 3] =
        [("library", &["library", "main"]), ("main", &["tg_bind"]), ("tg_bind", &["library"])];
    flaw_of_table(names, &CALLS, own_names::of_c)
}

/// The dynamic linker looks functions up from code that finds its frame by a register, which those that it calls save.
#[test]
fn of_functions_that_are_looked_up_when_they_are_called_first() -> Result<()> {
    let row = Row {
        name: "bound-late",
        compiler: &[
            "gcc",
            "-O2",
            "-g",
            "-fomit-frame-pointer",
            "-fno-builtin",
            "-no-pie",
            "-fcf-protection=none",
            "-Wl,-z,lazy,-z,norelro",
        ],
        source: "bound_late.c",
        arguments: &[],
        knowledge: &binding,
        roots: &[],
        places: &["tg_bind", "_dl_runtime_resolve", "_dl_fixup"],
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
    // It cannot be left, and its frame pointer, which is 0, does not say that it is the first function.
    let lost = |sample: &Sample| {
        sample.frames.last().is_some_and(|frame| frame.function == "[no unwind information]")
    };
    let ends = recording.profile.count(|sample| sample.has("tg_unfollowed") && lost(sample));
    assert_eq!(ends, count("tg_unfollowed"), "{:?}", recording.profile.functions());
    Ok(())
}
