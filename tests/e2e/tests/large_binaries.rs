//! A binary of half a gigabyte with 300,000 functions: nobody else waits for its table, and reading it takes no more memory than
//! the agent may have.

use anyhow::{Result, ensure};
use std::fs::{self, File};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use telegen_e2e::{
    Agent, AgentSettings, Metrics, Profile, Sample, Scratch, Subject, build_with, figure, until,
};

const LIMIT: Duration = Duration::from_secs(60);
const MIB: u64 = 1 << 20;
/// As long as the stacks of any program that is built without optimisation may be without a table.
const MOST_EARLY_NS: u64 = 400_000_000;
/// Of 99 Hz.
const PERIOD_NS: u64 = 10_101_010;
const ROWS_METRIC: &str = "telegen_profiler_unwind_rows";
const MISSING_METRIC: &str = "telegen_profiler_unwind_missing_total";
const NO_ROOM: [(&str, &str); 1] = [("reason", "no_room_for_table")];
const NOT_READY: &str = "[no unwind table yet]";

/// Where its code begins.
const CODE: u64 = 0x1000;
const FUNCTIONS: u64 = 300_000;
const FUNCTION_BYTES: u64 = 1_750;
const CODE_END: u64 = CODE + FUNCTIONS * FUNCTION_BYTES;
/// Rows of each function: its first address, behind which it has a frame, and behind that.
const ROWS: f64 = (FUNCTIONS * 2) as f64;
const NAMES: &[u8] = b"\0.shstrtab\0.eh_frame\0";

/// The function that is called: its frame is 32 bytes away, as `frame_bytes` says.
const CALLED: u64 = 180_000;
/// `sub $24, %rsp; call *%rdi; add $24, %rsp; ret`.
const CALLED_CODE: [u8; 11] = [0x48, 0x83, 0xec, 24, 0xff, 0xd7, 0x48, 0x83, 0xc4, 24, 0xc3];

/// How far a function's frame is from its stack pointer: of several kinds, as rules are, and none takes two bytes to write.
fn frame_bytes(function: u64) -> u8 {
    (16 + function % 14 * 8) as u8
}

fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// What describes the frames, at its address: one entry for what all functions have in common, then one for each.
fn write_frames(to: &mut impl Write) -> Result<u64> {
    // Version 1, `zR`: addresses are distances from themselves. The frame is at rsp + 8, the return address below.
    let common = b"\x14\0\0\0\0\0\0\0\x01zR\0\x01\x78\x10\x01\x1b\x0c\x07\x08\x90\x01\0\0";
    to.write_all(common)?;
    let mut at = common.len() as u64;
    for function in 0..FUNCTIONS {
        let address = CODE + function * FUNCTION_BYTES;
        // After four bytes the frame is larger, after six more it is as it was.
        let tail = [0, 0x44, 0x0e, frame_bytes(function), 0x46, 0x0e, 8, 0];
        let distance = address.wrapping_sub(CODE_END + at + 8) as u32;
        for word in [20, at as u32 + 4, distance, FUNCTION_BYTES as u32] {
            to.write_all(&word.to_le_bytes())?;
        }
        to.write_all(&tail)?;
        at += 16 + tail.len() as u64;
    }
    to.write_all(&[0; 4])?;
    Ok(at + 4)
}

/// Writes the binary. Its code is a hole but for the function that is called.
fn write_binary(path: &Path) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    file.seek(SeekFrom::Start(CODE_END))?;
    let frames_bytes = write_frames(&mut file)?;
    file.write_all(NAMES)?;
    let names = CODE_END + frames_bytes;
    let sections = names + NAMES.len() as u64;
    file.write_all(&[0; 64])?;
    for (name, kind, flags, address, offset, bytes) in
        [(1_u32, 3_u32, 0, 0, names, NAMES.len() as u64), (11, 1, 2, CODE_END, CODE_END, frames_bytes)]
    {
        file.write_all(&[name.to_le_bytes(), kind.to_le_bytes()].concat())?;
        file.write_all(&words(&[flags, address, offset, bytes, 0, 1, 0]))?;
    }
    let file = file.into_inner()?;
    let mut header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0\x3e\0\x01\0\0\0".to_vec();
    header.extend(words(&[0, 64, sections]));
    header.extend([0; 4]);
    [64_u16, 56, 1, 64, 3, 1].iter().for_each(|half| header.extend(half.to_le_bytes()));
    // One segment, to read and execute.
    header.extend(words(&[1 | 5 << 32, 0, 0, 0, names, names, 0x1000]));
    file.write_all_at(&header, 0)?;
    file.write_all_at(&CALLED_CODE, CODE + CALLED * FUNCTION_BYTES)?;
    ensure!(file.metadata()?.len() > 500 * MIB, "it is not large");
    Ok(())
}

/// The most memory of its own that a process has until it is told that that is enough.
fn watch(pid: u32, over: &AtomicBool, peak: &AtomicU64) {
    while !over.load(Ordering::Relaxed) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"));
        peak.fetch_max(kib.and_then(|kib| kib.trim().parse().ok()).unwrap_or(0) * 1024, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What was seen of a program.
#[derive(Default, Debug)]
struct Seen {
    early: u64,
    whole: u64,
    broken: u64,
}

/// Of the process, or of a thread.
fn goes_back_to_the_start(sample: &Sample) -> bool {
    let first = sample.frames.last().map_or("", |frame| frame.function.as_str());
    first == "_start" || first.contains("clone")
}

fn seen(profiles: &[Profile], name: &str) -> Seen {
    let mut seen = Seen::default();
    for sample in profiles.iter().flat_map(|profile| &profile.samples) {
        if sample.label("process.executable.name") != name {
            continue;
        }
        let kind = match sample.has(NOT_READY) {
            true => &mut seen.early,
            false if goes_back_to_the_start(sample) => &mut seen.whole,
            false => &mut seen.broken,
        };
        *kind += sample.count;
    }
    seen
}

/// What was seen of the large binary's program and of the small one.
struct Met {
    large: Seen,
    small: Seen,
    /// What the agent says of itself, at the end.
    metrics: Metrics,
    /// The most memory that it had.
    peak: u64,
}

/// An agent with this limit meets the large binary and, at once after it, a small one, until its metrics say that it is over, and a
/// while longer.
fn meet(limit: &str, is_over: impl Fn(&Metrics) -> Result<bool>) -> Result<Met> {
    let scratch = Scratch::new()?;
    write_binary(&scratch.join("half-a-gigabyte"))?;
    let options = ["gcc", "-O2", "-g", "-fomit-frame-pointer", "-pthread"];
    let large = build_with("large", &options, "large.c")?;
    let small = build_with("large-beside", &options, "stacks.c")?;
    let rules = format!("  limits: {{memory: {limit}}}\n  target_process_names: [\"tg-half-*\"]\n");
    let mut agent = Agent::start(&scratch, &AgentSettings { rules: &rules, ..AgentSettings::default() })?;
    let offset = (CODE + CALLED * FUNCTION_BYTES).to_string();
    let arguments = [scratch.text("half-a-gigabyte"), offset];
    let (over, peak) = (AtomicBool::new(false), AtomicU64::new(0));
    let profiles = std::thread::scope(|scope| {
        scope.spawn(|| watch(agent.running.pid(), &over, &peak));
        let outcome = (|| {
            let arguments = arguments.each_ref().map(String::as_str);
            let _large = Subject::start(&scratch, &large, "tg-half-large", &arguments)?;
            let _small = Subject::start(&scratch, &small, "tg-half-small", &[])?;
            until(LIMIT, "the large binary's table", || Ok(is_over(&agent.metrics()?)?.then_some(())))?;
            // What is under way has begun before; the next one is all from after.
            let before = agent.profiles()?.len();
            agent.wait_for_profiles("profiles of both", |all| all.len() > before + 1)
        })();
        over.store(true, Ordering::Relaxed);
        outcome
    })?;
    let [large, small] = ["tg-half-large", "tg-half-small"].map(|name| seen(&profiles, name));
    figure(&format!("{limit}: large {large:?}, small {small:?}, {} MiB", peak.load(Ordering::Relaxed) / MIB));
    let metrics = agent.metrics()?;
    agent.terminate()?;
    Ok(Met { large, small, metrics, peak: peak.into_inner() })
}

#[test]
fn of_half_a_gigabyte_keeps_nobody_waiting() -> Result<()> {
    let Met { large, small, metrics, peak } =
        meet("256MiB", |metrics| Ok(metrics.sum(ROWS_METRIC, &[])? >= ROWS))?;
    assert!(small.early * PERIOD_NS <= MOST_EARLY_NS, "{small:?}");
    assert!(small.whole > 0 && small.broken * 50 <= small.whole, "{small:?}");
    // It took longer, so that there was something to wait for; and it was worth while.
    assert!(large.early > 2 * small.early, "{large:?} {small:?}");
    assert!(large.whole > 0 && large.broken * 50 <= large.whole, "{large:?}");
    assert!(peak < 256 * MIB, "{} MiB", peak / MIB);
    assert_eq!(metrics.sum(MISSING_METRIC, &NO_ROOM)?, 0.0);
    Ok(())
}

#[test]
fn of_half_a_gigabyte_has_no_table_where_there_is_no_room_for_it() -> Result<()> {
    let Met { large, small, metrics, peak } =
        meet("64MiB", |metrics| Ok(metrics.sum(MISSING_METRIC, &NO_ROOM)? > 0.0))?;
    assert!(small.early * PERIOD_NS <= MOST_EARLY_NS, "{small:?}");
    assert!(small.whole > 0 && small.broken * 50 <= small.whole, "{small:?}");
    // Not its few moments outside of the large binary.
    assert!(large.broken > 0 && large.whole * 5 <= large.broken, "{large:?}");
    assert!(peak < 64 * MIB, "{} MiB", peak / MIB);
    // The rows of the small one and its libraries.
    let rows = metrics.sum(ROWS_METRIC, &[])?;
    assert!(rows > 0.0 && rows < ROWS / 4.0, "{rows} rows");
    Ok(())
}
