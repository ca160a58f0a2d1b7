//! Keeps the agent within `limits.memory` and `limits.cpu`, by doing less before it takes more.

mod cpu;
mod memory;

use crate::engine::{Engine, EngineOptions, Stopped};
use crate::metrics::Metrics;
use cpu::CpuGovernor;
use memory::{MemoryGovernor, MemoryStep};
pub(crate) use memory::{memory_limit, used_memory};
use std::sync::Arc;
use std::time::Instant;
use telegen_config::CoreShare;

/// Watches over an engine.
pub(crate) struct Governor {
    memory: MemoryGovernor,
    cpu: CpuGovernor,
    metrics: Arc<Metrics>,
}

impl Governor {
    /// A governor of an engine that has just been started with these options.
    pub(crate) fn new(options: &EngineOptions, cpu: CoreShare, metrics: Arc<Metrics>) -> Self {
        let now = Instant::now();
        metrics.limits.set_memory_limit(options.memory_bytes);
        metrics.limits.set_targets_allowed(options.max_targets);
        metrics.limits.set_sample_hz(options.rates.clock_hz);
        Self {
            memory: MemoryGovernor::new(options.memory_bytes, options.max_targets),
            cpu: CpuGovernor::new(cpu, options.rates.clock_hz, now, cpu::own_cpu_time()),
            metrics,
        }
    }

    /// To be called about once a second. Answers with the rate at which to sample from now on, if that changes.
    pub(crate) fn watch(&mut self, engine: &Engine) -> Result<Option<u32>, Stopped> {
        let now = Instant::now();
        self.watch_memory(engine, now)?;
        let Some(change) = self.cpu.judge(now, cpu::own_cpu_time()) else { return Ok(None) };
        let (from, to) = (change.from_hz, change.to_hz);
        let used_percent = format!("{:.1}", change.used * 100.0);
        if to < from {
            self.metrics.limits.sample_rate_reductions.inc();
            tracing::warn!(
                from_hz = from,
                to_hz = to,
                used_percent,
                "sampling less often, to stay within limits.cpu"
            );
        } else {
            tracing::info!(from_hz = from, to_hz = to, used_percent, "sampling more often again");
        }
        self.metrics.limits.set_sample_hz(to);
        Ok(Some(to))
    }

    fn watch_memory(&mut self, engine: &Engine, now: Instant) -> Result<(), Stopped> {
        let Some(used) = used_memory(engine.map_bytes()) else { return Ok(()) };
        self.metrics.limits.set_memory_used(used);
        let limits = &self.metrics.limits;
        match self.memory.judge(used, engine.selection().counts().1, now) {
            None => Ok(()),
            Some(MemoryStep::DropCaches) => {
                limits.caches_dropped.inc();
                tracing::warn!(
                    used,
                    limit = self.memory.limit(),
                    "dropping caches, to stay within limits.memory"
                );
                engine.drop_caches()
            }
            Some(MemoryStep::LetTargetsGo { most }) => {
                limits.set_targets_allowed(most);
                tracing::warn!(
                    used,
                    limit = self.memory.limit(),
                    most_targets = most,
                    "letting the newest targets go, to stay within limits.memory"
                );
                engine.limit_targets(most)
            }
            Some(MemoryStep::TakeTargetsBack { most }) => {
                limits.set_targets_allowed(most);
                tracing::info!(
                    used,
                    limit = self.memory.limit(),
                    most_targets = most,
                    "there is room for more targets again"
                );
                engine.limit_targets(most)
            }
        }
    }
}
