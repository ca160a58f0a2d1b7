//! The file formats of `record`, by the file's ending and by `--format`.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use telegen_e2e::{Profile, Program, Running, Scratch, record_files, run, telegen};

const BURNERS: [&str; 3] = ["tg_half", "tg_third", "tg_fifth"];

struct Subject {
    scratch: Scratch,
    burner: Running,
}

impl Subject {
    fn start() -> Result<Self> {
        let scratch = Scratch::new()?;
        let burner = scratch.start(Program::Burn, "tg-formats", &[])?;
        fs::create_dir(scratch.join("out"))?;
        Ok(Self { scratch, burner })
    }

    fn directory(&self) -> PathBuf {
        self.scratch.join("out")
    }

    /// Records two seconds of the burner with the working directory being the one for output.
    fn record(&self, arguments: &[&str]) -> Result<PathBuf> {
        let pid = self.burner.pid().to_string();
        let mut command = telegen(["record", "--pid", &pid, "-d", "2s"].iter().chain(arguments))?;
        run(command.current_dir(self.directory()), Duration::from_secs(60))?.expect_code(0)?;
        let files = record_files(&self.directory())?;
        ensure!(files.len() == 1, "expected one file, not {files:?}");
        Ok(self.directory().join(&files[0]))
    }
}

fn assert_pprof(path: &Path) -> Result<()> {
    ensure!(fs::read(path)?.starts_with(&[0x1f, 0x8b]), "pprof is gzipped");
    let profile = Profile::read(path)?;
    for function in BURNERS {
        ensure!(profile.count_with(function) > 0, "no {function} in {:?}", profile.functions());
    }
    Ok(())
}

/// `entry;caller;leaf count`, one stack a line.
fn assert_folded(path: &Path) -> Result<()> {
    let text = fs::read_to_string(path)?;
    let mut leaves = [0_u64; 3];
    for line in text.lines() {
        let (stack, count) = line.rsplit_once(' ').with_context(|| format!("no count in {line:?}"))?;
        let count: u64 = count.parse().with_context(|| format!("no count in {line:?}"))?;
        let leaf = stack.rsplit(';').next().unwrap_or_default();
        if let Some(at) = BURNERS.iter().position(|function| *function == leaf) {
            leaves[at] += count;
            ensure!(stack.contains("main;"), "the entry point does not come first in {line:?}");
        }
    }
    ensure!(leaves[0] > leaves[2] && leaves.iter().all(|count| *count > 0), "{leaves:?} samples in {text}");
    Ok(())
}

fn assert_svg(path: &Path) -> Result<()> {
    let parser = "import sys, xml.etree.ElementTree as t\nprint(t.parse(sys.argv[1]).getroot().tag)";
    let root = run(Command::new("python3").args(["-c", parser]).arg(path), Duration::from_secs(60))?;
    let root = root.expect_code(0).context("not well-formed")?;
    ensure!(root.stdout.trim() == "{http://www.w3.org/2000/svg}svg", "the root is {}", root.stdout);
    let text = fs::read_to_string(path)?;
    for function in BURNERS {
        ensure!(text.contains(function), "no {function} in the picture");
    }
    Ok(())
}

#[test]
fn the_default_is_a_pprof_named_after_the_time() -> Result<()> {
    let subject = Subject::start()?;
    let path = subject.record(&[])?;
    let name = path.file_name().and_then(|name| name.to_str()).context("no name")?;
    let time = name.strip_prefix("telegen-").and_then(|name| name.strip_suffix(".pb.gz"));
    let time = time.with_context(|| format!("not telegen-<time>.pb.gz: {name}"))?;
    assert!(time.bytes().filter(u8::is_ascii_digit).count() >= 10, "no time in {name}");
    assert_pprof(&path)
}

#[test]
fn the_ending_pb_gz_means_pprof() -> Result<()> {
    assert_pprof(&Subject::start()?.record(&["-o", "a.pb.gz"])?)
}

#[test]
fn the_ending_folded_means_folded_stacks() -> Result<()> {
    assert_folded(&Subject::start()?.record(&["-o", "a.folded"])?)
}

#[test]
fn the_ending_svg_means_a_flame_graph() -> Result<()> {
    assert_svg(&Subject::start()?.record(&["-o", "a.svg"])?)
}

/// One page, which draws by a script of its own and asks nobody for anything.
fn assert_html(path: &Path) -> Result<()> {
    let text = fs::read_to_string(path)?;
    ensure!(text.starts_with("<!DOCTYPE html>"), "no page: {text:.80}");
    ensure!(!text.contains("http://") && !text.contains("https://"), "it refers to something elsewhere");
    let data = r#"import json, re, sys
page = open(sys.argv[1]).read()
data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])
own = {}
for frame, name in enumerate(data["name"]):
    own[data["names"][name]] = own.get(data["names"][name], 0) + data["own"][2 * frame]
print(sum(data["own"][::2]) == data["whole"][0], *(own.get(name, 0) for name in sys.argv[2:]))"#;
    let read =
        run(Command::new("python3").args(["-c", data]).arg(path).args(BURNERS), Duration::from_secs(60))?;
    let read = read.expect_code(0).context("no data in the page")?;
    let words: Vec<&str> = read.stdout.split_whitespace().collect();
    ensure!(words[0] == "True" && words[1..].iter().all(|count| *count != "0"), "{words:?}");
    Ok(())
}

fn assert_json(path: &Path) -> Result<()> {
    let reader = r#"import json, sys
d = json.load(open(sys.argv[1]))
assert (d["format"], d["version"], d["type"]) == ("telegen-profile", 1, "cpu"), d
own = {}
for sample in d["samples"]:
    assert d["label_sets"][sample["labels"]]["process.executable.name"] == "tg-formats"
    leaf = d["locations"][d["stacks"][sample["stack"]][0]]
    name = d["functions"][leaf["lines"][0]["function"]]["name"]
    own[name] = own.get(name, 0) + sample["values"][0]
print(*(own.get(name, 0) for name in sys.argv[2:]))"#;
    let read =
        run(Command::new("python3").args(["-c", reader]).arg(path).args(BURNERS), Duration::from_secs(60))?;
    let read = read.expect_code(0)?;
    let counts: Vec<u64> = read.stdout.split_whitespace().filter_map(|count| count.parse().ok()).collect();
    ensure!(counts.len() == 3 && counts[0] > counts[2] && counts[2] > 0, "{counts:?}");
    Ok(())
}

#[test]
fn the_ending_html_means_a_page() -> Result<()> {
    assert_html(&Subject::start()?.record(&["-o", "a.html"])?)
}

#[test]
fn the_ending_json_means_json() -> Result<()> {
    assert_json(&Subject::start()?.record(&["-o", "a.json"])?)
}

#[test]
fn what_was_recorded_is_for_its_owner_alone() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let subject = Subject::start()?;
    let path = subject.record(&["-o", "a.pb.gz"])?;
    assert_eq!(fs::metadata(path)?.permissions().mode() & 0o777, 0o600);
    Ok(())
}

#[test]
fn a_format_that_is_named_wins_over_the_ending() -> Result<()> {
    assert_pprof(&Subject::start()?.record(&["-o", "a.svg", "--format", "pprof"])?)?;
    assert_folded(&Subject::start()?.record(&["-o", "a.pb.gz", "--format", "folded"])?)?;
    assert_svg(&Subject::start()?.record(&["-o", "a.folded", "--format", "svg"])?)
}

#[test]
fn a_format_that_does_not_exist_is_a_usage_error() -> Result<()> {
    let command = &mut telegen(["record", "--all", "-d", "300s", "--format", "xls"])?;
    let outcome = run(command, Duration::from_secs(60))?.expect_code(2)?;
    assert!(outcome.stderr.contains("folded"), "the formats there are should be named\n{outcome}");
    Ok(())
}
