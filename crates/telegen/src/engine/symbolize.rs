//! The thread `tg-symbolize`: intervals in, profiles out. It owns the symbols.

use super::Stopped;
use crate::metrics::Metrics;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use telegen_collect::{Interval, Marker, ProfileAssembler, SampleLabels};
use telegen_debuginfod::DebugInfod;
use telegen_model::{Pid, Profile};
use telegen_process::{ProcFs, Root};
use telegen_symbolize::{Budget, DebugServer};

/// Intervals that may wait to be named.
const QUEUE: usize = 2;

/// What the thread is told.
enum Job {
    /// An interval gets its names.
    Assemble(Box<Interval>, SyncSender<Profile>),
    /// Symbols that can be read again are dropped.
    Trim,
}

/// The thread, from outside.
pub(crate) struct Symbolize {
    sender: SyncSender<Job>,
    thread: JoinHandle<()>,
}

impl Symbolize {
    pub(crate) fn start(
        labels: SampleLabels,
        budget: Budget,
        debuginfod: Option<&telegen_debuginfod::Options>,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let host = host_root().map(Arc::new);
        let debuginfod = debuginfod.and_then(start_debuginfod);
        let (sender, jobs) = sync_channel::<Job>(QUEUE);
        let thread = Builder::new().name("tg-symbolize".into()).spawn(move || {
            let mut assembler =
                ProfileAssembler::new(labels, budget, host, debuginfod.clone().map(as_server));
            for job in jobs {
                match job {
                    Job::Assemble(interval, to) => {
                        let profile = assembler.assemble(&interval);
                        publish(&metrics, &interval, &assembler);
                        if let Some(debuginfod) = &debuginfod {
                            metrics.debug_files.set_server(debuginfod);
                        }
                        // Whoever asked may have given up.
                        let _ = to.send(profile);
                    }
                    Job::Trim => assembler.trim(),
                }
            }
        })?;
        Ok(Self { sender, thread })
    }

    /// Hands over an interval; its profile comes when it is done.
    pub(crate) fn assemble(&self, interval: Interval) -> Result<Receiver<Profile>, Stopped> {
        let (to, profile) = sync_channel(1);
        self.sender.send(Job::Assemble(Box::new(interval), to)).map_err(|_| Stopped)?;
        Ok(profile)
    }

    /// Drops symbols that can be read again, once the intervals handed over before have their names.
    pub(crate) fn trim(&self) -> Result<(), Stopped> {
        self.sender.send(Job::Trim).map_err(|_| Stopped)
    }

    pub(crate) fn join(self) {
        let Self { sender, thread } = self;
        drop(sender);
        // A panic there has been printed by its thread.
        let _ = thread.join();
    }
}

/// Without it there are fewer names, and a profile all the same.
fn start_debuginfod(options: &telegen_debuginfod::Options) -> Option<Arc<DebugInfod>> {
    match DebugInfod::start(options) {
        Ok(debuginfod) => Some(Arc::new(debuginfod)),
        Err(error) => {
            tracing::warn!(%error, "no debuginfod server is asked");
            None
        }
    }
}

fn as_server(debuginfod: Arc<DebugInfod>) -> Arc<dyn DebugServer> {
    debuginfod
}

/// The root of this machine: that of its first process, or what looks like it in a container that sees no other.
fn host_root() -> Option<Root> {
    let of = |pid| Root::of_process(&ProcFs::default(), Pid(pid)).ok();
    of(1).or_else(|| of(std::process::id()))
}

fn publish(metrics: &Metrics, interval: &Interval, assembler: &ProfileAssembler) {
    for marker in Marker::ALL {
        metrics.count_flawed_stacks(marker.reason(), interval.count_marked(marker));
    }
    let figures = assembler.figures();
    metrics.set_cache_bytes("symbols", figures.symbol_bytes);
    metrics.set_cache_bytes("kernel_symbols", figures.kernel_symbol_bytes);
    for (reason, count) in figures.failures {
        metrics.set_symbol_failures(reason, count);
    }
    metrics.debug_files.set_open(figures.debug_files);
    for (outcome, count) in figures.debug_outcomes {
        metrics.debug_files.set_outcome(outcome, count);
    }
}
