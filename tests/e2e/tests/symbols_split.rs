//! Names from debug information that was split off.

use anyhow::Result;
use telegen_e2e::{Program, Recording, Running, Scratch, record, source_line};

/// Records the program, and compares what is shown with its source.
fn assert_inlined(scratch: &Scratch, name: &str) -> Result<()> {
    let Recording { profile, .. } = record(scratch.path(), &["--name", name, "-d", "3s"])?;
    let outer = source_line("inlined.c", "return tg_inlined(x)")?;
    let inlined = profile.count(|sample| {
        let mut pairs = sample.frames.windows(2);
        pairs.any(|pair| {
            pair[0].function == "tg_inlined"
                && pair[0].inlined
                && pair[1].function == "tg_outer"
                && pair[1].line == outer
        })
    });
    assert!(
        profile.total() > 0 && inlined * 10 >= profile.total() * 9,
        "{inlined} of {}: {:?}",
        profile.total(),
        profile.samples
    );
    Ok(())
}

#[test]
fn split_debug_information_is_read_from_where_the_compiler_left_it() -> Result<()> {
    let scratch = Scratch::new()?;
    let _running: Running = scratch.start(Program::Split, "tg-split", &[])?;
    assert_inlined(&scratch, "tg-split")
}
