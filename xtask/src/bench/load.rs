//! Programs that keep a machine busy.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
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
            load.add(Command::new("sleep").arg("3600"))?;
        }
        Ok(load)
    }

    /// Processes that do a little ten times a second.
    pub(crate) fn now_and_then(count: usize) -> Result<Self> {
        let script = "while :; do i=0; while [ $i -lt 200 ]; do i=$((i+1)); done; read -t 0.1 x < /dev/zero; sleep 0.1; done";
        let mut load = Self::default();
        for _ in 0..count {
            load.add(Command::new("bash").args(["-c", script]))?;
        }
        Ok(load)
    }

    /// Busy programs in as many languages as this machine has; how many there are.
    pub(crate) fn different(directory: &Path) -> Result<(Self, usize)> {
        fs::create_dir_all(directory)?;
        let java = directory.join("Burn.java");
        fs::write(
            &java,
            "class Burn { public static void main(String[] a) { double x = 0; while (true) x += Math.sin(x); } }",
        )?;
        let own = std::env::current_exe()?;
        let (own, java) = (own.to_string_lossy().into_owned(), java.to_string_lossy().into_owned());
        let programs: Vec<Vec<&str>> = vec![
            vec![&own, "burn", "3600", "1"],
            vec!["java", &java],
            vec!["python3", "-c", "while True: sum(i * i for i in range(1000))"],
            vec!["node", "-e", "let x = 0; for (;;) x += Math.sin(x)"],
            vec!["perl", "-e", "while (1) { $x += sin($x) }"],
            vec!["awk", "BEGIN { while (1) x += sin(x) }"],
            vec!["bash", "-c", "while :; do :; done"],
            vec!["dash", "-c", "while :; do :; done"],
            vec!["gzip", "-c", "/dev/zero"],
            vec!["sha256sum", "/dev/zero"],
            vec!["dd", "if=/dev/zero", "of=/dev/null", "bs=4k"],
            vec!["cat", "/dev/zero"],
        ];
        let mut load = Self::default();
        for program in programs {
            if let Err(error) = load.add(Command::new(program[0]).args(&program[1..])) {
                println!("not among the targets: {error:#}");
            }
        }
        let count = load.0.len();
        Ok((load, count))
    }

    /// `--pid` values of all of them.
    pub(crate) fn pids(&self) -> String {
        self.0.iter().map(|child| child.id().to_string()).collect::<Vec<_>>().join(", ")
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
