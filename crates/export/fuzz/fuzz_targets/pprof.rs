//! Any bytes as pprof files: they are read or refused, and what was read can be compared and drawn.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::path::Path;
use telegen_export::{Comparison, PprofFile};

fuzz_target!(|input: (&[u8], &[u8])| {
    let [Ok(before), Ok(after)] = [input.0, input.1].map(|bytes| PprofFile::parse(Path::new("fuzz"), bytes)) else {
        return;
    };
    let Ok(comparison) = Comparison::new(&before, &after) else { return };
    let mut folded = Vec::new();
    comparison.write_folded(&mut folded).expect("memory takes everything");
    assert!(!folded.contains(&0x1b));
    let mut page = Vec::new();
    comparison.write_html(&mut page).expect("memory takes everything");
    assert_eq!(page.windows(7).filter(|window| window.eq_ignore_ascii_case(b"<script")).count(), 2);
});
