//! Which processes are profiled, and how that was found.

use super::{Metrics, set};
use crate::containers::Lookups;
use crate::output::shown;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::Arc;

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct FilterLabel {
    filter: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct TypeLabel {
    r#type: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct TargetLabel {
    target: String,
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

/// Processes and targets, and the decisions on them.
#[derive(Debug, Default)]
pub(super) struct SelectionMetrics {
    scanned: Family<FilterLabel, Gauge>,
    matched: Family<FilterLabel, Gauge>,
    targets: Family<TargetLabel, Gauge>,
    cache_hits: Family<TypeLabel, Counter>,
    cache_misses: Family<TypeLabel, Counter>,
    targets_refused: Counter,
}

impl SelectionMetrics {
    pub(super) fn register(&self, profiler: &mut Registry) {
        profiler.register(
            "processes_scanned",
            "Live processes that rules are applied to",
            self.scanned.clone(),
        );
        profiler.register("processes_matched", "Processes that are profiled", self.matched.clone());
        profiler.register("targets", "Processes that are profiled, by target", self.targets.clone());
        profiler.register(
            "filter_cache_hits",
            "Answers at hand: a process's decision, the container of a control group",
            self.cache_hits.clone(),
        );
        profiler.register(
            "filter_cache_misses",
            "Answers that had to be found: a decision from facts, a container from /proc",
            self.cache_misses.clone(),
        );
        profiler.register(
            "targets_refused",
            "Processes that match but were refused because limits.max_targets was reached",
            self.targets_refused.clone(),
        );
    }
}

impl Metrics {
    /// Every series of the selection, at 0.
    pub(super) fn touch_selection(&self) {
        self.set_selection(Filtered::Yes, 0, 0);
        self.set_selection(Filtered::No, 0, 0);
        self.set_targets([("default".into(), 0)]);
        for r#type in ["process", "container"] {
            drop(self.selection.cache_hits.get_or_create(&TypeLabel { r#type }));
            drop(self.selection.cache_misses.get_or_create(&TypeLabel { r#type }));
        }
    }

    /// Takes over how many processes there are, and how many of them are profiled.
    pub(crate) fn set_selection(&self, filtered: Filtered, scanned: usize, matched: usize) {
        let label = FilterLabel { filter: filtered.name() };
        self.selection.scanned.get_or_create(&label).set(scanned as i64);
        self.selection.matched.get_or_create(&label).set(matched as i64);
    }

    /// Takes over how many processes each target has. Targets that are no more are not shown any more.
    pub(crate) fn set_targets(&self, counts: impl IntoIterator<Item = (Arc<str>, usize)>) {
        self.selection.targets.clear();
        for (target, count) in counts {
            let label = TargetLabel { target: shown(&target) };
            self.selection.targets.get_or_create(&label).set(count as i64);
        }
    }

    /// Takes over how often a decision was at hand, and how often it had to be made.
    pub(crate) fn set_filter_cache(&self, hits: u64, misses: u64) {
        set(&self.selection.cache_hits.get_or_create(&TypeLabel { r#type: "process" }), hits);
        set(&self.selection.cache_misses.get_or_create(&TypeLabel { r#type: "process" }), misses);
    }

    /// A scan has asked so often in which containers processes run.
    pub(crate) fn count_container_lookups(&self, lookups: Lookups) {
        let label = TypeLabel { r#type: "container" };
        self.selection.cache_hits.get_or_create(&label).inc_by(lookups.hits);
        self.selection.cache_misses.get_or_create(&label).inc_by(lookups.misses);
    }

    /// Takes over how many targets were refused because there were too many.
    pub(crate) fn set_targets_refused(&self, count: u64) {
        set(&self.selection.targets_refused, count);
    }
}
