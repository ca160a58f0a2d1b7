//! The running profiler, which `record` and `agent` share: kernel side, selection, draining, symbols.
//!
//! ```text
//! kernel ─events─► tg-lifecycle ─starts, ends, flushes─► tg-drain ─intervals─► tg-symbolize ─profiles─► caller
//!   ▲    ─samples──────────────────────────────────────────┘
//!   └─tables, mappings── tg-unwind ◄─mappings─ tg-drain;  tg-unwind ─binaries─► tg-tables ─tables─► tg-unwind
//! ```

mod audience;
mod drain;
mod kernel_policy;
mod lifecycle;
mod memory_shares;
mod observation;
mod selection_reader;
mod selection_watch;
mod symbolize;
mod undelivered;
mod unwind;
pub(crate) mod waker;
mod watchers;

use crate::metrics::{Filtered, Metrics, SampleOutcome};
use crate::pods::{Kubernetes, PodsView, Prepared};
use audience::Audience;
use drain::Drain;
pub(crate) use lifecycle::Command;
use lifecycle::Lifecycle;
use memory_shares::MemoryShares;
#[cfg(test)]
pub(crate) use selection_reader::test_reader;
pub(crate) use selection_reader::{SelectionReader, Unanswered};
pub(crate) use selection_watch::SelectionWatch;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant, SystemTime};
use symbolize::Symbolize;
use telegen_bpf::{Clock, Counters, Kernel, Shared};
use telegen_collect::SampleLabels;
use telegen_model::{ProcessId, Profile};
use telegen_rules::RuleSet;
use telegen_select::{Rates, Selection};
use undelivered::DueTicks;
use unwind::{Unwind, UnwindFigures};
use watchers::Watchers;
pub(crate) use watchers::{Change, ChangeKind, Changes};

/// How long the clocks wait for the unwind tables of the processes that are targets from the start.
const MAX_SETTLING: Duration = Duration::from_millis(500);

/// How the profiler shall run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct EngineOptions {
    pub(crate) clock: Clock,
    /// How often targets are sampled, and the clock ticks.
    pub(crate) rates: Rates,
    pub(crate) max_user_frames: u32,
    pub(crate) kernel_stacks: bool,
    pub(crate) max_targets: usize,
    /// What everything together may take, in bytes.
    pub(crate) memory_bytes: u64,
    /// Beside what is known of the process of a sample.
    pub(crate) labels: SampleLabels,
    /// Who is asked for pods, if anybody is.
    pub(crate) kubernetes: Option<telegen_k8s::Options>,
    /// Which debuginfod servers are asked, if any are.
    pub(crate) debuginfod: Option<telegen_debuginfod::Options>,
}

impl EngineOptions {
    /// Whether a running engine can take these over: they have the same but for what targets there may be, and how often they are
    /// sampled.
    pub(crate) fn differ_in_targets_only(&self, other: &Self) -> bool {
        let (rates, max_targets) = (other.rates, other.max_targets);
        Self { rates, max_targets, ..self.clone() } == *other
    }
}

/// The running profiler. Dropping it without [`Engine::stop`] loses what was not flushed.
pub(crate) struct Engine {
    kernel: Kernel,
    kernel_options: telegen_bpf::Options,
    lifecycle: Lifecycle,
    drain: Drain,
    symbolize: Symbolize,
    unwind: Unwind,
    metrics: Arc<Metrics>,
    due: Option<DueTicks>,
    kubernetes: Option<Kubernetes>,
}

/// Something between the caller and a profile has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the profiler's threads have stopped; the log says why")]
pub(crate) struct Stopped;

impl Engine {
    /// Loads the kernel side, decides on all processes and starts the clocks. When this returns, sampling runs.
    pub(crate) fn start(
        rules: RuleSet,
        options: &EngineOptions,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let kernel_options = telegen_bpf::Options {
            clock: options.clock,
            sample_hz: options.rates.clock_hz,
            max_user_frames: options.max_user_frames,
            kernel_stacks: options.kernel_stacks,
        };
        let mut kernel = Kernel::load(&kernel_options)?;
        kernel.watch_processes()?;
        if let Err(error) = kernel.watch_areas() {
            tracing::warn!(
                %error,
                "code that takes the place of other code is noticed late: stacks may be unwound and named by what was there before"
            );
        }
        let rings = kernel.sample_rings()?;
        let shares = MemoryShares::of(options.memory_bytes);
        let unwind = Unwind::start(kernel.unwind_maps()?, shares.tables)?;
        let drain = Drain::start(
            rings,
            kernel.remap_counts()?,
            period_ns(options.rates.clock_hz),
            unwind.sender.clone(),
        )?;
        let symbolize = Symbolize::start(
            options.labels.clone(),
            shares.symbols,
            options.debuginfod.as_ref(),
            metrics.clone(),
        )?;
        let (ready, first) = sync_channel(1);
        let (pods, prepared) = Prepared::of(options.kubernetes.clone());
        let parts = lifecycle::Parts {
            rules,
            rates: options.rates,
            max_targets: options.max_targets,
            audience: Audience {
                sampler: Some(drain.sender.clone()),
                watchers: Watchers::new(metrics.watches.dropped.clone()),
            },
            pods,
            metrics: metrics.clone(),
            ready: Box::new(move |summary| {
                // Whoever asked may have given up.
                let _ = ready.send(summary);
            }),
        };
        let lifecycle = Lifecycle::start(&kernel, parts)?;
        first.recv().map_err(|_| Stopped)?;
        let kubernetes = prepared.map(|prepared| prepared.start(lifecycle.sender.clone())).transpose()?;
        let (answer, settled) = sync_channel(1);
        drain.sender.send(drain::Message::Settle(answer)).map_err(|_| Stopped)?;
        // Tables that take longer come later, and stacks say so until then.
        let _ = settled.recv_timeout(MAX_SETTLING);
        // What preparing took is not part of what is recorded.
        drain.sender.send(drain::Message::Begin(now())).map_err(|_| Stopped)?;
        let due = DueTicks::from_now(options.rates.clock_hz, &kernel.shared().counters());
        kernel.follow_cpus()?;
        Ok(Self { kernel, kernel_options, lifecycle, drain, symbolize, unwind, metrics, due, kubernetes })
    }

    /// Kubernetes, if it is asked.
    pub(crate) fn kubernetes(&self) -> Option<&Kubernetes> {
        self.kubernetes.as_ref()
    }

    /// A view of the selection.
    pub(crate) fn selection(&self) -> &Selection {
        &self.lifecycle.selection
    }

    /// What the kernel has counted so far.
    pub(crate) fn counters(&self) -> Counters {
        self.kernel.shared().counters()
    }

    /// About how many ticks the kernel has never delivered.
    pub(crate) fn undelivered(&self) -> u64 {
        self.due.map_or(0, |due| due.missing(&self.counters()))
    }

    /// Starts the clocks of CPUs that have come; to be called now and then.
    pub(crate) fn follow_cpus(&mut self) {
        match self.kernel.follow_cpus() {
            Ok((0, 0)) => {}
            Ok((come, gone)) => tracing::info!(come, gone, "CPUs have changed"),
            Err(error) => tracing::warn!(%error, "cannot follow CPUs"),
        }
    }

    /// A process and its descendants are profiled whatever the rules say. False if it is not known.
    pub(crate) fn follow(&self, id: ProcessId) -> Result<bool, Stopped> {
        let (answer, answered) = sync_channel(1);
        self.lifecycle.sender.send(Command::Follow(id, answer)).map_err(|_| Stopped)?;
        answered.recv().map_err(|_| Stopped)
    }

    /// Other rules, and other sample rates of targets, from now on.
    pub(crate) fn reload(&self, rules: RuleSet, rates: Rates) -> Result<(), Stopped> {
        self.lifecycle.sender.send(Command::Reload(Box::new(rules), rates)).map_err(|_| Stopped)
    }

    /// Bytes that the kernel holds for maps, tables included.
    pub(crate) fn map_bytes(&self) -> u64 {
        self.kernel.map_bytes() + self.unwind.figures.table_bytes()
    }

    /// Forgets what can be read or made again.
    pub(crate) fn drop_caches(&self) -> Result<(), Stopped> {
        self.unwind.sender.send(unwind::Message::DropUnused).map_err(|_| Stopped)?;
        self.symbolize.trim()
    }

    /// So many targets at the most from now on.
    pub(crate) fn limit_targets(&self, most: usize) -> Result<(), Stopped> {
        self.lifecycle.sender.send(Command::LimitTargets(most)).map_err(|_| Stopped)
    }

    /// Ticks per second of each busy CPU.
    pub(crate) fn sample_hz(&self) -> u32 {
        self.kernel_options.sample_hz
    }

    /// Samples at another rate. The interval ends, since all ticks of one stand for the same time; its profile is
    /// answered.
    pub(crate) fn set_sample_hz(&mut self, sample_hz: u32) -> anyhow::Result<Profile> {
        self.kernel_options.sample_hz = sample_hz;
        self.kernel.stop_clocks(&self.kernel_options);
        let profile = self.flush()?.recv().map_err(|_| Stopped)?;
        let period_ns = period_ns(sample_hz);
        self.drain.sender.send(drain::Message::SetPeriod(period_ns)).map_err(|_| Stopped)?;
        let counters = self.counters();
        self.due = self.due.and_then(|due| due.at_rate(sample_hz, &counters));
        self.drain.sender.send(drain::Message::Begin(now())).map_err(|_| Stopped)?;
        self.kernel.follow_cpus()?;
        Ok(profile)
    }

    /// Ends the interval: everything until now is in the profile that comes, everything later in the next one.
    pub(crate) fn flush(&self) -> Result<Receiver<Profile>, Stopped> {
        let (to, from) = sync_channel(1);
        self.lifecycle.sender.send(Command::Flush(to)).map_err(|_| Stopped)?;
        let interval = from.recv().map_err(|_| Stopped)?;
        self.symbolize.assemble(interval)
    }

    /// Stops the clocks; what was sampled until now is in the profile.
    pub(crate) fn stop(mut self) -> Result<Profile, Stopped> {
        self.kernel.stop_clocks(&self.kernel_options);
        let profile = self.flush()?.recv().map_err(|_| Stopped)?;
        self.observe().refresh();
        let Self { lifecycle, drain, symbolize, unwind, kernel, kubernetes, .. } = self;
        // It holds a sender to the thread that is joined next.
        drop(kubernetes);
        lifecycle.join();
        drain.join();
        unwind.join();
        symbolize.join();
        drop(kernel);
        Ok(profile)
    }

    /// The metrics that this engine counts in.
    pub(crate) fn metrics(&self) -> Arc<Metrics> {
        self.metrics.clone()
    }

    /// What tells of the selection, from any thread. The engine does not stop before all of these are gone.
    pub(crate) fn reader(&self) -> SelectionReader {
        let Lifecycle { sender, selection, kernel_threads, .. } = &self.lifecycle;
        SelectionReader::new(selection.clone(), kernel_threads.clone(), sender.clone())
    }

    /// What brings the metrics up to date, from any thread.
    pub(crate) fn observe(&self) -> Observer {
        Observer {
            shared: self.kernel.shared().clone(),
            map_bytes: self.kernel.map_bytes(),
            selection: self.lifecycle.selection.clone(),
            kernel_threads: self.lifecycle.kernel_threads.clone(),
            figures: self.drain.figures.clone(),
            unwinding: self.unwind.figures.clone(),
            due: self.due,
            pods: self.kubernetes.as_ref().map(Kubernetes::view),
            metrics: self.metrics.clone(),
        }
    }
}

/// This moment, by the clock that people read and by the one that measures.
fn now() -> (SystemTime, Instant) {
    (SystemTime::now(), Instant::now())
}

/// CLOCK_MONOTONIC, which the kernel side tells times by.
fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// The time between two ticks of a CPU.
fn period_ns(sample_hz: u32) -> u64 {
    1_000_000_000 / u64::from(sample_hz.max(1))
}

/// Brings the metrics up to date.
#[derive(Clone)]
pub(crate) struct Observer {
    shared: Shared,
    map_bytes: u64,
    selection: Selection,
    kernel_threads: Arc<AtomicUsize>,
    figures: Arc<drain::DrainFigures>,
    unwinding: Arc<UnwindFigures>,
    due: Option<DueTicks>,
    pods: Option<PodsView>,
    metrics: Arc<Metrics>,
}

impl Observer {
    /// What has to come yet before decisions are what the rules say.
    pub(crate) fn awaited(&self) -> Option<String> {
        let pods = self.pods.as_ref().filter(|_| self.selection.rules().needs_pod())?;
        pods.missing()
    }

    /// Takes over all figures as they stand now.
    pub(crate) fn refresh(&self) {
        let metrics = &self.metrics;
        let counters = self.shared.counters();
        metrics.set_undelivered(self.due.map_or(0, |due| due.missing(&counters)));
        metrics.set_kernel(&counters, self.map_bytes + self.unwinding.table_bytes());
        if let Some(pods) = &self.pods {
            metrics.kubernetes.set(&pods.figures);
        }
        metrics.unwind.set(self.unwinding.state());
        let (processes, matched) = self.selection.counts();
        let filtered = if self.selection.rules().has_filters() { Filtered::Yes } else { Filtered::No };
        let scanned = processes + self.kernel_threads.load(Ordering::Relaxed);
        metrics.set_selection(filtered, scanned, matched);
        metrics.set_targets(self.selection.counts_by_target());
        let (hits, misses) = self.selection.cache_figures();
        metrics.set_filter_cache(hits, misses);
        metrics.set_targets_refused(self.selection.refused());
        metrics.set_cache_bytes("stacks", self.figures.bytes.load(Ordering::Relaxed));
        metrics
            .set_samples(SampleOutcome::UnknownProcess, self.figures.unknown_process.load(Ordering::Relaxed));
        metrics.set_samples(
            SampleOutcome::StackTableFull,
            self.figures.stack_table_full.load(Ordering::Relaxed),
        );
        metrics.set_unopened_files(self.figures.unopened_files.load(Ordering::Relaxed));
    }
}

/// How long `map_bytes` and hotplug may be behind.
pub(crate) const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(1);
