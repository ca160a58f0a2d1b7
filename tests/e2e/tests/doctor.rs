//! `telegen doctor`.

use anyhow::{Context, Result};
use std::time::Duration;
use telegen_e2e::{run, telegen, telegen_as_nobody};

const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn a_machine_that_can_profile_is_found_well() -> Result<()> {
    let outcome = run(&mut telegen(["doctor"])?, LIMIT)?.expect_code(0)?;
    assert!(outcome.stdout.contains("BTF"), "{outcome}");
    Ok(())
}

#[test]
fn the_findings_can_be_had_as_json() -> Result<()> {
    let outcome = run(&mut telegen(["doctor", "-o", "json"])?, LIMIT)?.expect_code(0)?;
    let findings: serde_json::Value =
        serde_json::from_str(&outcome.stdout).with_context(|| outcome.to_string())?;
    assert!(findings.is_object() || findings.is_array(), "{outcome}");
    assert!(outcome.stdout.contains("BTF") || outcome.stdout.contains("btf"), "{outcome}");
    Ok(())
}

#[test]
fn a_missing_btf_is_found() -> Result<()> {
    let well = run(&mut telegen(["doctor"])?, LIMIT)?;
    let ill = run(telegen(["doctor"])?.env("TELEGEN_BTF_PATH", "/nonexistent"), LIMIT)?;
    let line =
        |text: &str| text.lines().filter(|line| line.contains("BTF")).map(str::to_owned).collect::<Vec<_>>();
    assert_ne!(line(&well.stdout), line(&ill.stdout), "{ill}");
    assert!(ill.stdout.contains("/nonexistent"), "{ill}");
    Ok(())
}

#[test]
fn missing_capabilities_are_found() -> Result<()> {
    let outcome = run(&mut telegen_as_nobody(["doctor"])?, LIMIT)?;
    assert!(outcome.stdout.contains("CAP_BPF") && outcome.stdout.contains("CAP_PERFMON"), "{outcome}");
    Ok(())
}
