//! Separate debug files, in figures.

use crate::metrics::set;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use telegen_debuginfod::DebugInfod;
use telegen_symbolize::DebugOutcome;

/// Gauges and counters of separate debug files.
#[derive(Clone, Debug, Default)]
pub(crate) struct DebugFileMetrics {
    open: Gauge,
    outcomes: Family<Outcome, Counter>,
    requests: Family<Outcome, Counter>,
    hits: Counter,
    received_bytes: Counter,
    dropped: Counter,
    held_bytes: Gauge,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

impl DebugFileMetrics {
    pub(crate) fn register(&self, profiler: &mut Registry) {
        profiler.register("debug_files_open", "Separate debug files that are open", self.open.clone());
        profiler.register(
            "debug_files",
            "Files that were looked at as the separate debug file of a binary, by what came of it",
            self.outcomes.clone(),
        );
        profiler.register(
            "debuginfod_requests",
            "Requests for a debug file to one debuginfod server, by what came of it",
            self.requests.clone(),
        );
        profiler.register(
            "debuginfod_hits",
            "Debug files of debuginfod servers that were kept when they were asked for",
            self.hits.clone(),
        );
        profiler.register(
            "debuginfod_received_bytes",
            "Bytes that debuginfod servers have sent",
            self.received_bytes.clone(),
        );
        profiler.register(
            "debuginfod_dropped",
            "Debug files that were not asked for because too many others were waited for",
            self.dropped.clone(),
        );
        profiler.register(
            "debuginfod_cache_bytes",
            "Bytes of debug files that are kept of debuginfod servers",
            self.held_bytes.clone(),
        );
        for outcome in telegen_debuginfod::Outcome::ALL {
            set(&self.requests.get_or_create(&Outcome { outcome: outcome.name() }), 0);
        }
        for outcome in DebugOutcome::ALL {
            self.set_outcome(outcome.name(), 0);
        }
    }

    /// Takes over how many are open.
    pub(crate) fn set_open(&self, count: usize) {
        self.open.set(count as i64);
    }

    /// Takes over what came of asking servers.
    pub(crate) fn set_server(&self, debuginfod: &DebugInfod) {
        let figures = debuginfod.figures();
        for outcome in telegen_debuginfod::Outcome::ALL {
            let counter = self.requests.get_or_create(&Outcome { outcome: outcome.name() });
            set(&counter, figures.outcome(outcome));
        }
        set(&self.hits, figures.hits());
        set(&self.received_bytes, figures.received_bytes());
        set(&self.dropped, figures.dropped());
        self.held_bytes.set(i64::try_from(debuginfod.held_bytes()).unwrap_or(i64::MAX));
    }

    /// Takes over how many files had an outcome.
    pub(crate) fn set_outcome(&self, outcome: &'static str, count: u64) {
        set(&self.outcomes.get_or_create(&Outcome { outcome }), count);
    }
}
