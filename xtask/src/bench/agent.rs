//! An agent that is being measured.

use super::cgroup::MemoryGroup;
use super::latencies::Latencies;
use super::process;
use anyhow::{Context, Result, bail};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// A running agent; it and its files go when this is dropped.
pub(crate) struct Agent {
    child: Child,
    directory: PathBuf,
    address: String,
    group: Option<MemoryGroup>,
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
                "profiler:\n{settings}  server: {{health_listen: \"127.0.0.1:0\", listen: \"127.0.0.1:0\"}}\n  export: {{files: {{directory: {}}}}}\n",
                profiles.display()
            ),
        )?;
        let log = fs::File::create(directory.join("log"))?;
        let group = MemoryGroup::create("telegen-bench").ok();
        let mut command = process::inside(group.as_ref(), telegen);
        let command = command.args(["agent", "--config"]).arg(&config).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().context("cannot start the agent")?;
        let mut agent = Self { child, directory, address: String::new(), group };
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

    /// How long decisions have taken so far.
    pub(crate) fn latencies(&self) -> Result<Latencies> {
        Latencies::read(&self.get("/metrics")?, "telegen_profiler_decision_latency_seconds")
    }

    /// Waits until another interval is written. Samples are counted as exported then.
    pub(crate) fn wait_for_export(&self) -> Result<()> {
        let written = || self.metric("telegen_profiler_exports_total", "success");
        let before = written()?;
        for _ in 0..300 {
            std::thread::sleep(Duration::from_millis(100));
            if written()? > before {
                return Ok(());
            }
        }
        bail!("no interval is written")
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> Result<String> {
        Ok(fs::read_to_string(self.directory.join("log"))?)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The most memory that its control group has held; `None` where there is no such group.
    pub(crate) fn peak_bytes(&self) -> Option<u64> {
        self.group.as_ref()?.peak_bytes().ok()
    }

    /// The profile it has written last.
    pub(crate) fn newest_profile(&self) -> Result<PathBuf> {
        let profiles = self.profiles()?.into_iter();
        profiles
            .max_by_key(|path| fs::metadata(path).and_then(|facts| facts.modified()).ok())
            .context("no profile yet")
    }

    /// All profiles that it has written.
    pub(crate) fn profiles(&self) -> Result<Vec<PathBuf>> {
        let files =
            fs::read_dir(self.directory.join("profiles"))?.filter_map(|entry| Some(entry.ok()?.path()));
        Ok(files.filter(|path| path.to_string_lossy().ends_with(".pb.gz")).collect())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        process::terminate(&mut self.child);
        // Nothing can be done about what cannot be cleaned up.
        let _ = fs::remove_dir_all(&self.directory);
    }
}
