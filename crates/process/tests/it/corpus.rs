//! What fuzzing has found to be different: no file of it makes a parser panic.

use std::fs;
use std::path::Path;
use telegen_process::{MapsParser, Stat, parse_container, parse_executable};

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = fs::read_dir(&directory).expect("a corpus");
    let files: Vec<_> =
        entries.map(|entry| fs::read(entry.expect("an entry").path()).expect("a file")).collect();
    assert!(files.len() >= 10, "{}", directory.display());
    files
}

#[test]
fn control_groups() {
    let containers = corpus("cgroup").iter().filter_map(|text| parse_container(text)).count();
    assert!(containers > 0, "some are of containers");
}

#[test]
fn mappings() {
    let mut found = 0;
    for text in corpus("maps") {
        let whole = parse_executable(&text);
        found += whole.mappings.len();
        for cut in 0..=text.len() {
            let mut parser = MapsParser::default();
            parser.push(&text[..cut]);
            parser.push(&text[cut..]);
            assert_eq!(parser.finish(), whole);
        }
    }
    assert!(found > 0, "some are of processes");
}

#[test]
fn process_states() {
    let parsed = corpus("stat").iter().filter_map(|line| Stat::parse(line)).count();
    assert!(parsed > 0, "some are of processes");
}
