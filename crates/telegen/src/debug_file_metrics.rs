//! Separate debug files, in figures.

use crate::metrics::set;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use telegen_symbolize::DebugOutcome;

/// Gauges and counters of separate debug files.
#[derive(Clone, Debug, Default)]
pub(crate) struct DebugFileMetrics {
    open: Gauge,
    outcomes: Family<Outcome, Counter>,
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
        for outcome in DebugOutcome::ALL {
            self.set_outcome(outcome.name(), 0);
        }
    }

    /// Takes over how many are open.
    pub(crate) fn set_open(&self, count: usize) {
        self.open.set(count as i64);
    }

    /// Takes over how many files had an outcome.
    pub(crate) fn set_outcome(&self, outcome: &'static str, count: u64) {
        set(&self.outcomes.get_or_create(&Outcome { outcome }), count);
    }
}
