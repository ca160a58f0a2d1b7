//! Stacks through plug-ins that are loaded late, and replaced by others at the same place.

use anyhow::Result;
use std::path::Path;
use telegen_e2e::accuracy::assert_sample_count_beside;
use telegen_e2e::possible_calls::PossibleCalls;
use telegen_e2e::whole_stacks::{WholeStacks, flaw_of_table};
use telegen_e2e::{Scratch, build_with, own_names, record, reported};

/// What `plugins.c` and `plugin.c` can call.
const CALLS: [(&str, &[&str]); 12] = [
    ("library", &["main"]),
    ("main", &["library", "tg_alone", "tg_plugging"]),
    ("tg_alone", &["library", "tg_spin"]),
    ("tg_plugging", &["library", "tg_calling"]),
    ("tg_calling", &["library", "tg_enter"]),
    ("tg_enter", &["tg_first_deep", "tg_second_deep"]),
    ("tg_first_deep", &["tg_first_deep", "tg_first_work", "tg_back"]),
    ("tg_second_deep", &["tg_second_deep", "tg_second_work", "tg_back"]),
    ("tg_first_work", &["tg_spin"]),
    ("tg_second_work", &["tg_spin"]),
    ("tg_back", &["tg_spin"]),
    ("tg_spin", &[]),
];

/// The first recurses 4 deep, the second 8.
fn knowledge(names: &[&str]) -> Option<String> {
    // The clock is read by an inlined function.
    let own = |name: &str| own_names::of_c(name).filter(|own| !own.ends_with("_ns"));
    if let Some(flaw) = flaw_of_table(names, &CALLS, own) {
        return Some(flaw);
    }
    let count = |function: &str| names.iter().filter(|name| **name == function).count();
    let (first, second) = (count("tg_first_deep"), count("tg_second_deep"));
    let wrong = names.first() == Some(&"tg_spin") && ![(0, 0), (4, 0), (0, 8)].contains(&(first, second));
    wrong.then(|| format!("{first} recursions in the first plug-in, {second} in the second"))
}

#[test]
fn of_plug_ins_that_come_late_and_replace_each_other() -> Result<()> {
    let options = ["gcc", "-O2", "-g", "-fomit-frame-pointer"];
    let shared = [&options[..], &["-shared", "-fPIC", "-Wl,--build-id"]].concat();
    let built = build_with("row-plugins", &options, "plugins.c")?;
    let first = build_with("row-first.so", &shared, "plugin.c")?;
    let second = build_with("row-second.so", &[&shared[..], &["-DTG_SECOND"]].concat(), "plugin.c")?;
    let scratch = Scratch::new()?;
    let paths = [built, first, second].map(|path| path.to_string_lossy().into_owned());
    let recording = record(scratch.path(), &["-F", "997", "--", &paths[0], &paths[1], &paths[2]])?;
    let (profile, said) = (&recording.profile, &recording.outcome.stdout);
    let undelivered = recording.undelivered();
    assert_sample_count_beside(profile.total(), undelivered, reported(said, "total")?, 997.0);
    for (key, function) in [("first", "tg_first_deep"), ("second", "tg_second_deep")] {
        let (count, expected) = (profile.count_with(function) as f64, reported(said, key)? * 997.0);
        let slack = 4.0 * expected.sqrt() + 0.01 * expected + undelivered as f64;
        assert!((count - expected).abs() <= slack, "{function}: {count} of {expected:.0} stacks");
    }
    // Their functions have the same places: names must be those of the file that was there at the time.
    for (function, file) in [("tg_first", "row-first.so"), ("tg_second", "row-second.so")] {
        for frame in profile.frames().filter(|frame| frame.function.starts_with(function)) {
            assert!(frame.mapping.ends_with(file), "{frame:?}");
        }
    }
    WholeStacks::new(PossibleCalls::new(Path::new("/")), &knowledge).assert_all("plugins", profile);
    Ok(())
}
