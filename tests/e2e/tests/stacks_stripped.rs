//! Stacks of programs whose symbols were taken out, and whose debug information lies in files of its own where debuggers
//! look for it.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use telegen_e2e::module::Module;
use telegen_e2e::possible_calls::PossibleCalls;
use telegen_e2e::whole_stacks::WholeStacks;
use telegen_e2e::{Observation, Profile, Scratch, Subject, build_with};

const COMPILER: [&str; 7] =
    ["gcc", "-O2", "-g", "-fomit-frame-pointer", "-Wl,--build-id", "-Wl,--no-as-needed", "-lm"];

fn unstripped() -> Result<PathBuf> {
    build_with("row-unstripped", &COMPILER, "library.c")
}

fn run_tool(tool: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(tool).args(arguments).output().with_context(|| tool.to_owned())?;
    if !output.status.success() {
        bail!("{tool} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// A copy without symbols, and its debug information apart.
fn strip(scratch: &Scratch) -> Result<(PathBuf, PathBuf)> {
    let (whole, stripped, debug) = (unstripped()?, scratch.join("stripped"), scratch.join("apart.debug"));
    let (whole, out, apart) = (whole.to_string_lossy(), stripped.to_string_lossy(), debug.to_string_lossy());
    run_tool("objcopy", &["--only-keep-debug", &whole, &apart])?;
    run_tool("objcopy", &["--strip-all", &whole, &out])?;
    Ok((stripped, debug))
}

/// Fails unless the stacks are whole: the machine code is that of the program before it was stripped.
fn assert_whole(name: &str, subject: &Subject, seen: &Observation) -> Result<()> {
    let calls = PossibleCalls::new(Path::new("/")).reading_instead(&subject.file(), &unstripped()?);
    let nothing_known = |_: &[&str]| None;
    WholeStacks::new(calls, &nothing_known).without_names().assert_all(name, &seen.profile);
    Ok(())
}

/// Fails unless every function of the program has the name that its symbols had.
fn assert_named(name: &str, profile: &Profile, file: &str) -> Result<()> {
    let module = Module::read(&unstripped()?)?;
    // Copies of one build are known as one, by the path of whichever was seen first.
    let is_own = |mapping: &str| mapping == file || mapping.contains("/tg-link-");
    let frames: Vec<_> = profile.frames().filter(|frame| is_own(&frame.mapping) && !frame.inlined).collect();
    let wrong: Vec<_> = frames
        .iter()
        .filter(|frame| {
            // Stubs between the program and its libraries have no symbols.
            let function = module.function(frame.address);
            let names = function.map_or(&[][..], |function| module.names(function.start));
            !names.is_empty() && !names.iter().any(|name| name == "_init") && !names.contains(&frame.function)
        })
        .map(|frame| (&frame.function, frame.address))
        .collect();
    assert!(!frames.is_empty(), "{name}: {:?}", profile.functions());
    assert!(
        wrong.is_empty(),
        "{name}: {} of {} frames, such as {:x?}",
        wrong.len(),
        frames.len(),
        wrong.first()
    );
    Ok(())
}

#[test]
fn without_any_symbols_stacks_are_as_whole() -> Result<()> {
    let scratch = Scratch::new()?;
    let (stripped, _) = strip(&scratch)?;
    let subject = Subject::start(&scratch, &stripped, "tg-no-symbols", &[])?;
    let seen = Observation::of(&scratch, &subject, 499, "3s")?;
    seen.assert_count();
    assert_whole("no symbols", &subject, &seen)?;
    // There is nothing to name the program's functions by; none has a name that is another's.
    for frame in seen.profile.frames().filter(|frame| frame.mapping == subject.file()) {
        assert!(frame.function.starts_with("[tg-no-symbols+0x") || frame.function == "_start", "{frame:?}");
    }
    Ok(())
}

#[test]
fn a_linked_file_of_debug_information_beside_the_program_has_its_names() -> Result<()> {
    let scratch = Scratch::new()?;
    let (stripped, debug) = strip(&scratch)?;
    let linked = scratch.join("linked");
    let link = format!("--add-gnu-debuglink={}", debug.display());
    run_tool("objcopy", &[&link, &stripped.to_string_lossy(), &linked.to_string_lossy()])?;
    // The one has it beside itself, the other in a directory for such files.
    let elsewhere = Scratch::new()?;
    fs::create_dir(elsewhere.join(".debug"))?;
    fs::copy(&debug, elsewhere.join(".debug/apart.debug"))?;
    let subjects = [
        Subject::start(&scratch, &linked, "tg-link-beside", &[])?,
        Subject::start(&elsewhere, &linked, "tg-link-below", &[])?,
    ];
    let seen = Observation::of_all(&scratch, &subjects, 499, "3s")?;
    Observation::assert_counts(&seen);
    for (subject, seen) in subjects.iter().zip(&seen) {
        assert_whole(&subject.file(), subject, seen)?;
        assert_named(&subject.file(), &seen.profile, &subject.file())?;
    }
    Ok(())
}

/// A file under /usr/lib/debug that is gone when the test is over.
struct Installed(PathBuf);

impl Drop for Installed {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
        // Directories that were there before, for other files, stay.
        for directory in self.0.ancestors().skip(1).take(2) {
            let _ = fs::remove_dir(directory);
        }
    }
}

#[test]
fn a_file_of_debug_information_is_found_by_its_build_id() -> Result<()> {
    let scratch = Scratch::new()?;
    let (stripped, debug) = strip(&scratch)?;
    let notes = Command::new("readelf").arg("-n").arg(&stripped).output()?;
    let notes = String::from_utf8_lossy(&notes.stdout).into_owned();
    let id = notes.split_once("Build ID: ").and_then(|(_, rest)| rest.split_whitespace().next());
    let (directory, file) = id.context("no build id")?.split_at(2);
    let place = Path::new("/usr/lib/debug/.build-id").join(directory).join(format!("{file}.debug"));
    fs::create_dir_all(place.parent().context("a directory")?)?;
    let _installed = Installed(place.clone());
    fs::copy(&debug, &place)?;
    fs::remove_file(&debug)?;
    let subject = Subject::start(&scratch, &stripped, "tg-by-build-id", &[])?;
    let seen = Observation::of(&scratch, &subject, 499, "3s")?;
    seen.assert_count();
    assert_whole("by build id", &subject, &seen)?;
    assert_named("by build id", &seen.profile, &subject.file())
}
