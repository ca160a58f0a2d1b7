//! `telegen diff`: two profiles side by side, of telegen and of others.

use anyhow::{Context, Result};
use std::fs;
use std::process::Command;
use std::time::Duration;
use telegen_e2e::{Outcome, Profile, Program, Scratch, build_with, record, run, telegen};

const LIMIT: Duration = Duration::from_secs(60);

fn diff(arguments: &[&str]) -> Result<Outcome> {
    run(&mut telegen(["diff"].iter().chain(arguments))?, LIMIT)
}

/// Percent of a profile's CPU time that a function has on its own.
fn own_percent(profile: &Profile, function: &str) -> f64 {
    let leaf = |sample: &&telegen_e2e::Sample| sample.frames.first().is_some_and(|f| f.function == function);
    let own: u64 = profile.samples.iter().filter(leaf).map(|sample| sample.value).sum();
    let all: u64 = profile.samples.iter().map(|sample| sample.value).sum();
    own as f64 * 100.0 / all as f64
}

#[test]
fn two_recordings_differ_by_what_was_running() -> Result<()> {
    let scratch = Scratch::new()?;
    let burner = scratch.start(Program::Burn, "tg-diff", &[])?;
    let pid = burner.pid().to_string();
    let before = record(scratch.path(), &["--pid", &pid, "-d", "2s"])?;
    fs::rename(&before.path, scratch.join("before.pb.gz"))?;
    let other = scratch.start(Program::Rust, "tg-diff-rust", &[])?;
    let pids = format!("{pid},{}", other.pid());
    let after = record(scratch.path(), &["--pid", &pids, "-d", "2s"])?;
    fs::rename(&after.path, scratch.join("after.pb.gz"))?;
    let [before_path, after_path] = ["before.pb.gz", "after.pb.gz"].map(|name| scratch.text(name));

    let table = diff(&[&before_path, &after_path])?.expect_code(0)?;
    let row = table.stdout.lines().find(|line| line.ends_with(" tg_half")).context("no row of tg_half")?;
    let numbers: Vec<f64> =
        row.split_whitespace().filter_map(|word| word.trim_end_matches('%').parse().ok()).collect();
    let truth = [own_percent(&before.profile, "tg_half"), own_percent(&after.profile, "tg_half")];
    for (number, truth) in numbers.iter().zip([truth[0], truth[1], truth[1] - truth[0]]) {
        assert!((number - truth).abs() < 0.02, "{row:?}, but truly {truth:.2} %\n{table}");
    }
    assert!(truth[0] - truth[1] > 10.0, "the other program should have taken a share: {truth:?}");

    let outputs = ["d.svg", "d.html", "d.folded", "d.json"].map(|name| scratch.text(name));
    let mut arguments = vec![before_path.as_str(), &after_path];
    arguments.extend(outputs.iter().flat_map(|output| ["-o", output.as_str()]));
    diff(&arguments)?.expect_code(0)?;
    for output in &outputs {
        assert!(fs::read_to_string(output)?.contains("tg_half"), "no tg_half in {output}");
    }
    let [_, _, folded, json] = &outputs;
    let sums = fs::read_to_string(folded)?.lines().try_fold([0_u64; 2], |[before, after], line| {
        let mut words = line.rsplit(' ');
        let (last, first) = (words.next()?.parse::<u64>().ok()?, words.next()?.parse::<u64>().ok()?);
        Some([before + first, after + last])
    });
    let totals: [u64; 2] =
        [&before.profile, &after.profile].map(|profile| profile.samples.iter().map(|s| s.value).sum());
    assert_eq!(sums.context("a line without two values")?, totals);
    let program = "import json, sys; d = json.load(open(sys.argv[1])); print(d['format'], d['version'], d['after']['total'])";
    let read = run(Command::new("python3").args(["-c", program, json]), LIMIT)?.expect_code(0)?;
    assert_eq!(read.stdout.trim(), format!("telegen-diff 1 {}", totals[1]));
    Ok(())
}

#[test]
fn profiles_of_other_programs_are_compared_by_what_they_have_in_common() -> Result<()> {
    let program = build_with("own_profile", &["go", "build"], "own_profile.go")?;
    let scratch = Scratch::new()?;
    for which in ["first", "second"] {
        let files = ["cpu", "heap"].map(|kind| scratch.text(&format!("{which}.{kind}")));
        run(Command::new(&program).args(&files).arg(which), LIMIT)?.expect_code(0)?;
    }
    let text = |name: &str| scratch.text(name);
    let cpu = diff(&[&text("first.cpu"), &text("second.cpu"), "--format", "folded"])?.expect_code(0)?;
    assert!(
        cpu.stdout.lines().any(|line| line.contains("main.tgFirst;main.tgMix") && line.ends_with(" 0")),
        "{cpu}"
    );
    assert!(cpu.stdout.lines().any(|line| line.contains("main.tgSecond;main.tgMix 0 ")), "{cpu}");
    let heap = diff(&[&text("first.heap"), &text("second.heap")])?.expect_code(0)?;
    assert!(heap.stdout.starts_with("inuse_space: before "), "{heap}");
    let mixed = diff(&[&text("first.cpu"), &text("first.heap")])?.expect_code(1)?;
    assert!(
        mixed.stderr.contains("cpu/nanoseconds") && mixed.stderr.contains("inuse_space/bytes"),
        "{mixed}"
    );
    Ok(())
}

#[test]
fn what_cannot_be_compared_is_said_and_leaves_no_file() -> Result<()> {
    let scratch = Scratch::new()?;
    scratch.write("text", "no profile\n")?;
    let (file, output) = (scratch.text("text"), scratch.text("d.svg"));
    let refused = diff(&[&file, &file, "-o", &output])?.expect_code(1)?;
    assert!(refused.stderr.contains("is no pprof profile"), "{refused}");
    let missing = diff(&[&scratch.text("missing"), &file])?.expect_code(1)?;
    assert!(missing.stderr.contains("cannot read") && missing.stderr.contains("missing"), "{missing}");
    let pprof = diff(&[&file, &file, "-o", &scratch.text("d.pb.gz")])?.expect_code(2)?;
    assert!(pprof.stderr.contains("svg"), "{pprof}");
    assert!(!scratch.join("d.svg").exists() && !scratch.join("d.pb.gz").exists());
    scratch.write("d.svg", "precious")?;
    let kept = diff(&[&file, &file, "-o", &output])?.expect_code(1)?;
    assert!(kept.stderr.contains("--force"), "{kept}");
    assert_eq!(fs::read_to_string(output)?, "precious");
    Ok(())
}
