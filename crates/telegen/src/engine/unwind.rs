//! The threads `tg-unwind`, which tells the kernel side what stacks are unwound by, and two that make the tables, so that a
//! large binary delays neither mappings nor the tables of small ones: `tg-tables` and `tg-large-tables`.

use super::waker::{Inbox, Sender, channel};
use crate::unwind_metrics::UnwindState;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::thread::{Builder, JoinHandle};
use telegen_bpf::{MappedRange, TableNumber, UnwindMaps, UnwindTable};
use telegen_collect::{CodeChange, MappedCode, Module, Reading};
use telegen_model::{FileId, SpaceState, Token};
use telegen_unwind::{Binary, Code, KernelSide, Range, RawRule, Registry, Table, TableLimits, TableState};

const QUEUE: usize = 256;
/// Binaries from this size on, of which there are few, wait for one another only. Below it, a table takes a moment.
const LARGE_BYTES: u64 = 4 << 20;

/// A binary that a table is to be made of.
type Job = (FileId, Arc<Module>);

/// What the thread is told.
pub(crate) enum Message {
    /// Images have mapped code, or are gone.
    Code(Vec<CodeChange>),
    /// A table has been made, or cannot be.
    Made(FileId, Option<Box<Binary>>),
    /// Answered when no table is being made.
    Settle(SyncSender<()>),
    /// Tables that nobody uses are dropped.
    DropUnused,
    /// The profiler stops.
    Stop,
}

/// Figures that other threads may want to see.
#[derive(Debug, Default)]
pub(crate) struct UnwindFigures {
    tables: AtomicUsize,
    table_bytes: AtomicUsize,
    rows: AtomicUsize,
    without: AtomicU64,
    refused: AtomicU64,
    images: AtomicUsize,
    images_refused: AtomicU64,
    found_functions: AtomicU64,
    found_rows: AtomicU64,
    undescribed_bytes: AtomicU64,
    known_bytes: AtomicU64,
}

impl UnwindFigures {
    /// Bytes of all tables, as the kernel accounts for them.
    pub(crate) fn table_bytes(&self) -> u64 {
        self.table_bytes.load(Ordering::Relaxed) as u64
    }

    pub(crate) fn state(&self) -> UnwindState {
        UnwindState {
            tables: self.tables.load(Ordering::Relaxed),
            rows: self.rows.load(Ordering::Relaxed),
            images: self.images.load(Ordering::Relaxed),
            without: self.without.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            images_refused: self.images_refused.load(Ordering::Relaxed),
            found_functions: self.found_functions.load(Ordering::Relaxed),
            found_rows: self.found_rows.load(Ordering::Relaxed),
            undescribed_bytes: self.undescribed_bytes.load(Ordering::Relaxed),
            known_bytes: self.known_bytes.load(Ordering::Relaxed),
        }
    }
}

/// The threads, from outside.
pub(crate) struct Unwind {
    pub(crate) sender: Sender<Message>,
    pub(crate) figures: Arc<UnwindFigures>,
    thread: JoinHandle<()>,
    makers: Vec<JoinHandle<()>>,
}

impl Unwind {
    pub(crate) fn start(maps: UnwindMaps, limits: TableLimits) -> io::Result<Self> {
        let (sender, inbox) = channel(QUEUE)?;
        let (mut lanes, mut makers) = (Vec::new(), Vec::new());
        for (name, size) in [("tg-tables", Size::Small), ("tg-large-tables", Size::Large)] {
            let (jobs, to_make) = sync_channel(1);
            let made = sender.clone();
            makers.push(Builder::new().name(name.into()).spawn(move || make_tables(&to_make, &made))?);
            lanes.push(Lane { size, jobs, waiting: None });
        }
        let figures = Arc::new(UnwindFigures::default());
        let shown = figures.clone();
        let thread = Builder::new().name("tg-unwind".into()).spawn(move || {
            let kernel = Maps { maps, refused: 0 };
            let registry = Registry::new(UnwindMaps::MAX_RULES, limits);
            Owner { kernel, registry, lanes, under_way: 0, settling: Vec::new(), figures: shown }.run(&inbox);
        })?;
        Ok(Self { sender, figures, thread, makers })
    }

    /// Ends the threads.
    pub(crate) fn join(self) {
        let Self { sender, thread, makers, .. } = self;
        // If it cannot be told, it has ended already.
        let _ = sender.send(Message::Stop);
        // A panic there has been printed by its thread.
        let _ = thread.join();
        makers.into_iter().for_each(|maker| _ = maker.join());
    }
}

/// How large a binary is, as far as it matters for who has to wait for whom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Size {
    Small,
    Large,
}

impl Size {
    fn of(module: &Module) -> Self {
        let bytes = module.file.as_ref().map_or(0, |file| file.bytes);
        if bytes < LARGE_BYTES { Self::Small } else { Self::Large }
    }
}

/// A thread that makes tables of binaries of this size.
struct Lane {
    size: Size,
    jobs: SyncSender<Job>,
    /// What found it busy.
    waiting: Option<Job>,
}

struct Owner {
    kernel: Maps,
    registry: Registry<TableNumber, Arc<Module>>,
    /// Dropped when the threads that make tables shall end.
    lanes: Vec<Lane>,
    /// Tables that are being made.
    under_way: usize,
    /// Who wants to know when there are none.
    settling: Vec<SyncSender<()>>,
    figures: Arc<UnwindFigures>,
}

impl Owner {
    fn run(mut self, inbox: &Inbox<Message>) {
        while inbox.wait(None, None).is_ok() {
            loop {
                match inbox.take() {
                    Ok(Message::Code(changes)) => changes.into_iter().for_each(|change| self.take(change)),
                    Ok(Message::Settle(answer)) => self.settling.push(answer),
                    Ok(Message::DropUnused) => self.registry.drop_unused(&mut self.kernel),
                    Ok(Message::Made(id, binary)) => {
                        self.under_way -= 1;
                        self.registry.finish_job(&id, binary.map(|made| *made), &mut self.kernel);
                    }
                    Err(TryRecvError::Empty) => break,
                    Ok(Message::Stop) | Err(TryRecvError::Disconnected) => return,
                }
            }
            self.hand_out_jobs();
            self.publish();
            if self.under_way == 0 && self.lanes.iter().all(|lane| lane.waiting.is_none()) {
                // Who has given up waiting need not be told.
                self.settling.drain(..).for_each(|answer| _ = answer.send(()));
            }
        }
    }

    fn take(&mut self, change: CodeChange) {
        match change {
            CodeChange::Mapped(image, code, listed, reading) => {
                let code = code.into_iter().map(code_of).collect();
                self.registry.mapped(image, code, listed, &mut self.kernel);
                self.end_reading(image, reading);
            }
            CodeChange::Confirmed(image, listed, reading) => {
                self.registry.confirmed(image, listed, &mut self.kernel);
                self.end_reading(image, reading);
            }
            CodeChange::Gone(image) => self.registry.unmapped(image, &mut self.kernel),
        }
    }

    /// A list has been told. Until now all addresses that are handed out to the image were counted: the list has to be of the
    /// count at which that ends.
    fn end_reading(&mut self, image: Token, reading: Reading) {
        drop(reading);
        if self.kernel.maps.is_behind(image) {
            self.registry.tell_again(image, &mut self.kernel);
        }
    }

    fn hand_out_jobs(&mut self) {
        for lane in &mut self.lanes {
            let size = lane.size;
            let mut next = || self.registry.next_job_of(|module| Size::of(module) == size);
            while let Some(job) = lane.waiting.take().or_else(&mut next) {
                match lane.jobs.try_send(job) {
                    Ok(()) => self.under_way += 1,
                    Err(TrySendError::Full(job)) => {
                        lane.waiting = Some(job);
                        break;
                    }
                    Err(TrySendError::Disconnected(_)) => return,
                }
            }
        }
    }

    fn publish(&self) {
        let (figures, of_registry) = (&self.figures, self.registry.figures());
        let (tables, bytes) = self.kernel.maps.tables();
        figures.tables.store(tables, Ordering::Relaxed);
        figures.table_bytes.store(bytes, Ordering::Relaxed);
        figures.rows.store(of_registry.rows, Ordering::Relaxed);
        figures.without.store(of_registry.without, Ordering::Relaxed);
        figures.refused.store(of_registry.refused, Ordering::Relaxed);
        figures.images.store(self.kernel.maps.images(), Ordering::Relaxed);
        figures.images_refused.store(self.kernel.refused, Ordering::Relaxed);
        figures.found_functions.store(of_registry.found_functions, Ordering::Relaxed);
        figures.found_rows.store(of_registry.found_rows, Ordering::Relaxed);
        figures.undescribed_bytes.store(of_registry.undescribed_bytes, Ordering::Relaxed);
        figures.known_bytes.store(of_registry.known_bytes, Ordering::Relaxed);
    }
}

fn code_of(code: MappedCode) -> Code<Arc<Module>> {
    let MappedCode { start, end, offset, module } = code;
    let binary = match &module.file {
        Some(file) if file.open.is_some() => Some((file.id.clone(), module)),
        _ => None,
    };
    Code { start, end, offset: offset.0, binary }
}

/// The kernel side's maps, which refuse only for want of memory: what it has not been told of is unwound by frame
/// pointers, and counted.
struct Maps {
    maps: UnwindMaps,
    refused: u64,
}

impl KernelSide for Maps {
    type Slot = TableNumber;

    fn extend_rules(&mut self, rules: &[RawRule]) {
        self.maps.extend_rules(rules.iter().map(RawRule::to_bytes));
    }

    fn add_table(&mut self, table: &Table) -> Option<TableNumber> {
        match self.maps.add_table(table.bytes()) {
            Ok(slot) => slot,
            Err(error) => {
                tracing::warn!(%error, "the kernel has no room for an unwind table");
                None
            }
        }
    }

    fn remove_table(&mut self, slot: TableNumber) {
        self.maps.remove_table(slot);
    }

    fn set_mapped(&mut self, image: Token, ranges: &[Range<TableNumber>], state: SpaceState) {
        let ranges: Vec<_> = ranges.iter().map(mapped_range).collect();
        match self.maps.set_mapped(image, &ranges, state) {
            Ok(true) => {}
            Ok(false) => self.refused += 1,
            Err(error) => {
                self.refused += 1;
                tracing::warn!(%error, "the kernel cannot be told what a process has mapped");
            }
        }
    }

    fn remove_mapped(&mut self, image: Token) {
        self.maps.remove_mapped(image);
    }
}

fn mapped_range(range: &Range<TableNumber>) -> MappedRange {
    let (position, table) = match range.table {
        TableState::None => (0, UnwindTable::None),
        TableState::Awaited => (0, UnwindTable::Awaited),
        TableState::Ready { slot, position } => (position, UnwindTable::Number(slot)),
    };
    MappedRange { start: range.start, end: range.end, position, table }
}

fn make_tables(jobs: &Receiver<Job>, made: &Sender<Message>) {
    while let Ok((id, module)) = jobs.recv() {
        let name = &*module.path;
        let binary = module.file.as_ref().and_then(|file| file.open.as_ref()).map(Binary::read);
        let binary = match binary {
            Some(Ok(binary)) => {
                tracing::debug!(
                    name,
                    functions = binary.compiled.functions,
                    rows = binary.compiled.table.rows(),
                    inferred = binary.compiled.found.functions,
                    refused = binary.compiled.found.refused,
                    bytes = binary.compiled.table.bytes().len(),
                    damaged = binary.compiled.damaged,
                    "made an unwind table"
                );
                Some(Box::new(binary))
            }
            Some(Err(error)) => {
                tracing::debug!(name, %error, "no unwind table: frame pointers are followed");
                None
            }
            None => None,
        };
        if made.send(Message::Made(id, binary)).is_err() {
            return;
        }
    }
}
