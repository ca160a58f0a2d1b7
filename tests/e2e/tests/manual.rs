//! `telegen man`: pages that man(1) shows.

use anyhow::Result;
use std::time::Duration;
use telegen_e2e::{Scratch, record_files, run, telegen};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn every_command_has_a_page() -> Result<()> {
    let scratch = Scratch::new()?;
    for _ in 0..2 {
        // The second time it replaces what is there.
        run(telegen(["man"])?.arg(scratch.path()), LIMIT)?.expect_code(0)?;
    }
    let pages = record_files(scratch.path())?;
    for command in ["agent", "record", "targets", "config-check", "diff", "doctor"] {
        assert!(pages.contains(&format!("telegen-{command}.1")), "no page of {command} in {pages:?}");
    }
    let record = std::fs::read_to_string(scratch.join("telegen-record.1"))?;
    assert!(
        record.starts_with(".ie") && record.contains(".TH telegen-record 1"),
        "no manual page:\n{record}"
    );
    Ok(())
}

#[test]
fn without_a_directory_there_is_no_manual() -> Result<()> {
    let scratch = Scratch::new()?;
    let outcome = run(&mut telegen(["man", &scratch.text("missing")])?, LIMIT)?.expect_code(1)?;
    assert!(outcome.stderr.contains("there is no directory"), "{outcome}");
    Ok(())
}
