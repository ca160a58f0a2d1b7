//! Many native programs at once: each profile has its own program's functions only, and its stacks.

use anyhow::Result;
use std::path::PathBuf;
use telegen_e2e::{Observation, Sample, Scratch, Subject, build_with};

/// How the programs made of `mixed.c` are built; the first ones are loaded at the same addresses, and some of them cannot
/// be told apart by build ids.
const BUILDS: [&[&str]; 10] = [
    &["gcc", "-O2", "-g", "-fomit-frame-pointer", "-no-pie", "-Wl,--build-id=none"],
    &["gcc", "-O2", "-g", "-fomit-frame-pointer", "-no-pie", "-Wl,--build-id=none"],
    &["gcc", "-O2", "-g", "-fomit-frame-pointer", "-no-pie", "-Wl,--build-id"],
    &["clang", "-O2", "-g", "-fomit-frame-pointer", "-no-pie"],
    &["gcc", "-O0", "-g"],
    &["gcc", "-O2", "-g", "-fomit-frame-pointer"],
    &["gcc", "-O2", "-g", "-fomit-frame-pointer", "-static"],
    &["gcc", "-O2", "-g", "-fomit-frame-pointer", "-static"],
    &["gcc", "-O2", "-g", "-fomit-frame-pointer", "-static-pie"],
    &["gcc", "-O1", "-g", "-fomit-frame-pointer", "-static"],
];

/// The programs, and the prefix of each one's functions.
fn programs() -> Result<Vec<(PathBuf, String)>> {
    let mut programs = Vec::new();
    for (number, options) in BUILDS.iter().enumerate() {
        let number = number + 10;
        let define = format!("-DTG_NUMBER={number}");
        let built = build_with(
            &format!("row-mixed-{number}"),
            &[options, &[define.as_str()][..]].concat(),
            "mixed.c",
        )?;
        programs.push((built, format!("tg_mixed_{number}_")));
    }
    let rust = ["rustc", "--edition=2021", "-Copt-level=3", "-Cdebuginfo=line-tables-only"];
    programs.push((build_with("row-mixed-rust", &rust, "stacks.rs")?, "stacks::".to_owned()));
    programs.push((build_with("row-mixed-go", &["go", "build"], "stacks.go")?, "main.".to_owned()));
    Ok(programs)
}

/// What a program made of `mixed.c` knows: its recursion is as deep as its number says.
fn knowledge_of(prefix: &str) -> impl Fn(&[&str]) -> Option<String> {
    let (deep, leaf) = (format!("{prefix}deep"), format!("{prefix}leaf"));
    let number: Option<usize> = prefix.trim_matches(|c: char| !c.is_ascii_digit()).parse().ok();
    move |names| {
        let depth = names.iter().filter(|name| **name == deep).count();
        let is_short = number.is_some_and(|number| names.contains(&leaf.as_str()) && depth != number + 1);
        is_short.then(|| format!("{depth} recursions"))
    }
}

#[test]
fn of_twelve_programs_at_once_are_each_its_own() -> Result<()> {
    let scratch = Scratch::new()?;
    let programs = programs()?;
    let subjects = programs
        .iter()
        .enumerate()
        .map(|(index, (built, _))| Subject::start(&scratch, built, &format!("tg-mixed-{index}"), &[]))
        .collect::<Result<Vec<_>>>()?;
    let seen = Observation::of_all(&scratch, &subjects, 997, "5s")?;
    Observation::assert_counts(&seen);
    for ((subject, seen), (_, prefix)) in subjects.iter().zip(&seen).zip(&programs) {
        let (name, profile) = (subject.file(), &seen.profile);
        let foreign: Vec<_> = profile
            .frames()
            .filter(|frame| {
                let of_another = programs.iter().any(|(_, other)| {
                    other != prefix && frame.function.trim_start_matches('<').starts_with(other.as_str())
                });
                let elsewhere =
                    subjects.iter().any(|other| other.file() == frame.mapping && other.file() != name);
                of_another || elsewhere
            })
            .collect();
        assert!(
            foreign.is_empty(),
            "{name}: {} frames of others, such as {:?}",
            foreign.len(),
            foreign.first()
        );
        // A stack from before it could be unwound has its end only.
        let own = profile.count(|sample| {
            let is_own =
                |function: &str| function.starts_with(prefix.as_str()) || function == "[no unwind table yet]";
            sample.frames.iter().any(|frame| is_own(&frame.function))
        });
        // Go's collector of garbage runs beside the program.
        let least = if prefix == "main." { 0.6 } else { 0.95 };
        assert!(
            own as f64 >= profile.total() as f64 * least,
            "{name}: {own} of {}: {:?}",
            profile.total(),
            profile.functions()
        );
        // That each is whole when it is alone, other tests say; here they are as deep as each program goes, once there is a table.
        let knowledge = knowledge_of(prefix);
        let ready = |sample: &Sample| !sample.has("[no unwind table yet]");
        let flawed = profile.count(|sample| {
            let names: Vec<&str> = sample.frames.iter().map(|frame| frame.function.as_str()).collect();
            ready(sample) && knowledge(&names).is_some()
        });
        let all = profile.count(ready);
        assert!(
            all > 0 && flawed * 200 <= all,
            "{name}: {flawed} of {all} stacks are not as deep as they are"
        );
    }
    Ok(())
}
