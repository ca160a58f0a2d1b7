//! Stacks where no table says anything: generated code, and programs of 32 bits.

use anyhow::Result;
use std::process::Command;
use telegen_e2e::{Profile, Running, Sample, Scratch, build_with, record};

/// What its first thread does in its own code.
fn record_edges(kind: &str) -> Result<Profile> {
    let scratch = Scratch::new()?;
    let program = build_with("edges", &["gcc", "-O2", "-g", "-fomit-frame-pointer"], "edges.c")?;
    let mut running = Running::spawn(Command::new(&program).arg(kind))?;
    let pid = running.pid().to_string();
    let profile = record(scratch.path(), &["-F", "997", "-d", "3s", "--pid", &pid])?.profile;
    running.terminate()?;
    assert!(profile.count_with("tg_inner") * 2 > profile.total(), "{kind}: {:?}", profile.functions());
    Ok(profile)
}

fn ends_in(sample: &Sample, name: &str) -> bool {
    sample.frames.last().is_some_and(|frame| frame.function == name)
}

/// Its frame pointer is the caller's at a function's first instructions and at its last, which perf and others take for its own.
#[test]
fn a_function_that_comes_or_goes_has_its_caller() -> Result<()> {
    for kind in ["push", "other"] {
        let profile = record_edges(kind)?;
        let is_called = |sample: &Sample| {
            let names: Vec<_> = sample.frames.iter().map(|frame| frame.function.as_str()).collect();
            names.windows(3).any(|three| three == ["tg_inner", "tg_outer", "main"])
        };
        let (called, all) = (profile.count(is_called), profile.count_with("tg_inner"));
        assert!(called * 1000 >= all * 995, "{kind}: {called} of {all}: {:?}", profile.functions());
    }
    Ok(())
}

#[test]
fn generated_code_with_nothing_in_the_frame_pointer_begins_no_stack() -> Result<()> {
    let profile = record_edges("zero")?;
    let lost = profile.count(|sample| sample.has("tg_inner") && ends_in(sample, "[no unwind information]"));
    let whole = profile.count(|sample| sample.has("tg_inner") && sample.has("main"));
    let all = profile.count_with("tg_inner");
    assert_eq!(lost + whole, all, "{:?}", profile.functions());
    assert!(lost * 2 > all, "{lost} of {all}");
    Ok(())
}

#[test]
fn a_program_of_32_bits_has_its_function_and_says_that_there_is_no_more() -> Result<()> {
    let scratch = Scratch::new()?;
    let compiler =
        ["gcc", "-m32", "-O1", "-fno-optimize-sibling-calls", "-fomit-frame-pointer", "-nostdlib", "-static"];
    let program = build_with(
        "thirty-two",
        &[&compiler[..], &["-fno-stack-protector", "-fno-pic"]].concat(),
        "thirty_two.c",
    )?;
    let profile =
        record(scratch.path(), &["-F", "499", "-d", "2s", "--", &program.to_string_lossy()])?.profile;
    let ends = |sample: &Sample| {
        let leaf = sample.frames.first().is_some_and(|frame| frame.function == "tg_fibonacci");
        leaf && ends_in(sample, "[unwind information not supported]")
    };
    assert!(profile.count(ends) * 10 > profile.total() * 9, "{:?}", profile.functions());
    Ok(())
}
