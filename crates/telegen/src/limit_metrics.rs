//! What the agent may take, what it takes, and what it does to stay within.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Gauges and counters of the governor.
#[derive(Clone, Debug, Default)]
pub(crate) struct LimitMetrics {
    memory_limit: Gauge,
    memory_used: Gauge,
    pub(crate) caches_dropped: Counter,
    targets_allowed: Gauge,
    sample_hz: Gauge,
    pub(crate) sample_rate_reductions: Counter,
}

impl LimitMetrics {
    pub(crate) fn register(&self, profiler: &mut Registry) {
        profiler.register_with_unit(
            "memory_limit",
            "The most memory that the agent may take (limits.memory)",
            Unit::Bytes,
            self.memory_limit.clone(),
        );
        profiler.register_with_unit(
            "memory_used",
            "Memory of the agent's own, files not counted, and of the kernel for its maps",
            Unit::Bytes,
            self.memory_used.clone(),
        );
        profiler.register(
            "memory_caches_dropped",
            "How often all caches were dropped to stay within limits.memory",
            self.caches_dropped.clone(),
        );
        profiler.register(
            "memory_targets_allowed",
            "The most targets that limits.max_targets and limits.memory allow now",
            self.targets_allowed.clone(),
        );
        profiler.register(
            "sample_rate_hertz",
            "How often each busy CPU is sampled now",
            self.sample_hz.clone(),
        );
        profiler.register(
            "sample_rate_reductions",
            "How often the sample rate was lowered to stay within limits.cpu",
            self.sample_rate_reductions.clone(),
        );
    }

    pub(crate) fn set_memory_limit(&self, bytes: u64) {
        self.memory_limit.set(bytes as i64);
    }

    pub(crate) fn set_memory_used(&self, bytes: u64) {
        self.memory_used.set(bytes as i64);
    }

    pub(crate) fn set_targets_allowed(&self, most: usize) {
        self.targets_allowed.set(i64::try_from(most).unwrap_or(i64::MAX));
    }

    pub(crate) fn set_sample_hz(&self, hz: u32) {
        self.sample_hz.set(i64::from(hz));
    }
}
