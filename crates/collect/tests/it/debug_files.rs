//! Names from the separate debug files of processes that have gone.

use crate::{DEFAULT, TOKEN, collector, facts_of, tick};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime};
use telegen_collect::{ProfileAssembler, SampleLabels};
use telegen_symbolize::Budget;

const SOURCE: &str = "#include <stdio.h>\n#include <unistd.h>\n\
    static __attribute__((noinline)) int hidden(int n) { volatile int x = n; return x + 2; }\n\
    int main(int argc, char **argv) { printf(\"%p\\n\", (void *) hidden); fflush(stdout); \
    for (;;) { pause(); hidden(argc); } }\n";

fn tool(name: &str, arguments: &[&Path]) {
    let status = Command::new(name).args(arguments).stdin(Stdio::null()).status().expect("it is installed");
    assert!(status.success(), "{name} {arguments:?}");
}

#[test]
fn a_stripped_program_that_has_gone_is_named_from_its_debug_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let [source, program, debug] = ["p.c", "p", "p.debug"].map(|name| directory.path().join(name));
    fs::write(&source, SOURCE).expect("written");
    tool("gcc", &["-g".as_ref(), "-Wl,--build-id".as_ref(), &source, "-o".as_ref(), &program]);
    tool("objcopy", &["--only-keep-debug".as_ref(), &program, &debug]);
    tool("strip", &["--strip-all".as_ref(), &program]);
    let link = format!("--add-gnu-debuglink={}", debug.display());
    tool("objcopy", &[link.as_ref(), &program]);
    fs::create_dir(directory.path().join(".debug")).expect("made");
    fs::rename(&debug, directory.path().join(".debug/p.debug")).expect("moved");

    let mut child = Command::new(&program).stdout(Stdio::piped()).spawn().expect("it runs");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("piped");
    BufReader::new(stdout).read_line(&mut line).expect("its address");
    let address = u64::from_str_radix(line.trim().trim_start_matches("0x"), 16).expect("hexadecimal");
    let mut collector = collector();
    collector.start(TOKEN, facts_of(child.id()), None);
    collector.record(TOKEN, DEFAULT, &tick(&[address], &[]));
    let interval = collector.take_interval((SystemTime::now(), Instant::now()));
    child.kill().and_then(|()| child.wait()).expect("killed");
    fs::remove_file(&program).expect("removed");

    let mut assembler = ProfileAssembler::new(SampleLabels::default(), Budget::default(), None, None);
    let profile = assembler.assemble(&interval);
    let leaf = profile.stacks[profile.samples[0].stack.0 as usize][0];
    assert_eq!(profile.leaf_name(leaf), "hidden");
    let line = profile.locations[leaf.0 as usize].lines[0];
    assert_eq!(line.line, 3);
    assert_eq!(assembler.figures().debug_files, 1);
    drop((interval, collector));
    assert_eq!(assembler.figures().debug_files, 0, "closed with the last that refers to it");
}
