//! An agent that is being measured.

use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running agent; it and its files go when this is dropped.
pub(crate) struct Agent {
    child: Child,
    directory: PathBuf,
    address: String,
}

impl Agent {
    /// Starts an agent with these lines below `profiler:`, and waits until it samples.
    pub(crate) fn start(telegen: &Path, settings: &str) -> Result<Self> {
        let directory = std::env::temp_dir().join(format!("telegen-bench-{}", std::process::id()));
        fs::create_dir_all(&directory)?;
        let config = directory.join("config.yaml");
        let profiles = directory.join("profiles");
        fs::write(
            &config,
            format!(
                "profiler:\n{settings}  server: {{health_listen: \"127.0.0.1:0\"}}\n  export: {{files: {{directory: {}}}}}\n",
                profiles.display()
            ),
        )?;
        let log = fs::File::create(directory.join("log"))?;
        let child = Command::new(telegen)
            .args(["agent", "--config"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("cannot start the agent")?;
        let mut agent = Self { child, directory, address: String::new() };
        agent.wait_until_ready()?;
        Ok(agent)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            let log = fs::read_to_string(self.directory.join("log"))?;
            if let Some((_, rest)) = log.split_once("address=\"") {
                self.address = rest.split('"').next().unwrap_or_default().to_owned();
                if self.get("/readyz").is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")) {
                    return Ok(());
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("the agent does not get ready: {}", fs::read_to_string(self.directory.join("log"))?)
    }

    fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// The sum of a metric's series.
    pub(crate) fn metric(&self, name: &str, label: &str) -> Result<f64> {
        let text = self.get("/metrics")?;
        let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
        Ok(lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
    }

    /// CPU time of a thread of it, in nanoseconds.
    pub(crate) fn thread_cpu_ns(&self, name: &str) -> Result<u64> {
        for task in fs::read_dir(format!("/proc/{}/task", self.child.id()))? {
            let task = task?.path();
            if fs::read_to_string(task.join("comm"))?.trim() == name {
                let times = fs::read_to_string(task.join("schedstat"))?;
                return times.split(' ').next().context("no time")?.parse().context("no number");
            }
        }
        bail!("no thread {name}")
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }

    /// Run time and number of runs of one of its BPF programs.
    pub(crate) fn program_runs(&self, name: &str) -> Result<(u64, u64)> {
        let output =
            Command::new("bpftool").args(["-j", "prog", "show"]).output().context("cannot run bpftool")?;
        let programs: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let ours = |program: &&serde_json::Value| {
            let holders = program["pids"].as_array();
            program["name"] == name
                && holders.is_none_or(|holders| holders.iter().any(|holder| holder["pid"] == self.child.id()))
        };
        // Where bpftool cannot tell holders, the newest is ours.
        let program =
            programs.as_array().and_then(|all| all.iter().rfind(ours)).context("the program is not there")?;
        let count = |key: &str| program[key].as_u64().unwrap_or(0);
        Ok((count("run_time_ns"), count("run_cnt")))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.child.id())
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            // It may have ended by itself.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        // Nothing can be done about what cannot be cleaned up.
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.directory);
    }
}
