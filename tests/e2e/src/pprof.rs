//! Profiles, as `go tool pprof` reads them: an independent decoder of what telegen has encoded.

mod raw;

use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

/// A function at a place in a stack.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Its name.
    pub function: String,
    /// Its source file, or nothing.
    pub file: String,
    /// The line, or 0.
    pub line: u32,
    /// The file that its code was run from, or nothing.
    pub mapping: String,
    /// Whether the frame below it in the list, towards the entry point, has it inlined.
    pub inlined: bool,
    /// Where it is: in the terms of its file, or in the kernel's. Of a caller, the last byte of the call.
    pub address: u64,
}

/// Samples with the same stack and labels.
#[derive(Clone, Debug)]
pub struct Sample {
    /// How many.
    pub count: u64,
    /// What they stand for, in nanoseconds.
    pub value: u64,
    /// The stack, leaf first, inlined functions included.
    pub frames: Vec<Frame>,
    /// The labels; numbers are written out.
    pub labels: BTreeMap<String, String>,
}

impl Sample {
    /// Whether a function of this name is on the stack.
    pub fn has(&self, function: &str) -> bool {
        self.frames.iter().any(|frame| frame.function == function)
    }

    /// A label's value, or nothing.
    pub fn label(&self, key: &str) -> &str {
        self.labels.get(key).map_or("", String::as_str)
    }
}

/// A file that code was run from.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// Its path.
    pub file: String,
    /// Its build id, or nothing.
    pub build_id: String,
}

/// A profile.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Types and units of the values of a sample, such as `samples/count`.
    pub sample_types: Vec<String>,
    /// Type and unit of the period.
    pub period_type: String,
    /// The period: nanoseconds between two ticks.
    pub period: u64,
    /// When the profile begins.
    pub start: SystemTime,
    /// How long it lasted, to 10 ms below a minute.
    pub duration: Duration,
    /// The files, by their ids.
    pub mappings: BTreeMap<u64, Mapping>,
    /// The samples.
    pub samples: Vec<Sample>,
}

impl Profile {
    /// Reads a file by `go tool pprof`, which is not to look for symbols itself.
    ///
    /// # Errors
    ///
    /// If it is no profile.
    pub fn read(path: &Path) -> Result<Self> {
        let raw = pprof(&["-raw"], path)?;
        let mut profile = raw::parse(&raw).with_context(|| format!("{}:\n{raw}", path.display()))?;
        profile.duration = duration_in_header(&pprof(&["-top"], path)?).context("no duration")?;
        Ok(profile)
    }

    /// The number of all samples.
    pub fn total(&self) -> u64 {
        self.count(|_| true)
    }

    /// The number of the samples for which something holds.
    pub fn count(&self, holds: impl Fn(&Sample) -> bool) -> u64 {
        self.samples.iter().filter(|sample| holds(sample)).map(|sample| sample.count).sum()
    }

    /// The number of samples with a function anywhere on their stack.
    pub fn count_with(&self, function: &str) -> u64 {
        self.count(|sample| sample.has(function))
    }

    /// The number of samples of the process whose executable has this name.
    pub fn count_of(&self, executable: &str) -> u64 {
        self.count(|sample| sample.label("process.executable.name") == executable)
    }

    /// All values of a label.
    pub fn label_values(&self, key: &str) -> BTreeSet<&str> {
        self.samples.iter().filter_map(|sample| sample.labels.get(key)).map(String::as_str).collect()
    }

    /// The names of all functions.
    pub fn functions(&self) -> BTreeSet<&str> {
        self.frames().map(|frame| frame.function.as_str()).collect()
    }

    /// All frames of all samples.
    pub fn frames(&self) -> impl Iterator<Item = &Frame> {
        self.samples.iter().flat_map(|sample| &sample.frames)
    }

    /// When the profile ends.
    pub fn end(&self) -> SystemTime {
        self.start + self.duration
    }
}

/// A line of the report `-top`.
#[derive(Clone, Debug)]
pub struct TopRow {
    /// Share of the samples whose leaf the function is, in percent.
    pub flat_percent: f64,
    /// Share of the samples with the function anywhere on the stack, in percent.
    pub cumulative_percent: f64,
    /// The function.
    pub function: String,
}

/// The report `-top` of a profile, with nothing left out as small.
///
/// # Errors
///
/// If it is no profile.
pub fn pprof_top(path: &Path) -> Result<Vec<TopRow>> {
    let text = pprof(&["-top", "-nodecount=100000", "-nodefraction=0"], path)?;
    let rows = text.lines().skip_while(|line| !line.trim_start().starts_with("flat ")).skip(1);
    rows.map(|line| parse_top_row(line).with_context(|| format!("in -top: {line:?}"))).collect()
}

fn parse_top_row(line: &str) -> Option<TopRow> {
    let percent = |word: &str| word.trim_end_matches('%').parse().ok();
    let mut words = line.split_whitespace();
    let flat_percent = percent(words.nth(1)?)?;
    let cumulative_percent = percent(words.nth(2)?)?;
    let function = words.collect::<Vec<_>>().join(" ");
    Some(TopRow { flat_percent, cumulative_percent, function })
}

fn pprof(report: &[&str], path: &Path) -> Result<String> {
    let mut command = Command::new("go");
    command.args(["tool", "pprof", "-symbolize=none"]).args(report).arg(path);
    command
        .env("TZ", "UTC")
        .env("GOPROXY", "off")
        .env("GOFLAGS", "")
        .env("PPROF_BINARY_PATH", "/nonexistent");
    let output = command.output().context("cannot run go tool pprof")?;
    if !output.status.success() {
        bail!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `Duration: 10.02s, Total samples = …`, in the units s, ms, us and mins.
fn duration_in_header(top: &str) -> Option<Duration> {
    let word = top.lines().find_map(|line| line.strip_prefix("Duration: "))?.split(',').next()?;
    let number = word.find(|c: char| c.is_ascii_alphabetic())?;
    let value: f64 = word[..number].parse().ok()?;
    let unit = match &word[number..] {
        "ns" => 1e-9,
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "mins" => 60.0,
        "hrs" => 3600.0,
        _ => return None,
    };
    Some(Duration::from_secs_f64(value * unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_several_units() {
        let read =
            |text: &str| duration_in_header(&format!("File: x\nDuration: {text}, Total samples = 1s\n"));
        assert_eq!(read("10.05s"), Some(Duration::from_millis(10_050)));
        assert_eq!(read("1.50mins"), Some(Duration::from_secs(90)));
        assert_eq!(read("20ms"), Some(Duration::from_millis(20)));
    }

    #[test]
    fn rows_of_top_are_understood() {
        let row =
            parse_top_row("     980ms 50.12% 60%      990ms 50.51%  tg::Mixer<unsigned long>::spin (inline)")
                .unwrap();
        assert_eq!((row.flat_percent, row.cumulative_percent), (50.12, 50.51));
        assert_eq!(row.function, "tg::Mixer<unsigned long>::spin (inline)");
    }
}
