//! Which configuration is in force.

use super::Metrics;
use foldhash::fast::FixedState;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::hash::BuildHasher;
use telegen_config::Config;

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct HashLabel {
    hash: String,
}

/// The configuration, and how it was read.
#[derive(Debug, Default)]
pub(super) struct ConfigurationMetrics {
    reloads: Family<OutcomeLabel, Counter>,
    last_reload_successful: Gauge,
    config_info: Family<HashLabel, Gauge>,
}

impl ConfigurationMetrics {
    /// Every series of the configuration, at 0.
    pub(super) fn touch(&self) {
        for outcome in ["success", "failure"] {
            drop(self.reloads.get_or_create(&OutcomeLabel { outcome }));
        }
    }

    pub(super) fn register(&self, profiler: &mut Registry) {
        profiler.register("config_reloads", "Configurations read, by how it went", self.reloads.clone());
        profiler.register(
            "config_last_reload_successful",
            "Whether the last configuration read is the one in force",
            self.last_reload_successful.clone(),
        );
        profiler.register("config_info", "The configuration in force", self.config_info.clone());
    }
}

impl Metrics {
    /// Takes over which configuration is in force, and counts how its loading went.
    pub(crate) fn set_config(&self, config: &Config, result: Result<(), ()>) {
        let outcome = if result.is_ok() { "success" } else { "failure" };
        self.configuration.reloads.get_or_create(&OutcomeLabel { outcome }).inc();
        self.configuration.last_reload_successful.set(i64::from(result.is_ok()));
        let hash = FixedState::default().hash_one(config.show());
        self.configuration.config_info.clear();
        self.configuration.config_info.get_or_create(&HashLabel { hash: format!("{hash:016x}") }).set(1);
    }
}
