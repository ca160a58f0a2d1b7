//! Files that nobody would write.

use proptest::prelude::*;
use std::time::{Duration, Instant};
use telegen_config::{MAX_FILE_BYTES, parse};

/// Fails if reading this takes undue time or ends in an undue message. The message, if it is refused.
fn read_in_time(bytes: &[u8]) -> Option<String> {
    let begin = Instant::now();
    let error = parse("c.yaml", bytes).err().map(|error| error.to_string());
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(20)]).into_owned();
    let length = error.as_deref().map_or(0, str::len);
    assert!(length < 64 << 10, "{start:?}: a message of {length} bytes");
    // Generous, since a test must not fail for a busy machine; what is quadratic takes longer.
    assert!(begin.elapsed() < Duration::from_secs(5), "{start:?}: {:?}", begin.elapsed());
    error
}

fn assert_refused(bytes: &[u8]) {
    assert!(read_in_time(bytes).is_some(), "{:?}", String::from_utf8_lossy(&bytes[..bytes.len().min(40)]));
}

#[test]
fn large_files_are_read_in_time_and_larger_ones_not_at_all() {
    assert!(read_in_time(&vec![b'a'; MAX_FILE_BYTES + 1]).is_some_and(|error| error.contains("1024 KiB")));
    let starts = ["", "profiler: {", "profiler:\n  match: \""];
    let texts = [
        "a", "[", "]", "{", "- ", "? ", "a: ", "a:\n", "[a,", "{a: ", "&a ", "*a ", "!a ", "\"", "'", "\t",
        "\\", "- - \n", "%A\n", "--- ", "a: b: ", "? a\n", "|\n ", "\u{e4}", "x: 1\n", "[]\n", "{},", "'a' ",
        "a,", "*a,", "1,", "\\x41", "x ", "#", " # ", "    x\n", "\r",
    ];
    for text in texts {
        for start in starts {
            let bytes = format!("{start}{}", text.repeat(MAX_FILE_BYTES / 4 / text.len())).into_bytes();
            let refused = read_in_time(&bytes).is_some();
            let nothing =
                text.trim_start_matches([' ', '\t', '\r']).is_empty() || text.trim().starts_with('#');
            assert!(refused || nothing, "{start:?} {text:?}");
        }
    }
}

#[test]
fn a_billion_laughs_are_refused() {
    let mut text = String::from("a0: &a0 [lol]\n");
    for level in 1..30 {
        let below = format!("*a{},", level - 1).repeat(9);
        text.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    assert_refused(text.as_bytes());
}

#[test]
fn deep_nesting_is_refused() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let depth = 10_000;
        assert_refused(format!("profiler: {}{}", open.repeat(depth), close.repeat(depth)).as_bytes());
    }
    let stairs: String = (0..500).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    assert_refused(stairs.as_bytes());
}

/// Pieces that make something like a configuration more often than random bytes do.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("profiler:"),
        Just("\n"),
        Just("  "),
        Just(" "),
        Just("- "),
        Just("["),
        Just("]"),
        Just("{"),
        Just("}"),
        Just(", "),
        Just(": "),
        Just("\""),
        Just("'"),
        Just("*"),
        Just("&a"),
        Just("!"),
        Just("#"),
        Just("\t"),
        Just("enabled"),
        Just("target_process_names"),
        Just("cpu"),
        Just("sample_rate"),
        Just("match"),
        Just("any"),
        Just("10s"),
        Just("1"),
        Just("true"),
        Just("é"),
        Just("|"),
        Just("? "),
        Just("---"),
        Just("\r"),
        Just("~"),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Reads and, as a user would, prints what comes out.
fn read(bytes: &[u8]) {
    match parse("c.yaml", bytes) {
        Ok(loaded) => {
            let shown = loaded.config.show();
            assert_eq!(parse("shown.yaml", shown.as_bytes()).expect("it is shown").config, loaded.config);
            loaded.warnings.iter().for_each(|warning| drop(warning.to_string()));
        }
        Err(error) => assert!(!error.to_string().contains('\u{1b}')),
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_configuration_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read(&bytes);
    }

    #[test]
    fn anything_like_yaml_is_a_configuration_or_an_error(text in pieces()) {
        read(text.as_bytes());
        read(format!("profiler:\n  {text}").as_bytes());
    }
}
