//! The thread `tg-drain`: samples out of their rings, into the collector.

use super::unwind;
use super::waker::{Inbox, Sender, channel};
use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TryRecvError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant, SystemTime};
use telegen_bpf::{RemapCounts, Sample, SampleReader, SampleRings};
use telegen_collect::{Collector, Flaws, Interval, Reading, Remaps, TargetFacts, Tick};
use telegen_model::{KernelKey, ProcessFacts, SpaceState, TargetNumber, Token};
use telegen_process::ProcFs;

/// How long samples may lie in their rings. The kernel wakes this thread for the first one only; the timer does the
/// rest, which at 10,000 samples a second costs a hundredth of a wake-up per sample.
const DRAIN_INTERVAL: Duration = Duration::from_millis(100);
const QUEUE: usize = 4096;
/// So many changes of mappings are told at once.
const TOLD_AT_ONCE: usize = 16;

/// What the thread is told.
pub(crate) enum Message {
    /// A program image is a target from now on.
    Start { token: Token, key: Option<KernelKey>, facts: Arc<ProcessFacts>, parent: Option<Token> },
    /// Something else is known of a target.
    Facts { token: Token, facts: Arc<ProcessFacts> },
    /// What samples of this number are of from now on; there have been none yet.
    Target(TargetNumber, TargetFacts),
    /// Its first sample is under way, or it has mapped or unmapped code.
    ReadMappings(Token),
    /// Answered when all that was told before can be unwound.
    Settle(SyncSender<()>),
    /// It has exited, called exec, or is not a target any more.
    End(Token),
    /// Ticks come with this period from now on. The interval has just ended, and no clock runs.
    SetPeriod(u64),
    /// The clocks start at this moment, and the interval with them.
    Begin((SystemTime, Instant)),
    /// The interval ends: everything is drained and handed to the next thread.
    Flush(SyncSender<Interval>),
}

/// Figures that other threads may want to see.
#[derive(Debug, Default)]
pub(crate) struct DrainFigures {
    pub(crate) samples: AtomicU64,
    pub(crate) unknown_process: AtomicU64,
    pub(crate) stack_table_full: AtomicU64,
    pub(crate) bytes: AtomicUsize,
    pub(crate) unopened_files: AtomicU64,
}

/// The thread, from outside.
pub(crate) struct Drain {
    pub(crate) sender: Sender<Message>,
    pub(crate) figures: Arc<DrainFigures>,
    thread: JoinHandle<()>,
}

impl Drain {
    pub(crate) fn start(
        rings: SampleRings,
        remaps: RemapCounts,
        period_ns: u64,
        unwind: Sender<unwind::Message>,
    ) -> io::Result<Self> {
        let (sender, inbox) = channel(QUEUE)?;
        let figures = Arc::new(DrainFigures::default());
        let shown = figures.clone();
        let thread = Builder::new().name("tg-drain".into()).spawn(move || {
            if let Err(error) = run(&rings, remaps, period_ns, &inbox, &shown, &unwind) {
                tracing::error!(%error, "draining samples has stopped: no more samples are taken");
            }
        })?;
        Ok(Self { sender, figures, thread })
    }

    /// Ends the thread: the last sender goes with `self`.
    pub(crate) fn join(self) {
        let Self { sender, thread, .. } = self;
        // The thread ends when it sees the channel closed; a message wakes it to look.
        drop(sender);
        // A panic there has been printed by its thread.
        let _ = thread.join();
    }
}

fn run(
    rings: &SampleRings,
    remaps: RemapCounts,
    period_ns: u64,
    inbox: &Inbox<Message>,
    figures: &DrainFigures,
    unwind: &Sender<unwind::Message>,
) -> Result<(), Box<dyn std::error::Error>> {
    let keys = Rc::new(RefCell::new(HashMap::<Token, KernelKey>::new()));
    let remaps = KernelRemaps { counts: remaps, keys: keys.clone() };
    let collector = Collector::new(ProcFs::default(), period_ns).with_remaps(remaps);
    let collector = Rc::new(RefCell::new(collector));
    let into = collector.clone();
    let reader = rings.reader(move |sample| record(&mut into.borrow_mut(), &sample))?;
    Loop { reader, collector, keys, inbox, figures, unwind, drain_at: None }.run()?;
    Ok(())
}

/// What the kernel side knows of code that gives way to other code.
struct KernelRemaps {
    counts: RemapCounts,
    keys: Rc<RefCell<HashMap<Token, KernelKey>>>,
}

impl std::fmt::Debug for KernelRemaps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KernelRemaps").finish_non_exhaustive()
    }
}

impl Remaps for KernelRemaps {
    fn state(&self, image: Token) -> Option<SpaceState> {
        self.counts.state(*self.keys.borrow().get(&image)?, image)
    }

    fn areas(&self, image: Token, up_to: u32) -> Vec<(u32, Range<u64>)> {
        self.counts.areas(image, up_to)
    }

    fn reading(&self, image: Token) -> Reading {
        let key = self.keys.borrow().get(&image).copied();
        key.map(|key| Reading::new(self.counts.reading(key, image))).unwrap_or_default()
    }
}

fn record(collector: &mut Collector, sample: &Sample<'_>) {
    let tick = Tick {
        tid: sample.tid,
        thread_name: sample.comm,
        user: sample.user,
        kernel: sample.kernel,
        flaws: Flaws {
            ending: sample.ending,
            not_ready: sample.not_ready,
            kernel_truncated: sample.kernel_truncated,
        },
        remaps: sample.remaps,
    };
    collector.record(sample.token, sample.target, &tick);
}

struct Loop<'a> {
    reader: SampleReader,
    collector: Rc<RefCell<Collector>>,
    /// Where each image stands in the kernel's table.
    keys: Rc<RefCell<HashMap<Token, KernelKey>>>,
    inbox: &'a Inbox<Message>,
    figures: &'a DrainFigures,
    unwind: &'a Sender<unwind::Message>,
    /// When the rings are to be drained; `None` while they are empty.
    drain_at: Option<Instant>,
}

impl Loop<'_> {
    fn run(mut self) -> io::Result<()> {
        loop {
            let now = Instant::now();
            let mappings_at = self.collector.borrow().next_due();
            let wake_at = self.drain_at.into_iter().chain(mappings_at).min();
            let timeout = wake_at.map(|at| at.saturating_duration_since(now));
            // With samples in the rings the descriptor is readable all the time: only the clock counts.
            let descriptor = self.drain_at.is_none().then(|| self.reader.descriptor());
            let woken = self.inbox.wait(descriptor, timeout)?;
            if woken.descriptor {
                self.drain_at = Some(Instant::now() + DRAIN_INTERVAL);
            }
            if woken.message && self.take_messages().is_none() {
                return Ok(());
            }
            if self.drain_at.is_some_and(|at| at <= Instant::now()) {
                self.drain_at = None;
                self.drain();
            }
            self.collector.borrow_mut().catch_up(Instant::now());
            self.tell_changes();
        }
    }

    fn drain(&mut self) {
        let samples = self.reader.drain();
        let mut collector = self.collector.borrow_mut();
        collector.settle(Instant::now());
        self.figures.samples.fetch_add(samples as u64, Ordering::Relaxed);
        self.figures.bytes.store(collector.bytes(), Ordering::Relaxed);
        self.figures.unopened_files.store(collector.unopened_files(), Ordering::Relaxed);
        let losses = collector.losses();
        self.figures.unknown_process.store(losses.unknown_process, Ordering::Relaxed);
        self.figures.stack_table_full.store(losses.stack_table_full, Ordering::Relaxed);
    }

    /// What has been mapped is for the kernel side to know, so that the next ticks are unwound by it.
    fn tell_changes(&mut self) {
        let changes = self.collector.borrow_mut().take_changes();
        if !changes.is_empty() && self.unwind.send(unwind::Message::Code(changes)).is_err() {
            tracing::debug!("nobody takes mappings any more");
        }
    }

    /// `None` when nobody is left to send any.
    fn take_messages(&mut self) -> Option<()> {
        loop {
            match self.inbox.take() {
                Ok(Message::Start { token, key, facts, parent }) => {
                    self.keys.borrow_mut().extend(key.map(|key| (token, key)));
                    self.collector.borrow_mut().start(token, facts, parent);
                }
                Ok(Message::Facts { token, facts }) => {
                    self.collector.borrow_mut().set_facts(token, facts);
                }
                Ok(Message::Target(number, facts)) => self.collector.borrow_mut().set_target(number, facts),
                Ok(Message::ReadMappings(token)) => {
                    self.collector.borrow_mut().read_mappings(token, Instant::now());
                    // What is read of many at once is not kept from the kernel side until all are read.
                    if self.collector.borrow().changes() >= TOLD_AT_ONCE {
                        self.tell_changes();
                    }
                }
                Ok(Message::Settle(answer)) => {
                    self.tell_changes();
                    // Nobody is left to be asked, so nobody waits for long.
                    let _ = self.unwind.send(unwind::Message::Settle(answer));
                }
                Ok(Message::SetPeriod(period_ns)) => self.collector.borrow_mut().set_period(period_ns),
                Ok(Message::Begin(now)) => self.collector.borrow_mut().begin(now),
                Ok(Message::End(token)) => {
                    self.keys.borrow_mut().remove(&token);
                    self.collector.borrow_mut().end(token);
                }
                Ok(Message::Flush(to)) => self.flush(&to),
                Err(TryRecvError::Empty) => return Some(()),
                Err(TryRecvError::Disconnected) => return None,
            }
        }
    }

    fn flush(&mut self, to: &SyncSender<Interval>) {
        self.drain();
        let interval = self.collector.borrow_mut().take_interval((SystemTime::now(), Instant::now()));
        // The losses of the interval's end.
        self.drain();
        if to.send(interval).is_err() {
            tracing::warn!("nobody took the interval's samples");
        }
    }
}
