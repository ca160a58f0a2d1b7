//! Code that is made while its process runs, and the jitdump files that just-in-time compilers write.

use anyhow::{Result, ensure};
use std::process::Command;
use std::time::{Duration, Instant};
use telegen_e2e::{Profile, Program, Recording, Running, Scratch, record, skip, until};

const LIMIT: Duration = Duration::from_secs(60);

/// A recording of the program with such a file, which must not take longer for it; and what the program said.
fn record_with_dump(kind: &str) -> Result<(Profile, String)> {
    let scratch = Scratch::new()?;
    let name = format!("tg-dump-{kind}");
    let directory = scratch.path().to_string_lossy().into_owned();
    let mut running = scratch.start(Program::JitDump, &name, &[&directory, kind])?;
    until(LIMIT, "the file to be written", || {
        ensure!(running.is_running()?, "{}", running.wait(LIMIT)?);
        Ok(running.stdout()?.contains("ready").then_some(()))
    })?;
    let begun = Instant::now();
    let Recording { profile, .. } = record(scratch.path(), &["--name", &name, "-d", "2s"])?;
    assert!(begun.elapsed() < Duration::from_secs(12), "{kind}: {:?}", begun.elapsed());
    assert!(profile.total() > 5, "{kind}: {} samples", profile.total());
    let said = running.stdout()?;
    running.terminate()?;
    Ok((profile, said))
}

/// Fails unless nearly all samples have such a function, called by `main`.
fn assert_called(kind: &str, profile: &Profile, is_it: impl Fn(&str) -> bool) {
    let named = profile.count(|sample| {
        let mut pairs = sample.frames.windows(2);
        pairs.any(|pair| is_it(&pair[0].function) && pair[1].function == "main")
    });
    assert!(
        named * 20 >= profile.total() * 19,
        "{kind}: {named} of {}: {:?}",
        profile.total(),
        profile.functions()
    );
}

#[test]
fn a_function_has_the_name_that_the_file_gives_it() -> Result<()> {
    for kind in ["anonymous", "memfd", "moved", "replaced", "deleted", "both"] {
        let (profile, _) = record_with_dump(kind)?;
        assert_called(kind, &profile, |function| function == "tg_generated");
    }
    Ok(())
}

#[test]
fn a_function_has_the_lines_that_the_file_tells() -> Result<()> {
    let (profile, _) = record_with_dump("anonymous")?;
    let places: Vec<_> = profile.frames().filter(|frame| frame.function == "tg_generated").collect();
    let in_loop =
        places.iter().filter(|frame| frame.file == "/src/tg_generated.js" && frame.line == 9).count();
    assert!(in_loop * 2 > places.len(), "{places:?}");
    Ok(())
}

#[test]
fn memory_without_names_is_told_apart_by_what_it_is() -> Result<()> {
    // Two pages into the file, and not where it happens to be mapped.
    let (profile, _) = record_with_dump("bare")?;
    assert_called("bare", &profile, |function| function.starts_with("[memfd:tg-code+0x200"));
    let (profile, said) = record_with_dump("named")?;
    let beginning = if said.contains("no names") { "[anon+0x" } else { "[anon:tg code+0x" };
    assert_called("named", &profile, |function| function.starts_with(beginning));
    Ok(())
}

#[test]
fn a_file_that_is_hostile_costs_its_names_only() -> Result<()> {
    for kind in ["nonsense", "foreign", "hardlink"] {
        let (profile, _) = record_with_dump(kind)?;
        assert_called(kind, &profile, |function| function.starts_with("[anon+0x"));
    }
    Ok(())
}

#[test]
fn a_file_that_is_damaged_or_without_end_is_read_to_there() -> Result<()> {
    for kind in ["garbage", "truncated", "sparse", "hole"] {
        let (profile, _) = record_with_dump(kind)?;
        assert_called(kind, &profile, |function| function == "tg_generated");
    }
    // Half of the samples are of the child that writes.
    let (profile, _) = record_with_dump("endless")?;
    let named = profile.count_with("tg_generated");
    assert!(named > 0, "{:?}", profile.functions());
    assert!(!profile.functions().iter().any(|name| name.starts_with("[anon+")), "{:?}", profile.functions());
    Ok(())
}

#[test]
fn functions_of_node_are_named_by_its_own_file() -> Result<()> {
    let scratch = Scratch::new()?;
    // What V8 writes lies in a buffer of 4 KiB for a while: it must have more to tell.
    let script = "function tgLeaf(n) { let s = 0; for (let i = 0; i < 200000; i++) s += i % n; return s }\n\
                  let t = 0;\n\
                  for (let k = 0; ; k++) {\n\
                      for (let i = 0; i < 50; i++) t += tgLeaf(3 + t % 7);\n\
                      const body = `let s = ${k}; for (let i = 0; i < 3000; i++) s += i % n; return s`;\n\
                      const other = new Function('n', body);\n\
                      for (let i = 0; i < 20; i++) t += other(3 + t % 7);\n\
                  }\n";
    let script = scratch.write("burn.js", script)?;
    let mut node = Command::new("node");
    let running = Running::spawn(node.arg("--perf-prof").arg(&script).current_dir(scratch.path()))?;
    let dump = scratch.join(&format!("jit-{}.dump", running.pid()));
    let is_compiled = |bytes: Vec<u8>| bytes.windows(8).any(|window| window == b"*tgLeaf ");
    let written = until(Duration::from_secs(30), "compiled functions", || {
        Ok(std::fs::read(&dump).is_ok_and(is_compiled).then_some(()))
    });
    if !dump.exists() {
        skip!("this node writes no jitdump file");
    }
    written?;
    let pid = running.pid().to_string();
    let profile = record(scratch.path(), &["--pid", &pid, "-F", "199", "-d", "3s"])?.profile;
    let named =
        profile.count(|sample| sample.frames.iter().any(|frame| frame.function.starts_with("JS:*tgLeaf ")));
    // The rest is the compiler, and what it has only just made.
    assert!(named * 2 >= profile.total(), "{named} of {}: {:?}", profile.total(), profile.functions());
    Ok(())
}

#[test]
fn functions_of_a_program_that_has_ended_have_names() -> Result<()> {
    let scratch = Scratch::new()?;
    let directory = scratch.path().to_string_lossy().into_owned();
    let program = scratch.install(Program::JitDump, "tg-dump-ended")?;
    let program = program.to_string_lossy().into_owned();
    let command = ["-d", "60s", "--", "timeout", "2", &program, &directory, "anonymous"];
    let output = scratch.text("ended.pb.gz");
    let mut recorder = telegen_e2e::telegen(["record", "-o", &output].iter().chain(&command))?;
    // Its own status is that of the command, which `timeout` has ended.
    telegen_e2e::run(&mut recorder, LIMIT)?.expect_code(124)?;
    let profile = Profile::read(std::path::Path::new(&output))?;
    let named = profile.count_with("tg_generated");
    // A busy machine gives it few samples, and some of its beginning.
    assert!(named * 2 > profile.total(), "{named} of {}: {:?}", profile.total(), profile.functions());
    assert!(!profile.functions().iter().any(|name| name.starts_with("[anon+")), "{:?}", profile.functions());
    Ok(())
}
