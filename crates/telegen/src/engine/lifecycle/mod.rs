//! The thread `tg-lifecycle`: owns the selection. Events in, decisions to the kernel, starts and stops to the
//! draining thread.

mod consequences;
mod look;
mod owner;
mod pace;

use super::audience::Audience;
use super::kernel_policy::KernelPolicy;
use super::observation::Asked;
use super::waker::{Sender, channel};
use super::watchers::ClientOutlet;
use crate::metrics::Metrics;
use crate::pods::PodSource;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc::SyncSender;
use std::thread::{Builder, JoinHandle};
use std::time::{Instant, SystemTime};
use telegen_bpf::{Decider, Event, EventReader, Kernel, Leftovers, Scanner};
use telegen_collect::Interval;
use telegen_model::{Pid, ProcessId};
use telegen_rules::RuleSet;
use telegen_select::{Rates, SelectedProcess, Selection, Selector};
use tokio::sync::oneshot;

const QUEUE: usize = 64;

/// What the thread is told.
pub(crate) enum Command {
    /// Other rules, and other sample rates of targets, from now on.
    Reload(Box<RuleSet>, Rates),
    /// A process and all that descend from it are profiled; answered when that holds.
    Follow(ProcessId, SyncSender<bool>),
    /// The source of pods has told something.
    Pods(Vec<telegen_k8s::Change>),
    /// So many targets at the most from now on.
    LimitTargets(usize),
    /// The interval ends, after everything that has happened before this command.
    Flush(SyncSender<Interval>),
    /// Somebody wants to hear of all changes from now on; answered with the processes that there are.
    Watch(ClientOutlet, oneshot::Sender<Vec<SelectedProcess>>),
}

/// The thread, from outside.
pub(crate) struct Lifecycle {
    pub(crate) sender: Sender<Command>,
    pub(crate) selection: Selection,
    /// Kernel threads, which the selection knows nothing of.
    pub(crate) kernel_threads: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

/// What the thread works with.
pub(crate) struct Parts {
    pub(crate) rules: RuleSet,
    pub(crate) rates: Rates,
    pub(crate) max_targets: usize,
    pub(crate) audience: Audience,
    pub(crate) pods: PodSource,
    pub(crate) metrics: Arc<Metrics>,
    /// Called once, when the first scan has been decided on.
    pub(crate) ready: Box<dyn FnOnce(Summary) + Send>,
}

/// The figures of a complete decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Summary {
    /// Processes and kernel threads that were looked at.
    pub(crate) scanned: usize,
    /// Targets.
    pub(crate) matched: usize,
}

impl Lifecycle {
    /// Starts the thread. The kernel side must be watching processes already, or the scan races with forks.
    pub(crate) fn start(kernel: &Kernel, parts: Parts) -> Result<Self, telegen_bpf::Error> {
        let failed = |source| telegen_bpf::Error::Kernel { action: "starting the lifecycle thread", source };
        let (sender, inbox) = channel(QUEUE).map_err(failed)?;
        let (decider, scanner, leftovers) = (kernel.decider()?, kernel.scanner()?, kernel.leftovers()?);
        let ring = kernel.event_ring()?;
        let limits = telegen_select::Limits { max_targets: parts.max_targets };
        let own = Pid(std::process::id());
        let asked = Asked::of(&parts.rules, &parts.pods);
        let selector = Selector::new(parts.rules.at(SystemTime::now()), own, limits, parts.rates);
        let policy = KernelPolicy::new(kernel.control_groups()?);
        let selection = selector.selection();
        let kernel_threads = Arc::new(AtomicUsize::new(0));
        let counted = kernel_threads.clone();
        let thread = Builder::new().name("tg-lifecycle".into()).spawn(move || {
            let queue = Rc::new(RefCell::new(VecDeque::new()));
            let into = queue.clone();
            let started = ring.reader(move |event| into.borrow_mut().push_back(event)).and_then(|reader| {
                let Parts { audience, pods, metrics, ready, .. } = parts;
                Owner {
                    reader,
                    queue,
                    decider,
                    scanner,
                    leftovers,
                    sweep_at: Instant::now(),
                    selector,
                    audience,
                    metrics,
                    kernel_threads: counted,
                    policy,
                    pods,
                    refused: (0, None),
                    prepare: 0,
                    asked,
                    look_at: None,
                    rest_until: Instant::now(),
                    pace: pace::Pace::default(),
                }
                .run(&inbox, ready)
            });
            if let Err(error) = started {
                tracing::error!(%error, "following processes has stopped: the selection stays as it is");
            }
        });
        Ok(Self { sender, selection, kernel_threads, thread: thread.map_err(failed)? })
    }

    /// Ends the thread, once nobody else holds a sender.
    pub(crate) fn join(self) {
        let Self { sender, thread, .. } = self;
        drop(sender);
        // A panic there has been printed by its thread.
        let _ = thread.join();
    }
}

/// What the thread owns.
struct Owner {
    reader: EventReader,
    queue: Rc<RefCell<VecDeque<Event>>>,
    decider: Decider,
    scanner: Scanner,
    leftovers: Leftovers,
    /// When entries that have been left over are looked for next.
    sweep_at: Instant,
    selector: Selector,
    audience: Audience,
    metrics: Arc<Metrics>,
    kernel_threads: Arc<AtomicUsize>,
    policy: KernelPolicy,
    pods: PodSource,
    /// How many had been refused when it was last said, and when.
    refused: (u64, Option<Instant>),
    /// How many more targets are to be made ready ahead of their first sample.
    prepare: usize,
    /// What every process is asked about where it runs.
    asked: Asked,
    /// When all processes are to be looked at because a container was met that the kernel side does not know.
    look_at: Option<Instant>,
    /// Not before this, for the last look has taken its time.
    rest_until: Instant,
    /// When events are looked for.
    pace: pace::Pace,
}
