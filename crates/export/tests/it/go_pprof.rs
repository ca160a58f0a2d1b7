//! `go tool pprof`, which has a decoder of its own, reads what is written.

use crate::recording::recording;
use std::fs::File;
use std::process::{Command, Output};
use telegen_export::{Existing, Format, OutputFile, write_pprof};

/// A report of `go tool pprof`; nothing if there is no Go here.
fn report(arguments: &[&str]) -> Option<String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.pb.gz");
    write_pprof(&recording(), File::create(&path).unwrap()).unwrap();
    let mut command = Command::new("go");
    // It would look for the programs, and for symbols, and must find everything in the file.
    command.args(["tool", "pprof"]).args(arguments).arg(&path);
    command
        .env("TZ", "UTC")
        .env("GOPROXY", "off")
        .env("GOFLAGS", "")
        .env("PPROF_BINARY_PATH", "/nonexistent");
    command.env("PPROF_TMPDIR", directory.path());
    let Ok(Output { status, stdout, stderr }) = command.output() else {
        eprintln!("SKIPPED: there is no `go` here to read the profile");
        return None;
    };
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{stderr}");
    assert!(!stderr.contains("Local symbolization"), "it looks for symbols itself: {stderr}");
    Some(String::from_utf8(stdout).unwrap())
}

#[test]
fn it_sums_up_what_was_recorded() {
    let Some(top) = report(&["-top", "-sample_index=samples", "-nodefraction=0"]) else { return };
    let rows: Vec<Vec<&str>> = top.lines().map(|line| line.split_whitespace().collect()).collect();
    for expected in [
        "12 66.67% 66.67% 18 100% server::inlined (inline)",
        "6 33.33% 100% 6 33.33% ksys_read",
        "0 0% 100% 16 88.89% main",
        "0 0% 100% 2 11.11% [truncated]",
    ] {
        let words: Vec<_> = expected.split(' ').collect();
        assert!(rows.contains(&words), "no {expected:?} in\n{top}");
    }
    assert!(top.contains("Duration: 2.50s, Total samples = 18"), "{top}");
}

#[test]
fn cpu_time_is_what_it_shows_by_itself() {
    let Some(top) = report(&["-top"]) else { return };
    assert!(top.contains("Type: cpu") && top.contains("Total samples = 181.82ms"), "{top}");
    assert!(top.contains(&format!("Build ID: {}", "de".repeat(20))), "{top}");
}

#[test]
fn every_table_is_read() {
    let Some(raw) = report(&["-raw"]) else { return };
    for expected in [
        "PeriodType: cpu nanoseconds\nPeriod: 10101010\nTime: 2026-11-23 14:38:09.123456789 +0000 UTC",
        "samples/count cpu/nanoseconds[dflt]\n          5   50505050: 1 2 \n",
        "process.executable.name:[server]\n                process.pid:[4711]",
        "0x401200 M=1 server::inlined",
        "0xffffffff81000042 M=2 ksys_read",
        ": 0x0 [truncated] :0 s=0",
        "1: 0x401000/0x411000/0x1000 /opt/app (1)/server dededededededededededededededededededede [FN][FL][LN][IN]",
        "2: 0xffffffff81000000/0xffffffff81010000/0x1000 [kernel.kallsyms]  [FN]",
    ] {
        assert!(raw.contains(expected), "no {expected:?} in\n{raw}");
    }
}

#[test]
fn a_format_writes_into_an_output_file() {
    let directory = tempfile::tempdir().unwrap();
    for format in Format::ALL {
        let path = directory.path().join(format!("a{}", format.ending()));
        let bytes = OutputFile::prepare(&path, Existing::Keep)
            .unwrap()
            .write(|writer| format.write(&recording(), writer))
            .unwrap();
        let mut expected = Vec::new();
        format.write(&recording(), &mut expected).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), expected);
        assert_eq!(bytes, expected.len() as u64);
        assert_eq!(Format::from_path(&path).unwrap(), format);
    }
}
