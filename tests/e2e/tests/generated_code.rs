//! Code that is made while its process runs, and the maps that just-in-time compilers write for perf.

use anyhow::{Context, Result};
use std::process::Command;
use std::time::{Duration, Instant};
use telegen_e2e::{CpuMeter, Profile, Program, Recording, Running, Scratch, record, until};

/// A recording of the program with such a map, which must not take longer for it.
fn record_with_map(kind: &str) -> Result<Profile> {
    let scratch = Scratch::new()?;
    let name = format!("tg-map-{kind}");
    let mut running = scratch.start(Program::Generated, &name, &[kind])?;
    let meter = CpuMeter::start(running.pid());
    // What it does before it spends its time in its own code.
    std::thread::sleep(Duration::from_secs(1));
    let begun = Instant::now();
    // By its pid: a map that grows is written by a child of the same name.
    let pid = running.pid().to_string();
    let Recording { profile, .. } = record(scratch.path(), &["--pid", &pid, "-d", "2s"])?;
    assert!(begun.elapsed() < Duration::from_secs(12), "{kind}: {:?}", begun.elapsed());
    let (samples, expected) = (profile.total() as f64, meter.between(profile.start, profile.end())? * 99.0);
    assert!(expected > 20.0 && samples > expected * 0.8, "{kind}: {samples} of about {expected:.0} samples");
    running.terminate()?;
    Ok(profile)
}

#[test]
fn a_function_has_the_name_that_the_map_gives_it() -> Result<()> {
    let profile = record_with_map("good")?;
    let named = profile.count(|sample| {
        let places = sample.frames.windows(2);
        let mut pairs = places.map(|pair| (pair[0].function.as_str(), pair[1].function.as_str()));
        pairs.any(|pair| pair == ("tg_generated", "main"))
    });
    assert!(named * 20 >= profile.total() * 19, "{named} of {}: {:?}", profile.total(), profile.functions());
    Ok(())
}

#[test]
fn a_map_that_is_hostile_or_missing_costs_its_names_only() -> Result<()> {
    for kind in ["none", "symlink", "hardlink", "fifo"] {
        let profile = record_with_map(kind)?;
        assert_eq!(profile.count_with("tg_generated"), 0, "{kind}");
        let anonymous =
            profile.count(|sample| sample.frames.iter().any(|frame| frame.function.starts_with("[anon+0x")));
        assert!(anonymous * 20 >= profile.total() * 19, "{kind}: {:?}", profile.functions());
    }
    Ok(())
}

#[test]
fn a_map_without_end_is_read_to_a_limit() -> Result<()> {
    for kind in ["sparse", "garbage", "endless"] {
        let profile = record_with_map(kind)?;
        let named = profile.count_with("tg_generated");
        assert!(named * 20 >= profile.total() * 19, "{kind}: {:?}", profile.functions());
    }
    Ok(())
}

#[test]
fn stacks_of_node_are_whole_and_name_its_functions() -> Result<()> {
    let scratch = Scratch::new()?;
    let script = "function tgLeaf(n) { let s = 0; for (let i = 0; i < 200000; i++) s += i % n; return s }\n\
                  function tgCaller(n) { return tgLeaf(n) + 1 }\n\
                  let t = 0; for (;;) t += tgCaller(3 + t % 7);\n";
    let script = scratch.write("burn.js", script)?;
    let mut node = Command::new("node");
    let running = Running::spawn(node.arg("--perf-basic-prof").arg(&script).current_dir(scratch.path()))?;
    let map = format!("/tmp/perf-{}.map", running.pid());
    until(Duration::from_secs(30), "compiled functions", || {
        Ok(std::fs::read_to_string(&map).is_ok_and(|text| text.contains("*tgLeaf")).then_some(()))
    })?;
    let pid = running.pid().to_string();
    let recording = record(scratch.path(), &["--pid", &pid, "-F", "199", "-d", "8s"]);
    std::fs::remove_file(&map).context("the map is there")?;
    let profile = recording?.profile;
    // The table of so large a program may take a moment to make, on a busy machine.
    let ready = profile.count(|sample| !sample.has("[no unwind table yet]"));
    assert!(ready * 2 > profile.total(), "{ready} of {}", profile.total());
    let whole = profile.count(|sample| {
        let has = |name: &str| sample.frames.iter().any(|frame| frame.function.contains(name));
        has("burn.js:1:") && has("node::Start") && has("_start")
    });
    assert!(whole * 20 >= ready * 19, "{whole} of {ready}: {:?}", profile.functions());
    assert!(profile.functions().iter().any(|name| name.contains("tgLeaf")), "{:?}", profile.functions());
    Ok(())
}
