//! Tests that cannot run here.

use anyhow::{Context, Result};
use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::Write;

/// Says that a test cannot run on this machine, and why; [`skip!`](crate::skip!) calls it.
///
/// The line `SKIPPED <test>: <reason>` goes to stderr and, if `$TELEGEN_E2E_SKIPS` is set, to the end of the file that it
/// names, where the runner of the tests counts it: libtest itself knows no skip and reports the test as passed.
///
/// # Errors
///
/// If the skip cannot be counted.
pub fn report(test: &str, reason: &str) -> Result<()> {
    // To the stream itself: what goes through `eprintln!` is captured by libtest and never shown for a test that does
    // not fail.
    let stderr = &mut std::io::stderr();
    report_to(stderr, std::env::var_os("TELEGEN_E2E_SKIPS").as_deref(), test, reason)
}

fn report_to(stderr: &mut impl Write, file: Option<&OsStr>, test: &str, reason: &str) -> Result<()> {
    let line = format!("SKIPPED {test}: {reason}\n");
    stderr.write_all(line.as_bytes())?;
    let Some(path) = file else { return Ok(()) };
    let mut file = OpenOptions::new().create(true).append(true).open(path).context("cannot count a skip")?;
    file.write_all(line.as_bytes()).context("cannot count a skip")
}

/// The name of a test as libtest prints it, from the full name of a function inside it.
pub fn test_name(inner_function: &str) -> &str {
    let test = inner_function.strip_suffix("::here").unwrap_or(inner_function);
    test.split_once("::").map_or(test, |(_crate, test)| test)
}

/// Ends the test as skipped: `skip!("no container runtime")`.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)*) => {{
        fn here() {}
        let test = $crate::skip::test_name(::std::any::type_name_of_val(&here));
        return $crate::skip::report(test, &format!($($reason)*));
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_skip_is_written_where_it_is_counted() -> Result<()> {
        const LINES: &str = "SKIPPED a::b: no reason\nSKIPPED a::c: none either\n";
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("skips");
        let mut stderr = Vec::new();
        report_to(&mut stderr, Some(file.as_os_str()), "a::b", "no reason")?;
        report_to(&mut stderr, Some(file.as_os_str()), "a::c", "none either")?;
        assert_eq!(std::fs::read_to_string(file)?, LINES);
        assert_eq!(stderr, LINES.as_bytes());
        assert!(report_to(&mut stderr, Some(directory.path().as_os_str()), "a::b", "a directory").is_err());
        Ok(())
    }

    #[test]
    fn a_test_is_named_as_libtest_names_it() {
        fn here() {}
        let name = test_name(std::any::type_name_of_val(&here));
        assert_eq!(name, "skip::tests::a_test_is_named_as_libtest_names_it");
    }
}
