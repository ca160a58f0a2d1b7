//! What telegen says of itself, for scrapers.

mod configuration;
mod samples;
mod selection;

use crate::access_metrics::AccessMetrics;
use crate::debug_file_metrics::DebugFileMetrics;
use crate::kubernetes_metrics::KubernetesMetrics;
use crate::limit_metrics::LimitMetrics;
use crate::process_metrics::ProcessMetrics;
use crate::unwind_metrics::UnwindMetrics;
use crate::watch_metrics::WatchMetrics;
use configuration::ConfigurationMetrics;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use samples::SampleMetrics;
pub(crate) use samples::SampleOutcome;
pub(crate) use selection::Filtered;
use selection::SelectionMetrics;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use telegen_bpf::Counters;

/// Upper bounds of the buckets of the decision latency: 50 µs to 1 s.
const LATENCY_BUCKETS: [f64; 13] =
    [50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 100e-3, 500e-3, 1.0];

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
struct ReasonLabel {
    reason: &'static str,
}

/// The metrics. Everything here may be called from any thread.
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    selection: SelectionMetrics,
    samples: SampleMetrics,
    pub(crate) decision_latency: Histogram,
    pub(crate) kernel_decisions: Counter,
    map_bytes: Gauge,
    cache_bytes: Family<CacheLabel, Gauge>,
    exports: Family<SinkLabels, Counter>,
    events_lost: Counter,
    processes_refused: Counter,
    pub(crate) repaired: Counter,
    pub(crate) leftovers: Counter,
    symbol_failures: Family<ReasonLabel, Counter>,
    pub(crate) stale_decisions: Counter,
    unopened_files: Counter,
    pub(crate) debug_files: DebugFileMetrics,
    pub(crate) unwind: UnwindMetrics,
    pub(crate) limits: LimitMetrics,
    pub(crate) kubernetes: KubernetesMetrics,
    pub(crate) watches: WatchMetrics,
    pub(crate) access: AccessMetrics,
    configuration: ConfigurationMetrics,
    process: ProcessMetrics,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::default()),
            selection: SelectionMetrics::default(),
            samples: SampleMetrics::default(),
            decision_latency: Histogram::new(LATENCY_BUCKETS),
            kernel_decisions: Counter::default(),
            map_bytes: Gauge::default(),
            cache_bytes: Family::default(),
            exports: Family::default(),
            events_lost: Counter::default(),
            processes_refused: Counter::default(),
            repaired: Counter::default(),
            leftovers: Counter::default(),
            symbol_failures: Family::default(),
            stale_decisions: Counter::default(),
            unopened_files: Counter::default(),
            debug_files: DebugFileMetrics::default(),
            unwind: UnwindMetrics::default(),
            limits: LimitMetrics::default(),
            kubernetes: KubernetesMetrics::default(),
            watches: WatchMetrics::default(),
            access: AccessMetrics::default(),
            configuration: ConfigurationMetrics::default(),
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
        self.touch_selection();
        self.touch_samples();
        self.configuration.touch();
        for outcome in ["success", "failure"] {
            drop(self.exports.get_or_create(&SinkLabels { sink: "files", outcome }));
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
        self.selection.register(profiler);
        self.samples.register(profiler);
        profiler.register_with_unit(
            "decision_latency",
            "Time from a fork or exec to the decision in the kernel's table, where user space decided",
            Unit::Seconds,
            self.decision_latency.clone(),
        );
        profiler.register(
            "kernel_decisions",
            "Forks and execs that the kernel side decided by itself, before the process ran",
            self.kernel_decisions.clone(),
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
            "process_entries_left_over",
            "Entries of the kernel's table deleted by a repair scan, long after their processes had gone",
            self.leftovers.clone(),
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
        self.configuration.register(profiler);
        profiler.register(
            "mapped_files_unopened",
            "Mapped files that could not be opened, and hence have no symbols",
            self.unopened_files.clone(),
        );
    }

    /// Takes over what the kernel side has counted.
    pub(crate) fn set_kernel(&self, counters: &Counters, map_bytes: u64) {
        set(&self.samples.rejected, counters.rejected);
        set(&self.samples.undecided, counters.undecided);
        set(&self.events_lost, counters.events_lost);
        set(&self.processes_refused, counters.processes_refused);
        set(&self.sample(SampleOutcome::RingFull), counters.ring_full);
        set(&self.sample(SampleOutcome::Exiting), counters.exiting);
        self.map_bytes.set(map_bytes as i64);
    }

    /// Takes over the size of a cache.
    pub(crate) fn set_cache_bytes(&self, cache: &'static str, bytes: usize) {
        self.cache_bytes.get_or_create(&CacheLabel { cache }).set(bytes as i64);
    }

    /// Takes over how often symbols could not be read, and why.
    pub(crate) fn set_symbol_failures(&self, reason: &'static str, count: u64) {
        set(&self.symbol_failures.get_or_create(&ReasonLabel { reason }), count);
    }

    /// Takes over how many mapped files could not be opened.
    pub(crate) fn set_unopened_files(&self, count: u64) {
        set(&self.unopened_files, count);
    }

    /// Counts a profile handed over to a sink, or not.
    pub(crate) fn count_export(&self, sink: &'static str, result: Result<(), ()>) {
        let outcome = if result.is_ok() { "success" } else { "failure" };
        self.exports.get_or_create(&SinkLabels { sink, outcome }).inc();
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
            "telegen_profiler_kernel_decisions_total 0",
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
