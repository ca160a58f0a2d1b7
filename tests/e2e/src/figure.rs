//! What a test has measured.

use std::io::Write;

/// Says it where it is seen of a test that passes too.
pub fn figure(text: &str) {
    // libtest captures what goes through macros. That a figure is not seen is no failure.
    let _ = writeln!(std::io::stderr(), "MEASURED {text}");
}
