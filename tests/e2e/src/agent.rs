//! A running `telegen agent`.

use crate::{
    HttpLines, Metrics, Outcome, Profile, Response, Running, Scratch, http_get, record_files, telegen, until,
};
use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What a test settles about its agent.
#[derive(Debug)]
pub struct AgentSettings<'a> {
    /// `collection_interval`.
    pub interval: &'a str,
    /// `export.files.max_size`.
    pub max_size: &'a str,
    /// Further lines below `profiler:`, indented by two blanks.
    pub rules: &'a str,
    /// Further lines below `server:`, indented by four.
    pub server: &'a str,
}

impl Default for AgentSettings<'_> {
    fn default() -> Self {
        Self { interval: "2s", max_size: "64MiB", rules: "", server: "" }
    }
}

/// A running agent; killed when dropped.
#[derive(Debug)]
pub struct Agent {
    /// The process.
    pub running: Running,
    health: SocketAddr,
    listen: SocketAddr,
    profiles: PathBuf,
    read: RefCell<BTreeMap<String, Profile>>,
}

impl Agent {
    /// Writes a configuration, starts an agent with it, and waits until it is ready.
    ///
    /// # Errors
    ///
    /// If it ends or does not become ready.
    pub fn start(scratch: &Scratch, settings: &AgentSettings<'_>) -> Result<Self> {
        let mut agent = Self::spawn(scratch, settings)?;
        agent.wait_until_ready()?;
        Ok(agent)
    }

    /// Writes a configuration, starts an agent with it, and waits until it answers: it need not be ready yet.
    ///
    /// # Errors
    ///
    /// If it ends or does not answer.
    pub fn launch(scratch: &Scratch, settings: &AgentSettings<'_>) -> Result<Self> {
        let mut agent = Self::spawn(scratch, settings)?;
        agent.wait_until("to answer", |agent| {
            // The other listener has something to tell once processes have been looked at.
            agent.get("/healthz").is_ok_and(|response| response.status == 200)
                && agent.ask("/api/v1/targets").is_ok_and(|response| response.status == 200)
        })?;
        Ok(agent)
    }

    fn spawn(scratch: &Scratch, settings: &AgentSettings<'_>) -> Result<Self> {
        let profiles = scratch.join("profiles");
        std::fs::create_dir_all(&profiles)?;
        let [health, listen] = free_addresses()?;
        let AgentSettings { interval, max_size, rules, server } = settings;
        let directory = profiles.display();
        let config = format!(
            "profiler:\n  collection_interval: {interval}\n{rules}  server:\n    health_listen: {health}\n    \
             listen: {listen}\n{server}  \
             export:\n    files:\n      directory: {directory}\n      max_size: {max_size}\n"
        );
        let config = scratch.write("agent.yaml", &config)?;
        let mut command = telegen(["agent", "--config"])?;
        Ok(Self {
            running: Running::spawn(command.arg(config))?,
            health,
            listen,
            profiles,
            read: RefCell::default(),
        })
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    ///
    /// If it ends or does not become ready.
    pub fn wait_until_ready(&mut self) -> Result<()> {
        self.wait_until("to be ready", |agent| {
            agent.get("/readyz").is_ok_and(|response| response.status == 200)
        })
    }

    fn wait_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<()> {
        until(Duration::from_secs(60), &format!("the agent {what}"), || {
            if !self.running.is_running()? {
                bail!("the agent has ended: {}", self.running.wait(Duration::ZERO)?);
            }
            Ok(holds(self).then_some(()))
        })
        .with_context(|| self.running.stderr().unwrap_or_default())
    }

    /// Asks its health listener.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub fn get(&self, path: &str) -> Result<Response> {
        http_get(self.health, path)
    }

    /// Where it answers what is not for probes and scrapers.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Asks there.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub fn ask(&self, path: &str) -> Result<Response> {
        http_get(self.listen, path)
    }

    /// Asks there for an answer that comes line by line.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub fn follow(&self, path: &str) -> Result<HttpLines> {
        HttpLines::get(self.listen, path)
    }

    /// What it has decided on a process, and why; null if it knows of none.
    ///
    /// # Errors
    ///
    /// If there is no answer.
    pub fn decision_on(&self, pid: u32) -> Result<Value> {
        let response = self.ask("/api/v1/targets?all=true&explain=true")?;
        let list: Value = serde_json::from_str(&response.body).with_context(|| format!("{response:?}"))?;
        let mut processes = list["processes"].as_array().into_iter().flatten();
        Ok(processes.find(|process| process["pid"] == pid).cloned().unwrap_or_default())
    }

    /// Waits until it has decided so, and gives the whole of it.
    ///
    /// # Errors
    ///
    /// If it does not within a minute.
    pub fn wait_for_decision(&self, pid: u32, decision: &str) -> Result<Value> {
        let mut last = Value::Null;
        until(Duration::from_secs(60), &format!("{decision} for {pid}"), || {
            last = self.decision_on(pid)?;
            Ok((last["decision"] == decision).then(|| last.clone()))
        })
        .with_context(|| format!("{last}\n{}", self.running.stderr().unwrap_or_default()))
    }

    /// Its metrics.
    ///
    /// # Errors
    ///
    /// If they cannot be had.
    pub fn metrics(&self) -> Result<Metrics> {
        Metrics::parse(&self.get("/metrics")?.body)
    }

    /// What it has logged so far.
    ///
    /// # Errors
    ///
    /// If the file that holds it cannot be read.
    pub fn log(&self) -> Result<String> {
        self.running.stderr()
    }

    /// The directory it exports to.
    pub fn directory(&self) -> &Path {
        &self.profiles
    }

    /// The profiles it has written, oldest first.
    ///
    /// # Errors
    ///
    /// If one of them is no whole profile.
    pub fn profiles(&self) -> Result<Vec<Profile>> {
        // A file that is there is whole and never changes: each is read once.
        let mut read = self.read.borrow_mut();
        let mut profiles = Vec::new();
        for name in record_files(&self.profiles)?.into_iter().filter(|name| name.ends_with(".pb.gz")) {
            let profile = match read.entry(name) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let profile = Profile::read(&self.profiles.join(new.key()))?;
                    new.insert(profile)
                }
            };
            profiles.push(profile.clone());
        }
        profiles.sort_by_key(|profile| profile.start);
        Ok(profiles)
    }

    /// Waits for its next profiles, until something holds for the list of all.
    ///
    /// # Errors
    ///
    /// If it does not within a minute.
    pub fn wait_for_profiles(&self, what: &str, holds: impl Fn(&[Profile]) -> bool) -> Result<Vec<Profile>> {
        until(Duration::from_secs(60), what, || {
            let profiles = self.profiles()?;
            Ok(holds(&profiles).then_some(profiles))
        })
    }

    /// Ends it by SIGTERM; it must exit with 0.
    ///
    /// # Errors
    ///
    /// If it exits otherwise.
    pub fn terminate(&mut self) -> Result<Outcome> {
        self.running.terminate()?.expect_code(0)
    }
}

/// The first port that may be given, of a range in which the kernel gives none by itself.
const FIRST_PORT: u32 = 12_000;
/// How many ports a test program has, and how many programs have different ones.
const PORTS: u32 = 500;
const PROGRAMS: u32 = 40;

/// Addresses of the loopback device that nobody listens at, and that nobody is given before an agent listens there: neither a
/// client by the kernel, nor another test, here or in a program that runs beside this one.
///
/// # Errors
///
/// If all ports that this program may give are taken.
pub fn free_addresses<const N: usize>() -> Result<[SocketAddr; N]> {
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    let first = FIRST_PORT + std::process::id() % PROGRAMS * PORTS;
    let mut addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); N];
    for address in &mut addresses {
        let free = (0..PORTS).find_map(|_| {
            address.set_port((first + GIVEN.fetch_add(1, Ordering::Relaxed) % PORTS).try_into().ok()?);
            TcpListener::bind(*address).ok()
        });
        free.context("all ports are taken")?;
    }
    Ok(addresses)
}
