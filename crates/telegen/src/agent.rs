//! `telegen agent`: profiles, interval after interval, until told to stop.

mod state;

use crate::engine::{Engine, EngineOptions, HOUSEKEEPING_INTERVAL, Stopped};
use crate::failure::{Failure, Status};
use crate::governor::Governor;
use crate::http::{Access, HttpServer, Site, Whom, api, health};
use crate::metrics::{Metrics, SampleOutcome};
use crate::privileges;
use crate::settings::Settings;
use crate::signals::Signals;
use axum::Router;
use state::State;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use telegen_config::{Config, CoreShare, Rules, Server};
use telegen_export::{FileLimits, FileSink};
use telegen_model::Profile;

/// How often signals and clocks are looked at.
const TICK: Duration = Duration::from_millis(100);

/// Where the agent's settings come from.
pub(crate) struct AgentOptions {
    pub(crate) file: Option<PathBuf>,
    pub(crate) flags: Rules,
}

/// Runs until a signal ends it.
pub(crate) fn run(options: AgentOptions, settings: Settings) -> Result<(), Failure> {
    let signals = Signals::catch().map_err(|error| Failure::new(Status::Failed, error))?;
    signals.catch_reload().map_err(|error| Failure::new(Status::Failed, error))?;
    let metrics = Arc::new(Metrics::new());
    let state = Arc::new(State::new(metrics.clone()));
    let _server = listen(&settings.config().server, &state, &metrics)?;
    for warning in settings.warnings() {
        tracing::warn!("{warning}");
    }
    metrics.set_config(settings.config(), Ok(()));
    let watched = options.file.as_deref().map(FileState::of);
    let mut agent = Agent { options, settings, metrics, state, profiler: None, sink: None, watched };
    agent.apply()?;
    privileges::confine();
    agent.run(&signals)?;
    agent.stop()
}

/// Listens for all who may ask something of the agent.
fn listen(server: &Server, state: &Arc<State>, metrics: &Metrics) -> Result<HttpServer, Failure> {
    let access =
        Access::open(server, &metrics.access).map_err(|error| Failure::new(Status::Failed, error))?;
    let for_health = bind("server.health_listen", server.health_listen, health(state.clone()))?;
    tracing::info!(address = %for_health.1, "listening for probes and scrapers");
    let api = api(state.clone(), metrics.watches.clone(), access.gate);
    let for_all = bind("server.listen", server.listen, api)?;
    tracing::info!(address = %for_all.1, access = %Whom(server), "listening for people and tools");
    if server.insecure && server.is_exposed() && !server.is_guarded() {
        tracing::warn!(
            address = %for_all.1,
            "server.insecure is true: whoever reaches this address sees which processes run here"
        );
    }
    let for_all = for_all.0.with_certificates(access.certificates);
    let sites = [for_health.0, for_all].map(|site| site.with_metrics(metrics.access.clone()));
    HttpServer::start(sites.into()).map_err(|error| Failure::new(Status::Failed, error))
}

fn bind(key: &str, address: SocketAddr, router: Router) -> Result<(Site, SocketAddr), Failure> {
    let bound = Site::bind(address, router).and_then(|site| {
        let address = site.address()?;
        Ok((site, address))
    });
    bound.map_err(|error| {
        let message = format!("cannot listen at {address}: {error}; another address can be set as {key}");
        Failure::message(Status::Failed, message)
    })
}

struct Agent {
    options: AgentOptions,
    settings: Settings,
    metrics: Arc<Metrics>,
    state: Arc<State>,
    profiler: Option<Profiler>,
    sink: Option<FileSink>,
    watched: Option<FileState>,
}

/// The engine, and when its interval ends.
struct Profiler {
    engine: Engine,
    governor: Governor,
    options: EngineOptions,
    cpu_limit: CoreShare,
    next_flush: Instant,
}

/// Enough of a file to see that it has been replaced, a ConfigMap's swapped link included.
#[derive(Clone, PartialEq, Eq, Debug)]
struct FileState(Option<(u64, u64, i64, i64, u64)>);

impl FileState {
    fn of(path: &Path) -> Self {
        let facts =
            |file: fs::Metadata| (file.dev(), file.ino(), file.mtime(), file.mtime_nsec(), file.size());
        Self(fs::metadata(path).ok().map(facts))
    }
}

impl Agent {
    /// Makes what runs what the settings say, touching only what has to change.
    fn apply(&mut self) -> Result<(), Failure> {
        let config = self.settings.config();
        self.sink = sink(config)?;
        if !config.enabled || !config.cpu.enabled {
            tracing::info!("profiling is disabled");
            self.stop()?;
            self.state.set_disabled();
            return Ok(());
        }
        let options = self.settings.engine_options()?;
        if self.profiler.as_ref().is_some_and(|profiler| profiler.options.differ_in_targets_only(&options)) {
            return self.apply_while_running(options);
        }
        self.stop()?;
        self.log_filter();
        let engine = Engine::start(self.settings.rules.clone(), &options, self.metrics.clone())?;
        self.state.set_profiling(&engine);
        let next_flush = Instant::now() + self.settings.config().collection_interval;
        let cpu_limit = self.settings.config().limits.cpu;
        let governor = Governor::new(&options, cpu_limit, self.metrics.clone());
        self.profiler = Some(Profiler { engine, governor, options, cpu_limit, next_flush });
        Ok(())
    }

    /// What needs no restart: targets that stay what they are are not interrupted.
    fn apply_while_running(&mut self, options: EngineOptions) -> Result<(), Failure> {
        self.log_filter();
        let cpu_limit = self.settings.config().limits.cpu;
        let (rules, metrics) = (self.settings.rules.clone(), self.metrics.clone());
        let Some(profiler) = &mut self.profiler else { return Ok(()) };
        let mut profile = None;
        if profiler.options != options || profiler.cpu_limit != cpu_limit {
            // What had been lowered for the sake of the limits before is tried again.
            if profiler.engine.sample_hz() != options.rates.clock_hz {
                profile = Some(profiler.engine.set_sample_hz(options.rates.clock_hz)?);
            }
            profiler.engine.limit_targets(options.max_targets)?;
            profiler.governor = Governor::new(&options, cpu_limit, metrics);
        }
        profiler.engine.reload(rules, options.rates)?;
        (profiler.options, profiler.cpu_limit) = (options, cpu_limit);
        if let Some(profile) = profile {
            self.export(&profile);
        }
        Ok(())
    }

    fn log_filter(&self) {
        tracing::info!(summary = self.settings.rules.summary(), "initialized process filter");
    }

    fn run(&mut self, signals: &Signals) -> Result<(), Failure> {
        let mut next_housekeeping = Instant::now() + HOUSEKEEPING_INTERVAL;
        while !signals.end() {
            std::thread::sleep(TICK);
            let now = Instant::now();
            if self.profiler.as_ref().is_some_and(|profiler| profiler.next_flush <= now) {
                self.flush()?;
            }
            if now >= next_housekeeping {
                next_housekeeping = now + HOUSEKEEPING_INTERVAL;
                if let Some(profiler) = &mut self.profiler {
                    profiler.engine.follow_cpus();
                }
                self.govern()?;
                if signals.take_reload() || self.file_has_changed() {
                    self.reload()?;
                }
            }
        }
        Ok(())
    }

    /// Keeps within `limits`.
    fn govern(&mut self) -> Result<(), Failure> {
        let Some(profiler) = &mut self.profiler else { return Ok(()) };
        if let Some(sample_hz) = profiler.governor.watch(&profiler.engine)? {
            let profile = profiler.engine.set_sample_hz(sample_hz)?;
            self.export(&profile);
        }
        Ok(())
    }

    fn file_has_changed(&mut self) -> bool {
        let Some(path) = &self.options.file else { return false };
        let now = Some(FileState::of(path));
        let changed = now != self.watched;
        self.watched = now;
        changed
    }

    /// Takes over a new configuration, or keeps the one that runs if it is wrong.
    fn reload(&mut self) -> Result<(), Failure> {
        match Settings::load(self.options.file.as_deref(), &self.options.flags) {
            Ok(settings) => {
                let (old, new) = (&self.settings.config().server, &settings.config().server);
                for (key, changed) in [
                    ("server.listen", old.listen != new.listen),
                    ("server.health_listen", old.health_listen != new.health_listen),
                    ("server.token_file", old.token_file != new.token_file),
                    ("server.tls", old.tls != new.tls),
                    ("server.insecure", old.insecure != new.insecure),
                ] {
                    if changed {
                        tracing::warn!("{key} has changed; that needs a restart");
                    }
                }
                self.metrics.set_config(settings.config(), Ok(()));
                tracing::info!("the configuration has been reloaded");
                self.settings = settings;
                self.apply()
            }
            Err(failure) => {
                self.metrics.set_config(self.settings.config(), Err(()));
                tracing::error!(
                    "the new configuration is wrong, the last good one stays in force: {failure}"
                );
                Ok(())
            }
        }
    }

    /// Ends the interval and hands its profile over.
    fn flush(&mut self) -> Result<(), Failure> {
        let interval = self.settings.config().collection_interval;
        let Some(profiler) = &mut self.profiler else { return Ok(()) };
        profiler.next_flush += interval;
        // After a pause of the machine the missed intervals are not made up for.
        profiler.next_flush = profiler.next_flush.max(Instant::now());
        let profile = profiler.engine.flush()?.recv().map_err(|_| Stopped)?;
        self.export(&profile);
        Ok(())
    }

    fn export(&mut self, profile: &Profile) {
        let samples = profile.total_count();
        if samples == 0 {
            return;
        }
        let Some(sink) = &mut self.sink else {
            self.metrics.count_samples(SampleOutcome::NoSink, samples);
            return;
        };
        match sink.write(profile) {
            Ok(stored) => {
                tracing::debug!(samples, file = %stored.path.display(), bytes = stored.bytes, "wrote a profile");
                self.metrics.count_export("files", Ok(()));
                self.metrics.count_samples(SampleOutcome::Exported, samples);
            }
            Err(error) => {
                tracing::error!(%error, samples, "cannot write a profile");
                self.metrics.count_export("files", Err(()));
                self.metrics.count_samples(SampleOutcome::ExportFailed, samples);
            }
        }
    }

    /// Stops profiling; the last interval is handed over.
    fn stop(&mut self) -> Result<(), Failure> {
        let Some(profiler) = self.profiler.take() else { return Ok(()) };
        self.state.set_stopping();
        let profile = profiler.engine.stop()?;
        self.export(&profile);
        Ok(())
    }
}

fn sink(config: &Config) -> Result<Option<FileSink>, Failure> {
    let files = &config.export.files;
    let Some(directory) = &files.directory else {
        tracing::warn!("export.files.directory is not set: profiles are made, counted and thrown away");
        return Ok(None);
    };
    let limits = FileLimits { max_bytes: files.max_size_bytes, max_age: files.max_age };
    let sink = FileSink::open(directory, limits, SystemTime::now());
    sink.map(Some).map_err(|error| Failure::new(Status::Failed, error))
}
