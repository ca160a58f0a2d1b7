//! The selection alone: the kernel tells of processes, rules decide, nothing is sampled.

use super::audience::Audience;
use super::lifecycle::{Lifecycle, Parts};
use super::watchers::{Change, Outlet, Watchers};
use crate::metrics::Metrics;
use crate::pods::{Kubernetes, Prepared};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;
use telegen_bpf::{Clock, Kernel};
use telegen_rules::RuleSet;
use telegen_select::Rates;

const QUEUE: usize = 1024;

/// The selection alone, as it changes.
pub(crate) struct SelectionWatch {
    lifecycle: Lifecycle,
    changes: Receiver<Change>,
    kubernetes: Option<Kubernetes>,
    /// Its programs run until it is dropped.
    kernel: Kernel,
}

impl SelectionWatch {
    /// Loads the kernel side and decides on all processes; the first changes are the decisions on those.
    pub(crate) fn start(
        rules: RuleSet,
        max_targets: usize,
        kubernetes: Option<telegen_k8s::Options>,
    ) -> Result<Self, telegen_bpf::Error> {
        // No clock is ever started: these only have to be valid.
        let options = telegen_bpf::Options {
            clock: Clock::CpuClock,
            sample_hz: 1,
            max_user_frames: 1,
            kernel_stacks: false,
        };
        let mut kernel = Kernel::load(&options)?;
        kernel.watch_processes()?;
        let (to, changes) = sync_channel(QUEUE);
        let metrics = Arc::new(Metrics::new());
        let watchers = Watchers::new(metrics.watches.dropped.clone()).with(Outlet::Command(to));
        let (pods, prepared) = Prepared::of(kubernetes);
        let parts = Parts {
            rules,
            rates: Rates::default(),
            max_targets,
            audience: Audience { sampler: None, watchers },
            pods,
            metrics,
            ready: Box::new(|_| {}),
        };
        let lifecycle = Lifecycle::start(&kernel, parts)?;
        let kubernetes = prepared.map(|prepared| prepared.start(lifecycle.sender.clone())).transpose()?;
        Ok(Self { lifecycle, changes, kubernetes, kernel })
    }

    /// The next change; `None` if there is none for so long.
    pub(crate) fn next(&self, patience: Duration) -> Result<Option<Change>, super::Stopped> {
        match self.changes.recv_timeout(patience) {
            Ok(change) => Ok(Some(change)),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(super::Stopped),
        }
    }

    /// Ends it; nothing is left in the kernel.
    pub(crate) fn stop(self) {
        let Self { lifecycle, changes, kubernetes, kernel } = self;
        // Nobody waits for room in the channel any more.
        drop(changes);
        drop(kubernetes);
        lifecycle.join();
        drop(kernel);
    }
}
