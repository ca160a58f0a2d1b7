//! curl(1), a client that many use.

use crate::http::{Response, parse};
use crate::{Outcome, run};
use anyhow::{Context, Result, ensure};
use std::ffi::OsStr;
use std::process::Command;
use std::time::Duration;

/// A call of curl that shows whole answers and errors, follows an answer as it comes, and knows no configuration.
pub fn curl_command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new("curl");
    command.args(["-q", "-sSiN", "--noproxy", "*", "--max-time", "300"]).args(arguments);
    command
}

/// Asks for an answer.
///
/// # Errors
///
/// If there is none.
pub fn curl<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<Response> {
    let outcome = run(&mut curl_command(arguments), Duration::from_secs(90))?.expect_code(0)?;
    parse(&outcome.stdout).with_context(|| outcome.to_string())
}

/// Asks where there is to be no answer.
///
/// # Errors
///
/// If there is one.
pub fn curl_in_vain<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<Outcome> {
    let outcome = run(&mut curl_command(arguments), Duration::from_secs(90))?;
    ensure!(outcome.code() != Some(0) && outcome.stdout.is_empty(), "an answer\n{outcome}");
    Ok(outcome)
}
