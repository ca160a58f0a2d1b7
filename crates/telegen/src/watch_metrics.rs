//! Who watches the selection over HTTP.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Clients of `/api/v1/targets?watch=true`.
#[derive(Clone, Debug, Default)]
pub(crate) struct WatchMetrics {
    /// Those that are connected.
    pub(crate) clients: Gauge,
    /// Those that were disconnected because they took changes too slowly.
    pub(crate) dropped: Counter,
}

impl WatchMetrics {
    pub(crate) fn register(&self, profiler: &mut Registry) {
        profiler.register(
            "watch_clients",
            "Clients that are told of changes of the selection",
            self.clients.clone(),
        );
        profiler.register(
            "watch_clients_dropped",
            "Clients that were disconnected because they did not take changes of the selection as fast as they came",
            self.dropped.clone(),
        );
    }
}
