//! `/proc/PID/maps`: no text makes the parser panic, and where the text is cut makes no difference.

#![no_main]

use libfuzzer_sys::fuzz_target;
use telegen_process::{MapsParser, parse_executable};

fuzz_target!(|text: &[u8]| {
    let whole = parse_executable(text);
    // As the length varies, this is everywhere.
    let (before, after) = text.split_at(text.len() / 2);
    let mut parser = MapsParser::default();
    parser.push(before);
    parser.push(after);
    assert_eq!(parser.finish(), whole);
    for mapping in &whole.mappings {
        assert!(mapping.start < mapping.end);
    }
});
