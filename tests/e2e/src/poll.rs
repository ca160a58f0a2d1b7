//! Waiting for something to become true.

use anyhow::{Result, bail};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Asks again and again until the answer is there, and fails after `limit`, naming what was waited for.
///
/// # Errors
///
/// If the time is over, or asking itself failed.
pub fn until<T>(limit: Duration, what: &str, mut ask: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask()? {
            return Ok(answer);
        }
        if begin.elapsed() > limit {
            bail!("waited {limit:?} in vain for {what}");
        }
        sleep(Duration::from_millis(50));
    }
}
