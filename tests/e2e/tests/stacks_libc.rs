//! Stacks whose end is in a library: in leaves of hand-written assembly, in its callbacks, in what it calls itself.

use anyhow::Result;
use telegen_e2e::own_names;
use telegen_e2e::row::{Row, assert_rows};
use telegen_e2e::whole_stacks::flaw_of_table;

/// What `library.c` can call.
const CALLS: [(&str, &[&str]); 15] = [
    ("library", &["main", "tg_compare"]),
    ("main", &["library", "tg_round"]),
    (
        "tg_round",
        &[
            "tg_unevenly",
            "tg_copying",
            "tg_filling",
            "tg_measuring",
            "tg_sorting",
            "tg_looking",
            "tg_printing",
            "tg_allocating",
            "tg_calculating",
            "tg_parsing",
        ],
    ),
    ("tg_unevenly", &["tg_spin"]),
    ("tg_copying", &["library"]),
    ("tg_filling", &["library"]),
    ("tg_measuring", &["library"]),
    ("tg_sorting", &["library"]),
    // Compilers put this search itself in.
    ("tg_looking", &["library", "tg_compare"]),
    ("tg_compare", &["tg_spin"]),
    ("tg_printing", &["library"]),
    ("tg_allocating", &["library"]),
    ("tg_calculating", &["library"]),
    ("tg_parsing", &["library"]),
    ("tg_spin", &[]),
];

const PLACES: [&str; 9] = [
    "tg_copying",
    "tg_filling",
    "tg_measuring",
    "tg_compare",
    "tg_looking",
    "tg_printing",
    "tg_allocating",
    "tg_calculating",
    "tg_parsing",
];

fn knowledge(names: &[&str]) -> Option<String> {
    flaw_of_table(names, &CALLS, own_names::of_c)
}

#[test]
fn of_the_c_library_and_the_mathematical_one() -> Result<()> {
    let lazy = ["gcc", "-O2", "-g", "-fomit-frame-pointer", "-Wl,--no-as-needed", "-lm"];
    let bound = ["clang", "-O2", "-g", "-fno-plt", "-Wl,-z,now", "-Wl,--no-as-needed", "-lm"];
    let of_gcc = Row {
        name: "library-gcc",
        compiler: &lazy,
        source: "library.c",
        arguments: &[],
        knowledge: &knowledge,
        roots: &[],
        places: &PLACES,
    };
    assert_rows(&[of_gcc, Row { name: "library-clang", compiler: &bound, ..of_gcc }], 997, "4s")
}
