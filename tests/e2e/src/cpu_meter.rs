//! How much CPU time a process has had, by the kernel's own account, over any window of time.

use anyhow::{Context, Result, bail};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, SystemTime};

/// Steps of `utime` and `stime` in `/proc/PID/stat`: `USER_HZ`, 100 on every architecture that telegen runs on.
const TICKS_PER_SECOND: f64 = 100.0;

type Reading = (SystemTime, f64);

/// Reads a process's CPU time every 20 ms, so that what it had within any window of that time can be told afterwards:
/// a profile says itself which window it covers, but not before it is written.
#[derive(Debug)]
pub struct CpuMeter {
    readings: Arc<Mutex<Vec<Reading>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl CpuMeter {
    /// Starts to read; all threads of the process count, also those that have exited.
    pub fn start(pid: u32) -> Self {
        let readings = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (to, until) = (Arc::clone(&readings), Arc::clone(&stop));
        let thread = spawn(move || {
            while !until.load(Ordering::Relaxed) {
                if let (Some(seconds), Ok(mut to)) = (cpu_seconds(pid), to.lock()) {
                    to.push((SystemTime::now(), seconds));
                }
                sleep(Duration::from_millis(20));
            }
        });
        Self { readings, stop, thread: Some(thread) }
    }

    /// The CPU seconds that the process had between two moments.
    ///
    /// # Errors
    ///
    /// If the process was not being read during all of that time.
    pub fn between(&self, start: SystemTime, end: SystemTime) -> Result<f64> {
        let readings = self.readings.lock().ok().context("the meter's thread has panicked")?;
        Ok(interpolate(&readings, end)? - interpolate(&readings, start)?)
    }
}

impl Drop for CpuMeter {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn interpolate(readings: &[Reading], at: SystemTime) -> Result<f64> {
    let after = readings.partition_point(|(time, _)| *time < at);
    if after == 0 || after == readings.len() {
        bail!("no reading of CPU time on both sides of {at:?} ({} readings)", readings.len());
    }
    let ((before, low), (behind, high)) = (readings[after - 1], readings[after]);
    let whole = behind.duration_since(before)?.as_secs_f64();
    let part = at.duration_since(before)?.as_secs_f64();
    Ok(if whole > 0.0 { low + (high - low) * part / whole } else { low })
}

/// User and system time of a process, in seconds; `None` if it is gone.
fn cpu_seconds(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; behind it the state is field 3, utime 14 and stime 15.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ').skip(11);
    let utime: f64 = fields.next()?.parse().ok()?;
    let stime: f64 = fields.next()?.parse().ok()?;
    Some((utime + stime) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Program, Running};
    use std::process::Command;

    #[test]
    fn the_meter_agrees_with_the_program_itself() -> Result<()> {
        let mut burner = Running::spawn(Command::new(Program::Burn.built()?).args(["--seconds", "100"]))?;
        let meter = CpuMeter::start(burner.pid());
        sleep(Duration::from_millis(300));
        let start = SystemTime::now();
        sleep(Duration::from_secs(2));
        let end = SystemTime::now();
        sleep(Duration::from_millis(100));
        let metered = meter.between(start, end)?;
        let total = crate::reported(&burner.terminate()?.stdout, "total")?;
        assert!(metered > 0.2 && metered < 2.1 && metered < total, "{metered} of {total}");
        assert!(meter.between(start - Duration::from_secs(9), end).is_err());
        Ok(())
    }

    #[test]
    fn between_two_readings_time_runs_evenly() -> Result<()> {
        let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        let readings = [(at(0), 1.0), (at(100), 2.0)];
        assert!((interpolate(&readings, at(25))? - 1.25).abs() < 1e-9);
        Ok(())
    }
}
