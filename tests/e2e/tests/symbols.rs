//! Names of functions, files and lines.

use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use telegen_e2e::{Profile, Program, Recording, Running, Scratch, record, skip, source_line};

/// Records three seconds of a program that is started under this name.
fn record_program(program: Program, name: &str) -> Result<Profile> {
    let scratch = Scratch::new()?;
    let _running: Running = scratch.start(program, name, &[])?;
    let Recording { profile, .. } = record(scratch.path(), &["--name", name, "-d", "3s"])?;
    assert!(profile.total() > 0);
    Ok(profile)
}

/// Fails unless nearly all samples have a function for whose name something holds.
fn assert_mostly(profile: &Profile, what: &str, holds: impl Fn(&str) -> bool) {
    let named = profile.count(|sample| sample.frames.iter().any(|frame| holds(&frame.function)));
    assert!(
        named * 10 >= profile.total() * 9,
        "{named} of {} samples in {what}: {:?}",
        profile.total(),
        profile.functions()
    );
}

#[test]
fn functions_have_their_file_and_line() -> Result<()> {
    let profile = record_program(Program::Burn, "tg-lines")?;
    let line = source_line("burn.c", "TG_BURNER(tg_half")?;
    let frames: Vec<_> = profile.frames().filter(|frame| frame.function == "tg_half").collect();
    assert!(!frames.is_empty(), "{:?}", profile.functions());
    for frame in frames {
        assert!(frame.file.ends_with("burn.c"), "{frame:?}");
        assert_eq!(frame.line, line, "{frame:?}");
    }
    Ok(())
}

#[test]
fn functions_of_the_vdso_have_names_and_callers() -> Result<()> {
    let clock = fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let profile = record_program(Program::Clocks, "tg-clocks")?;
    let is_there = |name: &str| profile.functions().iter().any(|function| function.contains(name));
    if !is_there("vdso") && is_there("entry_SYSCALL") {
        skip!("the clock {clock:?} can be read by the kernel only");
    }
    let whole = profile.count(|sample| {
        let place = |name: &str| sample.frames.iter().position(|frame| frame.function.contains(name));
        place("__vdso_clock_gettime") < place("main") && place("__vdso_clock_gettime").is_some()
    });
    // The rest is in the C library and the program itself.
    assert!(whole * 2 >= profile.total(), "{whole} of {}: {:?}", profile.total(), profile.functions());
    assert!(!is_there("[vdso+0x"), "{:?}", profile.functions());
    Ok(())
}

#[test]
fn callers_stand_behind_their_callees() -> Result<()> {
    let profile = record_program(Program::Burn, "tg-callers")?;
    let whole = profile.count(|sample| {
        let place = |name: &str| sample.frames.iter().position(|frame| frame.function == name);
        let leaf = ["tg_half", "tg_third", "tg_fifth"].iter().find_map(|name| place(name));
        leaf == Some(0) && place("burn") == Some(1) && place("main") == Some(2)
    });
    assert!(whole * 10 >= profile.total() * 9, "{whole} of {}: {:?}", profile.total(), profile.samples);
    Ok(())
}

#[test]
fn inlined_functions_are_shown_inside_their_callers() -> Result<()> {
    let profile = record_program(Program::Inlined, "tg-inlined")?;
    let (inner, outer) = (
        source_line("inlined.c", "tg_inlined(uint64_t x)")?,
        source_line("inlined.c", "return tg_inlined(x)")?,
    );
    let inlined = profile.count(|sample| {
        let mut pairs = sample.frames.windows(2);
        pairs
            .any(|pair| pair[0].function == "tg_inlined" && pair[0].inlined && pair[1].function == "tg_outer")
    });
    assert!(inlined * 10 >= profile.total() * 9, "{inlined} of {}: {:?}", profile.total(), profile.samples);
    for frame in profile.frames().filter(|frame| frame.function == "tg_inlined") {
        assert!(frame.line > inner && frame.line < outer, "{frame:?}");
    }
    assert!(
        profile.frames().any(|frame| frame.function == "tg_outer" && frame.line == outer),
        "the line of the call"
    );
    Ok(())
}

#[test]
fn cpp_names_are_demangled() -> Result<()> {
    let profile = record_program(Program::Templates, "tg-templates")?;
    assert_mostly(&profile, "the template", |name| name.contains("tg::mixing::Mixer<unsigned long>::spin"));
    let mangled: Vec<_> = profile.functions().into_iter().filter(|name| name.starts_with("_ZN")).collect();
    assert!(mangled.is_empty(), "{mangled:?}");
    Ok(())
}

#[test]
fn rust_names_are_demangled_without_their_hash() -> Result<()> {
    let profile = record_program(Program::Rust, "tg-rust")?;
    assert_mostly(&profile, "the function", |name| name.ends_with("outer::inner::tg_rust_spin"));
    Ok(())
}

#[test]
fn go_names_are_those_of_go() -> Result<()> {
    let profile = record_program(Program::Go, "tg-go")?;
    assert_mostly(&profile, "the function", |name| name == "main.tgGoSpin");
    let line = source_line("burn.go", "func tgGoSpin")?;
    let frames: Vec<_> = profile.frames().filter(|frame| frame.function == "main.tgGoSpin").collect();
    assert!(frames.iter().all(|frame| (line..line + 8).contains(&frame.line)), "{frames:?}");
    Ok(())
}

#[test]
fn kernel_frames_are_named_and_stand_above_their_caller() -> Result<()> {
    let kallsyms = fs::read_to_string("/proc/kallsyms").context("no /proc/kallsyms")?;
    let known: BTreeSet<&str> = kallsyms.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    let profile = record_program(Program::Syscalls, "tg-syscalls")?;
    let reading = profile.count(|sample| {
        let place = |name: &str| sample.frames.iter().position(|frame| frame.function == name);
        matches!((place("vfs_read"), place("tg_read_zero")), (Some(kernel), Some(user)) if kernel < user)
    });
    assert!(
        reading * 10 >= profile.total() * 8,
        "{reading} of {}: {:?}",
        profile.total(),
        profile.functions()
    );
    let user = profile.samples.iter().filter_map(|sample| {
        let caller = sample.frames.iter().position(|frame| frame.function == "tg_read_zero")?;
        Some(&sample.frames[..caller])
    });
    for frame in user.flatten() {
        // A compiler's suffix (`.isra.0`) may have been cut off; a number must not stand where a name belongs.
        let name = frame.function.split(" [").next().unwrap_or_default();
        let is_known =
            known.contains(name) || known.iter().any(|known| known.split('.').next() == Some(name));
        assert!(is_known, "{frame:?} is no symbol of this kernel");
    }
    Ok(())
}

#[test]
fn a_program_in_the_kernel_all_the_time_is_not_shown_as_idle() -> Result<()> {
    let scratch = Scratch::new()?;
    let _running = scratch.start(Program::Syscalls, "tg-in-kernel", &[])?;
    let with = record(scratch.path(), &["--name", "tg-in-kernel", "-d", "3s"])?;
    assert!(with.profile.total() >= 50, "{}", with.outcome);
    Ok(())
}
