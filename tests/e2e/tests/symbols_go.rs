//! Names in Go programs that were stripped.

use anyhow::Result;
use telegen_e2e::{Program, Recording, Running, Scratch, record, source_line};

/// Records a stripped program, and compares what is shown with its source.
fn assert_named(program: Program, name: &str) -> Result<()> {
    let scratch = Scratch::new()?;
    let _running: Running = scratch.start(program, name, &[])?;
    let Recording { profile, .. } = record(scratch.path(), &["--name", name, "-d", "3s"])?;
    let (outer, inner) =
        (source_line("inlined.go", "func tgGoOuter")?, source_line("inlined.go", "func tgGoInner")?);
    let whole = profile.count(|sample| {
        let mut pairs = sample.frames.windows(2);
        pairs.any(|pair| pair[0].function == "main.tgGoOuter" && pair[1].function == "main.main")
    });
    assert!(
        profile.total() > 0 && whole * 20 >= profile.total() * 19,
        "{whole} of {}: {:?}",
        profile.total(),
        profile.functions()
    );
    let inlined = profile.count(|sample| {
        let mut pairs = sample.frames.windows(2);
        pairs.any(|pair| {
            pair[0].function == "main.tgGoInner" && pair[0].inlined && pair[1].function == "main.tgGoOuter"
        })
    });
    assert!(inlined * 2 >= profile.total(), "{inlined} of {}", profile.total());
    for frame in profile.frames() {
        let first = match frame.function.as_str() {
            "main.tgGoOuter" => outer,
            "main.tgGoInner" => inner,
            _ => continue,
        };
        assert!(frame.file.ends_with("inlined.go"), "{frame:?}");
        assert!((first..first + 6).contains(&frame.line), "{frame:?}");
    }
    Ok(())
}

#[test]
fn a_stripped_go_program_has_functions_files_and_lines() -> Result<()> {
    assert_named(Program::GoStripped, "tg-go-strip")
}

#[test]
fn a_stripped_go_program_that_the_c_compiler_linked_has_them_too() -> Result<()> {
    assert_named(Program::GoStrippedPie, "tg-go-pie")
}
