//! Another kernel than the one that the tests run on, in an emulated machine: the oldest that telegen is made for.

use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use telegen_e2e::{build_directory, run, skip, telegen_binary};

/// Ten times what it takes.
const LIMIT: Duration = Duration::from_secs(900);
/// The script's word for that the emulator or the kernel cannot be had.
const CANNOT: i32 = 77;

#[test]
fn the_oldest_kernel_that_telegen_is_made_for_can_be_profiled() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("the workspace")?;
    let mut command = Command::new(root.join("scripts/try-kernels"));
    command.arg("--oldest").env("TELEGEN_BIN", telegen_binary()?);
    // Kept, so that a kernel is fetched but once.
    command.env("KERNELS_DIR", build_directory()?.join("kernels"));
    // It is Debian 12's.
    command.env("SUITES", "bookworm bookworm-security");
    let outcome = run(&mut command, LIMIT)?;
    if outcome.code() == Some(CANNOT) {
        skip!("{}", outcome.stderr.trim());
    }
    let outcome = outcome.expect_code(0)?;
    assert!(outcome.stdout.contains("| a profile; kernel frames named |"), "{outcome}");
    Ok(())
}
