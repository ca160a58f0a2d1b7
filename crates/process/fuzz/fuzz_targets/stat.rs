//! `/proc/PID/stat`: no text makes the parser panic.

#![no_main]

use libfuzzer_sys::fuzz_target;
use telegen_process::Stat;

fuzz_target!(|line: &[u8]| {
    if let Some(stat) = Stat::parse(line) {
        assert!(stat.comm.len() <= line.len() * '\u{fffd}'.len_utf8());
    }
});
