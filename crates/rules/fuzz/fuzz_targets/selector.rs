//! Any text as a selector of labels: it is one, which reads back what it writes, or an error that names a place in it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use telegen_rules::Selector;

fuzz_target!(|text: &str| match Selector::parse(text) {
    Ok(selector) => {
        let again = Selector::parse(&selector.to_string()).expect("what is written is a selector");
        assert_eq!(again, selector);
    }
    Err(error) => assert!(text.is_char_boundary(error.at), "{error}"),
});
