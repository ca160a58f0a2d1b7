//! Programs whose files are stripped, gone, replaced or damaged: they still have frames, with the module's name, and
//! never names of something else.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;
use telegen_e2e::{Profile, Program, Recording, Running, Scratch, record};

const BURNERS: [&str; 3] = ["tg_half", "tg_third", "tg_fifth"];

fn record_pid(scratch: &Scratch, running: &Running) -> Result<Profile> {
    let Recording { profile, .. } =
        record(scratch.path(), &["--pid", &running.pid().to_string(), "-d", "3s"])?;
    ensure!(profile.total() > 0, "no sample");
    Ok(profile)
}

/// Fails unless nearly all samples' leaves lie in the module: `[module+0x…]`.
fn assert_leaves_in_module(profile: &Profile, module: &str) {
    let prefix = format!("[{module}+0x");
    let inside = profile.count(|sample| {
        let leaf = sample.frames.first().map_or("", |frame| frame.function.as_str());
        let offset = leaf.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(']'));
        offset.is_some_and(|offset| !offset.is_empty() && offset.bytes().all(|byte| byte.is_ascii_hexdigit()))
    });
    assert!(inside * 10 >= profile.total() * 9, "{inside} of {}: {:?}", profile.total(), profile.functions());
}

/// Fails unless nearly all samples are in the burner's functions, by name or as places in the module.
fn assert_named_or_in_module(profile: &Profile, module: &str) {
    let good = profile.count(|sample| {
        let leaf = sample.frames.first().map_or("", |frame| frame.function.as_str());
        BURNERS.contains(&leaf) || leaf.starts_with(&format!("[{module}+0x"))
    });
    assert!(good * 10 >= profile.total() * 9, "{good} of {}: {:?}", profile.total(), profile.functions());
}

#[test]
fn a_stripped_program_has_the_places_in_its_module() -> Result<()> {
    let scratch = Scratch::new()?;
    let running = scratch.start(Program::BurnStripped, "tg-stripped", &[])?;
    let profile = record_pid(&scratch, &running)?;
    assert_leaves_in_module(&profile, "tg-stripped");
    // The loop of each function is more than one instruction long: the places are not all one.
    assert!(profile.functions().len() >= 6, "{:?}", profile.functions());
    Ok(())
}

#[test]
fn a_program_whose_file_is_gone_has_frames() -> Result<()> {
    let scratch = Scratch::new()?;
    let running = scratch.start(Program::Burn, "tg-deleted", &[])?;
    fs::remove_file(scratch.join("tg-deleted"))?;
    let profile = record_pid(&scratch, &running)?;
    assert_named_or_in_module(&profile, "tg-deleted");
    assert_eq!(profile.label_values("process.executable.name"), ["tg-deleted"].into());
    assert_eq!(profile.label_values("process.executable.path"), [&*scratch.text("tg-deleted")].into());
    Ok(())
}

#[test]
fn a_program_whose_file_was_replaced_is_not_given_the_new_ones_names() -> Result<()> {
    let scratch = Scratch::new()?;
    let running = scratch.start(Program::Burn, "tg-replaced", &[])?;
    let other = scratch.install(Program::Short, "other")?;
    fs::rename(other, scratch.join("tg-replaced"))?;
    let profile = record_pid(&scratch, &running)?;
    assert_named_or_in_module(&profile, "tg-replaced");
    assert_eq!(profile.count_with("tg_short"), 0);
    Ok(())
}

#[test]
fn a_program_whose_file_was_replaced_by_rubbish_has_frames() -> Result<()> {
    let scratch = Scratch::new()?;
    let running = scratch.start(Program::Burn, "tg-rubbish", &[])?;
    let rubbish = scratch.write("rubbish", &"\u{7f}ELF and then nothing of the kind. ".repeat(2000))?;
    fs::rename(rubbish, scratch.join("tg-rubbish"))?;
    assert_named_or_in_module(&record_pid(&scratch, &running)?, "tg-rubbish");
    Ok(())
}

/// Cuts off all that the loader does not need: symbols, debug information and the table of sections, which the header
/// goes on pointing at.
fn truncate_behind_segments(path: &Path) -> Result<()> {
    let headers = Command::new("readelf").args(["-lW"]).arg(path).output().context("cannot run readelf")?;
    let headers = String::from_utf8(headers.stdout)?;
    let number = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16);
    let mut end = 0;
    for line in headers.lines().filter(|line| line.trim_start().starts_with("LOAD")) {
        // LOAD offset vaddr paddr filesz memsz …
        let words: Vec<&str> = line.split_whitespace().collect();
        end = end.max(number(words[1])? + number(words[4])?);
    }
    let length = fs::metadata(path)?.len();
    ensure!(end > 0 && end < length, "nothing to cut off: {end} of {length}");
    fs::OpenOptions::new().write(true).open(path)?.set_len(end)?;
    Ok(())
}

#[test]
fn a_truncated_program_has_the_places_in_its_module() -> Result<()> {
    let scratch = Scratch::new()?;
    let program = scratch.install(Program::BurnStatic, "tg-truncated")?;
    truncate_behind_segments(&program)?;
    let running = Running::spawn(&mut Command::new(&program))?;
    assert_leaves_in_module(&record_pid(&scratch, &running)?, "tg-truncated");
    Ok(())
}

/// Overwrites fields of the ELF header that only tools read, not the kernel: `e_shoff`, `e_shentsize`, `e_shnum` and
/// `e_shstrndx`.
fn damage_section_table(path: &Path, offset: u64, count: u16) -> Result<()> {
    let mut image = fs::read(path)?;
    image[0x28..0x30].copy_from_slice(&offset.to_le_bytes());
    image[0x3a..0x3c].copy_from_slice(&64_u16.to_le_bytes());
    image[0x3c..0x3e].copy_from_slice(&count.to_le_bytes());
    image[0x3e..0x40].copy_from_slice(&(count.wrapping_sub(1)).to_le_bytes());
    fs::write(path, image)?;
    Ok(())
}

#[test]
fn a_program_with_a_senseless_section_table_has_frames() -> Result<()> {
    for (name, offset, count) in
        [("tg-shoff-far", u64::MAX - 63, 4), ("tg-shoff-text", 0x1001, u16::MAX), ("tg-shnum-zero", 64, 0)]
    {
        let scratch = Scratch::new()?;
        let program = scratch.install(Program::BurnStatic, name)?;
        damage_section_table(&program, offset, count)?;
        let running = Running::spawn(&mut Command::new(&program))?;
        assert_leaves_in_module(&record_pid(&scratch, &running)?, name);
    }
    Ok(())
}
