//! Any bytes are a configuration, which reads back what it shows, or an error, which can be printed.

#![no_main]

use libfuzzer_sys::fuzz_target;
use telegen_config::parse;

fuzz_target!(|bytes: &[u8]| match parse("fuzz.yaml", bytes) {
    Ok(loaded) => {
        let shown = loaded.config.show();
        let again = parse("shown.yaml", shown.as_bytes()).expect("what is shown is a configuration");
        assert_eq!(again.config, loaded.config);
    }
    Err(error) => {
        let text = error.to_string();
        assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    }
});
