//! What telegen says of itself, for scrapers.

use crate::access_metrics::AccessMetrics;
use crate::debug_file_metrics::DebugFileMetrics;
use crate::kubernetes_metrics::KubernetesMetrics;
use crate::limit_metrics::LimitMetrics;
use crate::output::shown;
use crate::process_metrics::ProcessMetrics;
use crate::unwind_metrics::UnwindMetrics;
use crate::watch_metrics::WatchMetrics;
use foldhash::fast::FixedState;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use std::hash::BuildHasher;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use telegen_bpf::Counters;
use telegen_config::Config;
use telegen_model::ProfileKind;

/// Upper bounds of the buckets of the decision latency: 50 µs to 1 s.
const LATENCY_BUCKETS: [f64; 13] =
    [50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 100e-3, 500e-3, 1.0];

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct FilterLabel {
    filter: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct TypeLabel {
    r#type: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct SampleLabels {
    r#type: &'static str,
    outcome: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct SinkLabels {
    sink: &'static str,
    outcome: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct CacheLabel {
    cache: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct TargetLabel {
    target: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct HashLabel {
    hash: String,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

/// What became of a sample.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum SampleOutcome {
    /// It is in a profile that was handed over.
    Exported,
    /// It was in a profile that could not be handed over.
    ExportFailed,
    /// Its ring was full.
    RingFull,
    /// Its process was past its last thread's exit.
    Exiting,
    /// Its process could no longer be looked at when it was drained.
    UnknownProcess,
    /// The table of stacks was full.
    StackTableFull,
    /// Nothing is configured to take profiles.
    NoSink,
}

impl SampleOutcome {
    const ALL: [Self; 7] = [
        Self::Exported,
        Self::ExportFailed,
        Self::RingFull,
        Self::Exiting,
        Self::UnknownProcess,
        Self::StackTableFull,
        Self::NoSink,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Exported => "exported",
            Self::ExportFailed => "export_failed",
            Self::RingFull => "ring_full",
            Self::Exiting => "exiting",
            Self::UnknownProcess => "unknown_process",
            Self::StackTableFull => "stack_table_full",
            Self::NoSink => "no_sink",
        }
    }
}

/// The metrics. Everything here may be called from any thread.
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    scanned: Family<FilterLabel, Gauge>,
    matched: Family<FilterLabel, Gauge>,
    targets: Family<TargetLabel, Gauge>,
    cache_hits: Family<TypeLabel, Counter>,
    cache_misses: Family<TypeLabel, Counter>,
    samples: Family<SampleLabels, Counter>,
    rejected: Counter,
    undecided: Counter,
    undelivered: Gauge,
    pub(crate) decision_latency: Histogram,
    map_bytes: Gauge,
    cache_bytes: Family<CacheLabel, Gauge>,
    exports: Family<SinkLabels, Counter>,
    events_lost: Counter,
    processes_refused: Counter,
    pub(crate) repaired: Counter,
    stacks_flawed: Family<ReasonLabel, Counter>,
    symbol_failures: Family<ReasonLabel, Counter>,
    pub(crate) stale_decisions: Counter,
    targets_refused: Counter,
    unopened_files: Counter,
    pub(crate) debug_files: DebugFileMetrics,
    pub(crate) unwind: UnwindMetrics,
    pub(crate) limits: LimitMetrics,
    pub(crate) kubernetes: KubernetesMetrics,
    pub(crate) watches: WatchMetrics,
    pub(crate) access: AccessMetrics,
    reloads: Family<OutcomeLabel, Counter>,
    last_reload_successful: Gauge,
    config_info: Family<HashLabel, Gauge>,
    process: ProcessMetrics,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::default()),
            scanned: Family::default(),
            matched: Family::default(),
            targets: Family::default(),
            cache_hits: Family::default(),
            cache_misses: Family::default(),
            samples: Family::default(),
            rejected: Counter::default(),
            undecided: Counter::default(),
            undelivered: Gauge::default(),
            decision_latency: Histogram::new(LATENCY_BUCKETS),
            map_bytes: Gauge::default(),
            cache_bytes: Family::default(),
            exports: Family::default(),
            events_lost: Counter::default(),
            processes_refused: Counter::default(),
            repaired: Counter::default(),
            stacks_flawed: Family::default(),
            symbol_failures: Family::default(),
            stale_decisions: Counter::default(),
            targets_refused: Counter::default(),
            unopened_files: Counter::default(),
            debug_files: DebugFileMetrics::default(),
            unwind: UnwindMetrics::default(),
            limits: LimitMetrics::default(),
            kubernetes: KubernetesMetrics::default(),
            watches: WatchMetrics::default(),
            access: AccessMetrics::default(),
            reloads: Family::default(),
            last_reload_successful: Gauge::default(),
            config_info: Family::default(),
            process: ProcessMetrics::default(),
        };
        let mut registry = Registry::default();
        metrics.touch_all();
        metrics.register(&mut registry);
        metrics.process.register(&mut registry);
        Self { registry: Mutex::new(registry), ..metrics }
    }

    /// Makes every promised series exist, at 0, from the start: a query for one that does not exist finds nothing.
    fn touch_all(&self) {
        self.set_selection(Filtered::Yes, 0, 0);
        self.set_selection(Filtered::No, 0, 0);
        self.set_targets([("default".into(), 0)]);
        for r#type in ["process", "container"] {
            drop(self.cache_hits.get_or_create(&TypeLabel { r#type }));
            drop(self.cache_misses.get_or_create(&TypeLabel { r#type }));
        }
        for outcome in SampleOutcome::ALL {
            self.sample(outcome);
        }
        for outcome in ["success", "failure"] {
            drop(self.exports.get_or_create(&SinkLabels { sink: "files", outcome }));
            drop(self.reloads.get_or_create(&OutcomeLabel { outcome }));
        }
        for cache in ["stacks", "symbols", "kernel_symbols"] {
            self.set_cache_bytes(cache, 0);
        }
    }

    fn register(&self, registry: &mut Registry) {
        registry.register(
            "telegen_build",
            "The version that runs",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        let profiler = registry.sub_registry_with_prefix("telegen_profiler");
        profiler.register(
            "processes_scanned",
            "Live processes that rules are applied to",
            self.scanned.clone(),
        );
        profiler.register("processes_matched", "Processes that are profiled", self.matched.clone());
        profiler.register("targets", "Processes that are profiled, by target", self.targets.clone());
        profiler.register(
            "filter_cache_hits",
            "Decisions that were answered from the table of decisions",
            self.cache_hits.clone(),
        );
        profiler.register(
            "filter_cache_misses",
            "Decisions that had to be made from a process's facts",
            self.cache_misses.clone(),
        );
        profiler.register("samples", "Samples of targets, by what became of them", self.samples.clone());
        profiler.register(
            "samples_rejected",
            "Ticks on processes that are not targets",
            self.rejected.clone(),
        );
        profiler.register(
            "samples_undecided",
            "Ticks on processes before it was known whether they are targets",
            self.undecided.clone(),
        );
        profiler.register(
            "samples_undelivered_estimate",
            "Ticks that were due, from the time that CPUs were busy, and never came; 0 below 2 % of them",
            self.undelivered.clone(),
        );
        profiler.register_with_unit(
            "decision_latency",
            "Time from a fork or exec to the decision in the kernel's table",
            Unit::Seconds,
            self.decision_latency.clone(),
        );
        profiler.register_with_unit(
            "bpf_map",
            "Memory that BPF maps hold",
            Unit::Bytes,
            self.map_bytes.clone(),
        );
        profiler.register_with_unit(
            "cache",
            "Memory that caches hold",
            Unit::Bytes,
            self.cache_bytes.clone(),
        );
        profiler.register(
            "exports",
            "Profiles handed over, by where to and how it went",
            self.exports.clone(),
        );
        profiler.register(
            "lifecycle_events_lost",
            "Forks, execs and exits that found no room on the way to user space",
            self.events_lost.clone(),
        );
        profiler.register(
            "processes_refused",
            "Processes that found no room in the kernel's table",
            self.processes_refused.clone(),
        );
        profiler.register(
            "processes_repaired",
            "Processes that only a repair scan has found or found gone",
            self.repaired.clone(),
        );
        profiler.register(
            "stacks_incomplete",
            "Samples whose stack ends early, by reason",
            self.stacks_flawed.clone(),
        );
        profiler.register(
            "symbol_failures",
            "Files whose symbols could not be read in full, by reason",
            self.symbol_failures.clone(),
        );
        profiler.register(
            "decisions_stale",
            "Decisions that came too late: the process was gone or ran another program",
            self.stale_decisions.clone(),
        );
        self.debug_files.register(profiler);
        self.unwind.register(profiler);
        self.limits.register(profiler);
        self.kubernetes.register(profiler);
        self.watches.register(profiler);
        self.access.register(profiler);
        profiler.register("config_reloads", "Configurations read, by how it went", self.reloads.clone());
        profiler.register(
            "config_last_reload_successful",
            "Whether the last configuration read is the one in force",
            self.last_reload_successful.clone(),
        );
        profiler.register("config_info", "The configuration in force", self.config_info.clone());
        profiler.register(
            "targets_refused",
            "Processes that match but were refused because limits.max_targets was reached",
            self.targets_refused.clone(),
        );
        profiler.register(
            "mapped_files_unopened",
            "Mapped files that could not be opened, and hence have no symbols",
            self.unopened_files.clone(),
        );
    }

    /// Takes over what the kernel side has counted.
    pub(crate) fn set_kernel(&self, counters: &Counters, map_bytes: u64) {
        set(&self.rejected, counters.rejected);
        set(&self.undecided, counters.undecided);
        set(&self.events_lost, counters.events_lost);
        set(&self.processes_refused, counters.processes_refused);
        set(&self.sample(SampleOutcome::RingFull), counters.ring_full);
        set(&self.sample(SampleOutcome::Exiting), counters.exiting);
        self.map_bytes.set(map_bytes as i64);
    }

    /// Takes over how many ticks were due and have not come.
    pub(crate) fn set_undelivered(&self, count: u64) {
        self.undelivered.set(count as i64);
    }

    /// Takes over how many processes there are, and how many of them are profiled.
    pub(crate) fn set_selection(&self, filtered: Filtered, scanned: usize, matched: usize) {
        let label = FilterLabel { filter: filtered.name() };
        self.scanned.get_or_create(&label).set(scanned as i64);
        self.matched.get_or_create(&label).set(matched as i64);
    }

    /// Takes over how many processes each target has. Targets that are no more are not shown any more.
    pub(crate) fn set_targets(&self, counts: impl IntoIterator<Item = (Arc<str>, usize)>) {
        self.targets.clear();
        for (target, count) in counts {
            let label = TargetLabel { target: shown(&target) };
            self.targets.get_or_create(&label).set(count as i64);
        }
    }

    /// Takes over how often a decision was at hand, and how often it had to be made.
    pub(crate) fn set_filter_cache(&self, hits: u64, misses: u64) {
        set(&self.cache_hits.get_or_create(&TypeLabel { r#type: "process" }), hits);
        set(&self.cache_misses.get_or_create(&TypeLabel { r#type: "process" }), misses);
    }

    /// Takes over the size of a cache.
    pub(crate) fn set_cache_bytes(&self, cache: &'static str, bytes: usize) {
        self.cache_bytes.get_or_create(&CacheLabel { cache }).set(bytes as i64);
    }

    /// Takes over how often symbols could not be read, and why.
    pub(crate) fn set_symbol_failures(&self, reason: &'static str, count: u64) {
        set(&self.symbol_failures.get_or_create(&ReasonLabel { reason }), count);
    }

    /// Takes over how many targets were refused because there were too many.
    pub(crate) fn set_targets_refused(&self, count: u64) {
        set(&self.targets_refused, count);
    }

    /// Takes over how many mapped files could not be opened.
    pub(crate) fn set_unopened_files(&self, count: u64) {
        set(&self.unopened_files, count);
    }

    /// Takes over a count of samples that is kept elsewhere.
    pub(crate) fn set_samples(&self, outcome: SampleOutcome, count: u64) {
        set(&self.sample(outcome), count);
    }

    /// Counts samples whose stack ends early.
    pub(crate) fn count_flawed_stacks(&self, reason: &'static str, count: u64) {
        self.stacks_flawed.get_or_create(&ReasonLabel { reason }).inc_by(count);
    }

    /// Counts samples by what became of them.
    pub(crate) fn count_samples(&self, outcome: SampleOutcome, count: u64) {
        self.sample(outcome).inc_by(count);
    }

    /// Samples that were taken but did not get into a profile.
    pub(crate) fn lost_in_user_space(&self) -> u64 {
        self.sample(SampleOutcome::UnknownProcess).get() + self.sample(SampleOutcome::StackTableFull).get()
    }

    /// Takes over which configuration is in force, and counts how its loading went.
    pub(crate) fn set_config(&self, config: &Config, result: Result<(), ()>) {
        let outcome = if result.is_ok() { "success" } else { "failure" };
        self.reloads.get_or_create(&OutcomeLabel { outcome }).inc();
        self.last_reload_successful.set(i64::from(result.is_ok()));
        let hash = FixedState::default().hash_one(config.show());
        self.config_info.clear();
        self.config_info.get_or_create(&HashLabel { hash: format!("{hash:016x}") }).set(1);
    }

    /// Counts a profile handed over to a sink, or not.
    pub(crate) fn count_export(&self, sink: &'static str, result: Result<(), ()>) {
        let outcome = if result.is_ok() { "success" } else { "failure" };
        self.exports.get_or_create(&SinkLabels { sink, outcome }).inc();
    }

    fn sample(&self, outcome: SampleOutcome) -> Counter {
        let r#type = kind_name(ProfileKind::Cpu);
        self.samples.get_or_create(&SampleLabels { r#type, outcome: outcome.name() }).clone()
    }

    /// All metrics in the OpenMetrics text format.
    pub(crate) fn render(&self) -> String {
        self.process.read();
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Writing to a string does not fail.
        let _ = encode(&mut text, &registry);
        text
    }
}

/// Whether any rule narrows the selection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Filtered {
    Yes,
    No,
}

impl Filtered {
    fn name(self) -> &'static str {
        match self {
            Self::Yes => "enabled",
            Self::No => "disabled",
        }
    }
}

fn kind_name(kind: ProfileKind) -> &'static str {
    match kind {
        ProfileKind::Cpu => "cpu",
        _ => "other",
    }
}

/// Takes over a count that is kept elsewhere.
pub(crate) fn set(counter: &Counter, value: u64) {
    counter.inner().store(value, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_promised_names_are_there() {
        let metrics = Metrics::new();
        let counters = Counters { rejected: 7, undecided: 3, ring_full: 2, ..Counters::default() };
        metrics.set_kernel(&counters, 4096);
        metrics.set_selection(Filtered::Yes, 243, 12);
        metrics.set_targets([("default".into(), 12), ("pay\"ments".into(), 3)]);
        metrics.set_filter_cache(5, 6);
        metrics.set_cache_bytes("symbols", 99);
        metrics.count_samples(SampleOutcome::Exported, 11);
        metrics.count_export("files", Ok(()));
        metrics.decision_latency.observe(0.0003);
        let text = metrics.render();
        for line in [
            "telegen_build_info{version=",
            "telegen_profiler_processes_scanned{filter=\"enabled\"} 243",
            "telegen_profiler_processes_matched{filter=\"enabled\"} 12",
            "telegen_profiler_filter_cache_hits_total{type=\"process\"} 5",
            "telegen_profiler_filter_cache_misses_total{type=\"process\"} 6",
            "telegen_profiler_samples_total{type=\"cpu\",outcome=\"exported\"} 11",
            "telegen_profiler_samples_total{type=\"cpu\",outcome=\"ring_full\"} 2",
            "telegen_profiler_samples_rejected_total 7",
            "telegen_profiler_samples_undecided_total 3",
            "telegen_profiler_decision_latency_seconds_count 1",
            "telegen_profiler_targets{target=\"default\"} 12",
            "telegen_profiler_targets{target=\"pay\\\"ments\"} 3",
            "telegen_profiler_bpf_map_bytes 4096",
            "telegen_profiler_cache_bytes{cache=\"symbols\"} 99",
            "telegen_profiler_exports_total{sink=\"files\",outcome=\"success\"} 1",
            "telegen_profiler_http_requests_rejected_total{reason=\"client_certificate\"} 0",
            "process_cpu_seconds_total ",
            "process_resident_memory_bytes ",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
