//! Programs that keep a machine busy, or only full.

use anyhow::{Context, Result};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What `cargo xtask burn` does: keeps threads busy, then says how much CPU time that took.
pub(crate) fn burn(seconds: f64, threads: usize) -> Result<()> {
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| while Instant::now() < end {});
        }
    });
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    println!("{}", used.tv_sec as f64 + used.tv_nsec as f64 / 1e9);
    Ok(())
}

/// Programs that do a little ten times a second and sleep in between, in some languages. None of them starts others.
const NOW_AND_THEN: [&[&str]; 3] = [
    &["perl", "-e", "for (;;) { select(undef, undef, undef, 0.1); $x += sin($_) for 1..300 }"],
    &["python3", "-c", "import time\nwhile True:\n time.sleep(0.1)\n sum(i * i for i in range(300))"],
    // A pipe that nobody writes to is what a shell can wait for without starting `sleep`.
    &[
        "bash",
        "-c",
        "exec 3<> <(:); while :; do i=0; while [ $i -lt 100 ]; do i=$((i+1)); done; read -t 0.1 -u 3 x; done",
    ],
];

/// Processes that end when this is dropped.
#[derive(Default)]
pub(crate) struct Load(Vec<Child>);

impl Load {
    /// Starts a command, if there is such a program here.
    pub(crate) fn add(&mut self, command: &mut Command) -> Result<()> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.0.push(child.with_context(|| format!("cannot start {command:?}"))?);
        Ok(())
    }

    /// Shells that do nothing but count, one for each CPU.
    pub(crate) fn busy(count: usize) -> Result<Self> {
        let mut load = Self::default();
        for _ in 0..count {
            load.add(Command::new("sh").args(["-c", "while :; do :; done"]))?;
        }
        Ok(load)
    }

    /// Processes that sleep.
    pub(crate) fn standing_by(count: usize) -> Result<Self> {
        let mut load = Self::default();
        for _ in 0..count {
            load.add(Command::new("sleep").arg("7200"))?;
        }
        Ok(load)
    }

    /// Processes that do a little ten times a second.
    pub(crate) fn now_and_then(count: usize) -> Result<Self> {
        let mut load = Self::default();
        for program in NOW_AND_THEN.iter().cycle().take(count) {
            load.add(Command::new(program[0]).args(&program[1..]))?;
        }
        Ok(load)
    }

    /// How many it has started.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Their pids.
    pub(crate) fn pids(&self) -> Vec<u32> {
        self.0.iter().map(Child::id).collect()
    }

    /// Their pids as a list of the configuration has them.
    pub(crate) fn pid_list(&self) -> String {
        self.pids().iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It may have ended by itself.
            let _ = child.kill();
        }
        for child in &mut self.0 {
            let _ = child.wait();
        }
    }
}
