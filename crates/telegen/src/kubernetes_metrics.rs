//! How the source of pods stands, in figures.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::{AtomicU64, Ordering};
use telegen_k8s::{Figures, Standing};

/// Gauges and counters of the source of pods.
#[derive(Clone, Debug, Default)]
pub(crate) struct KubernetesMetrics {
    in_sync: Gauge,
    pods: Gauge,
    requests: Family<Asked, Counter>,
    failures: Counter,
    events: Counter,
    received: Counter,
    refused: Counter,
    strangers: Counter,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Asked {
    request: &'static str,
}

impl KubernetesMetrics {
    pub(crate) fn register(&self, profiler: &mut Registry) {
        profiler.register(
            "kubernetes_in_sync",
            "Whether all pods of this node are known: 1, or 0 while their source has not answered or cannot be reached",
            self.in_sync.clone(),
        );
        profiler.register("kubernetes_pods", "Pods of this node that are known", self.pods.clone());
        profiler.register(
            "kubernetes_requests",
            "What the source of pods was asked for: lists and watches of pods, and owners of pods",
            self.requests.clone(),
        );
        profiler.register(
            "kubernetes_failures",
            "Requests and watches that have failed",
            self.failures.clone(),
        );
        profiler.register("kubernetes_events", "Events of watches, bookmarks included", self.events.clone());
        profiler.register_with_unit(
            "kubernetes_received",
            "What the source of pods has answered",
            Unit::Bytes,
            self.received.clone(),
        );
        profiler.register("kubernetes_pods_refused", "Pods that there was no room for", self.refused.clone());
        profiler.register(
            "kubernetes_pods_of_other_nodes",
            "Pods of other nodes that were sent and dropped: the source does not select by node",
            self.strangers.clone(),
        );
        for request in ["list", "watch", "owner"] {
            drop(self.requests.get_or_create(&Asked { request }));
        }
    }

    /// Takes over the figures as they stand.
    pub(crate) fn set(&self, figures: &Figures) {
        self.in_sync.set(i64::from(figures.standing().0 == Standing::InSync));
        self.pods.set(figures.pods.load(Ordering::Relaxed) as i64);
        for (request, count) in
            [("list", &figures.lists), ("watch", &figures.watches), ("owner", &figures.owners)]
        {
            follow(&self.requests.get_or_create(&Asked { request }), count);
        }
        follow(&self.failures, &figures.failures);
        follow(&self.events, &figures.events);
        follow(&self.received, &figures.bytes);
        follow(&self.refused, &figures.refused);
        follow(&self.strangers, &figures.strangers);
    }
}

/// A source that is asked anew, after a reload, counts from nothing: what it has counted since is then lost, and no counter falls.
fn follow(counter: &Counter, count: &AtomicU64) {
    counter.inc_by(count.load(Ordering::Relaxed).saturating_sub(counter.get()));
}
