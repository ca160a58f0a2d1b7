//! Files that are cut short, or changed, at every place.

use crate::program::{C, Program, symbolize};
use proptest::prelude::*;
use std::fs;
use telegen_symbolize::build_id;

fn program() -> Option<(Program, Vec<u8>)> {
    let program = Program::compile("gcc", C, &["-O2", "-g"])?;
    let bytes = fs::read(&program.path).expect("the program");
    Some((program, bytes))
}

/// Looks things up all over a file with these contents; whatever it says, it says something for each.
fn survive(program: &Program, bytes: &[u8]) {
    let path = program.directory.path().join("damaged");
    fs::write(&path, bytes).expect("written");
    let offsets: Vec<u64> = (0..64).map(|n| n * 257).collect();
    let places = symbolize(&path, &offsets);
    assert_eq!(places.len(), offsets.len());
    assert!(places.iter().all(|place| !place.frames.is_empty() && !place.frames[0].name.is_empty()));
    // An error is an answer as well.
    let _ = build_id::read(&fs::File::open(&path).expect("the file"));
}

#[test]
fn a_file_that_is_cut_short_anywhere_gives_fewer_names() {
    let Some((program, bytes)) = program() else { return };
    for part in 0..=100 {
        survive(&program, &bytes[..bytes.len() * part / 100]);
    }
}

#[test]
fn changed_bytes_do_no_harm() {
    let Some((program, bytes)) = program() else { return };
    proptest!(ProptestConfig::with_cases(300), |(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..40), in_headers in any::<bool>(),
    )| {
        let mut bytes = bytes.clone();
        for (at, byte) in changes {
            let most = if in_headers { 1024 } else { bytes.len() };
            let at = at.index(most);
            bytes[at] = byte;
        }
        survive(&program, &bytes);
    });
}
