//! Code that takes the place of other code at the same addresses is never taken for it.

use anyhow::{Context, Result};
use std::path::PathBuf;
use std::process::Command;
use telegen_e2e::{Frame, Profile, Program, Running, Sample, Scratch, build_with, record, reported};

const HZ: &str = "499";
const NOT_READY: &str = "[no unwind table yet]";

/// The two libraries, which differ in a name only, and the program that swaps them.
struct Swapped {
    program: PathBuf,
    libraries: [PathBuf; 2],
}

impl Swapped {
    fn build() -> Result<Self> {
        let library = |letter: char| {
            let (file, name) = (format!("libswapped-{letter}.so"), format!("-DNAME=tg_in_{letter}"));
            let options =
                ["gcc", "-O2", "-g", "-fomit-frame-pointer", "-fPIC", "-shared", "-Wl,--build-id", &name];
            build_with(&file, &options, "swapped_part.c")
        };
        let options = ["gcc", "-O2", "-g", "-fomit-frame-pointer", "-Wall", "-Wl,--build-id", "-ldl"];
        let program = build_with("swapped", &options, "swapped.c")?;
        Ok(Self { program, libraries: [library('a')?, library('b')?] })
    }

    /// A recording of the program while it swaps, each turn so many milliseconds of CPU time long. How often it has
    /// swapped, and how often at the same address.
    fn record(&self, milliseconds: u32, how: &str) -> Result<(Profile, f64, f64)> {
        let scratch = Scratch::new()?;
        let mut command = Command::new(&self.program);
        // Copies: the program may remove them.
        for library in &self.libraries {
            let copy = scratch.join(library.file_name().and_then(|name| name.to_str()).context("a name")?);
            std::fs::copy(library, &copy)?;
            command.arg(copy);
        }
        command.arg(milliseconds.to_string()).arg(how);
        let mut running = Running::spawn(&mut command)?;
        let pid = running.pid().to_string();
        let recording = record(scratch.path(), &["--pid", &pid, "-F", HZ, "-d", "4s"])?;
        let report = running.terminate()?.stdout;
        Ok((recording.profile, reported(&report, "swaps")?, reported(&report, "same")?))
    }
}

/// Which of the libraries a stack is in, by the name of its function and by that of its caller.
fn letters(sample: &Sample) -> Option<(char, Option<char>)> {
    let letter = |of: &str, beginning: &str| of.strip_prefix(beginning)?.chars().next();
    let at = sample.frames.iter().position(|frame| frame.function.starts_with("tg_in_"))?;
    let caller = sample.frames.get(at + 1).and_then(|frame| letter(&frame.function, "tg_call_"));
    Some((letter(&sample.frames[at].function, "tg_in_")?, caller))
}

/// Samples whose function is not what its caller calls; and those that are right, of both libraries.
fn tally(profile: &Profile) -> (u64, u64) {
    let wrong = profile.count(|sample| {
        !sample.has(NOT_READY)
            && letters(sample).is_some_and(|(callee, caller)| caller.is_some_and(|caller| caller != callee))
    });
    let right =
        profile.count(|sample| letters(sample).is_some_and(|(callee, caller)| caller == Some(callee)));
    (wrong, right)
}

#[test]
fn a_library_in_the_place_of_another_is_not_named_as_that() -> Result<()> {
    let swapped = Swapped::build().context("building the libraries")?;
    for milliseconds in [7, 60, 250] {
        let (profile, swaps, same) = swapped.record(milliseconds, "loader")?;
        assert!(swaps >= 3.0 && same + 2.0 >= swaps, "they are not at one address: {same} of {swaps}");
        let (wrong, right) = tally(&profile);
        assert_eq!(
            wrong,
            0,
            "{milliseconds} ms: of {}, {right} right: {:?}",
            profile.total(),
            profile.functions()
        );
        // A library that is gone again before it could be looked at has no name, nor has anything else of its stack.
        let least = if milliseconds > 50 { profile.total() * 8 / 10 } else { 1 };
        assert!(
            right >= least,
            "{milliseconds} ms: {right} of {}: {:?}",
            profile.total(),
            profile.functions()
        );
    }
    Ok(())
}

/// Where the machine has more to do than it can, what is noticed, read and told lies far apart.
#[test]
fn nor_is_it_where_eight_programs_do_so_on_a_busy_machine() -> Result<()> {
    let swapped = Swapped::build().context("building the libraries")?;
    let scratch = Scratch::new()?;
    let mut burners = Vec::new();
    for _ in 0..4 {
        burners.push(scratch.start(Program::Burn, "tg-swap-beside", &[])?);
    }
    let mut swapping = Vec::new();
    for _ in 0..8 {
        let mut command = Command::new(&swapped.program);
        swapping.push(Running::spawn(command.args(&swapped.libraries).args(["15", "loader"]))?);
    }
    let profile = record(scratch.path(), &["--name", "swapped", "-F", HZ, "-d", "8s"])?.profile;
    for mut running in swapping {
        let report = running.terminate()?.stdout;
        let (swaps, same) = (reported(&report, "swaps")?, reported(&report, "same")?);
        assert!(swaps > 20.0 && same + 2.0 >= swaps, "they are not at one address: {same} of {swaps}");
    }
    let (wrong, right) = tally(&profile);
    assert_eq!(wrong, 0, "of {}, {right} right: {:?}", profile.total(), profile.functions());
    assert!(right * 2 > profile.total(), "{right} of {}: {:?}", profile.total(), profile.functions());
    Ok(())
}

#[test]
fn code_of_files_without_a_name_has_its_module_and_functions() -> Result<()> {
    let swapped = Swapped::build().context("building the libraries")?;
    for (how, module) in [("memfd", "/memfd:tg-library"), ("deleted", "/libswapped-")] {
        let (profile, swaps, _) = swapped.record(250, how)?;
        assert!(swaps >= 3.0, "{how}: {swaps} swaps");
        let (wrong, right) = tally(&profile);
        assert_eq!(wrong, 0, "{how}: {:?}", profile.functions());
        assert!(
            right * 10 >= profile.total() * 8,
            "{how}: {right} of {}: {:?}",
            profile.total(),
            profile.functions()
        );
        let placed = profile.count(|sample| {
            let in_library =
                |frame: &Frame| frame.function.starts_with("tg_in_") && frame.mapping.contains(module);
            sample.frames.iter().any(in_library)
        });
        assert!(placed >= right, "{how}: {placed} of {right} in {module}");
    }
    Ok(())
}
