//! Ticks are gathered, per program image, until an interval ends.

use crate::generated_range::{GeneratedRange, GeneratedRanges};
use crate::image::{Image, Refreshed};
use crate::interval::{Frame, Interval, Marker, Row};
use crate::module::{Module, Modules};
use crate::stack_table::{Entry, Full, ImageSlot, StackTable, Tick};
use crate::target::{TargetFacts, Targets};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use telegen_model::{FileOffset, ProcessFacts, TargetNumber, Token};
use telegen_process::ProcFs;

/// A process's mappings are not read again sooner than this, however many of its addresses are in none …
const MIN_REFRESH_INTERVAL: Duration = Duration::from_millis(100);
/// … and, while reading them again changes nothing, ever more seldom up to this: a program without frame pointers has
/// stray addresses all the time.
const MAX_REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// What an image has mapped executable.
#[derive(Clone, Debug)]
pub enum CodeChange {
    /// This, and no other.
    Mapped(Token, Vec<MappedCode>),
    /// Nothing any more.
    Gone(Token),
}

/// Code that an image has mapped.
#[derive(Clone, Debug)]
pub struct MappedCode {
    /// First address.
    pub start: u64,
    /// First address past it.
    pub end: u64,
    /// Where in the module the start is.
    pub offset: FileOffset,
    /// What it is from.
    pub module: Arc<Module>,
}

/// Ticks that did not get into an interval, by reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Losses {
    /// Nobody has ever said whose they were.
    pub unknown_process: u64,
    /// There were too many different stacks.
    pub stack_table_full: u64,
}

/// Gathers ticks. One thread owns it.
#[derive(Debug)]
pub struct Collector {
    proc: ProcFs,
    period_ns: u64,
    images: HashMap<Token, Known, RandomState>,
    modules: Modules,
    targets: Targets,
    gathered: Gathered,
    losses: Losses,
    /// What has changed since it was last asked for.
    changes: Vec<CodeChange>,
}

/// A program image that was announced, or that ticks have come from.
#[derive(Debug, Default)]
struct Known {
    /// `None` as long as there have only been ticks.
    image: Option<Image>,
    /// Its number in this interval, once it has had a tick.
    slot: Option<u32>,
    /// It has exited or is not a target any more: nothing comes after what is under way.
    ended: bool,
    /// When its mappings were last read, and how long they are good for.
    refreshed: Option<(Instant, Duration)>,
}

/// What has come together since the interval began.
#[derive(Debug)]
struct Gathered {
    begun: (SystemTime, Instant),
    stacks: StackTable,
    slots: Vec<Token>,
    frames: Vec<Frame>,
    rows: Vec<Row>,
    /// Entries of `stacks` that are not among the rows yet start here …
    settled: usize,
    /// … except these, whose image was not known when it was their turn.
    waiting: Vec<u32>,
    /// For each row, the entry that it was made from.
    row_entries: Vec<u32>,
    modules: Vec<Arc<Module>>,
    /// Numbers in `modules`, which keeps them alive, by their addresses.
    module_numbers: HashMap<usize, u32, RandomState>,
    generated: GeneratedRanges,
}

impl Collector {
    /// A collector of ticks that come every `period_ns` on each CPU.
    pub fn new(proc: ProcFs, period_ns: u64) -> Self {
        Self {
            proc,
            period_ns,
            images: HashMap::default(),
            modules: Modules::default(),
            targets: Targets::default(),
            gathered: Gathered::new(),
            losses: Losses::default(),
            changes: Vec::new(),
        }
    }

    /// Ticks come every `period_ns` from now on. An interval has one period: to be called between two.
    pub fn set_period(&mut self, period_ns: u64) {
        self.period_ns = period_ns;
    }

    /// The interval begins at this moment and not before: the clocks are about to start.
    pub fn begin(&mut self, now: (SystemTime, Instant)) {
        self.gathered.begun = now;
    }

    /// Samples with this number are of this target from now on; until now there were none.
    pub fn set_target(&mut self, number: TargetNumber, facts: TargetFacts) {
        self.targets.set(number, facts);
    }

    /// Announces a program image. If it was forked from another that is known, `parent` names that.
    pub fn start(&mut self, id: Token, facts: Arc<ProcessFacts>, parent: Option<Token>) {
        let parent = parent.and_then(|parent| self.images.get(&parent)?.image.as_ref());
        let image = Image::new(facts, parent);
        if image.has_mappings() {
            self.changes.push(CodeChange::Mapped(id, image.code()));
        }
        self.images.entry(id).or_default().image = Some(image);
    }

    /// Something else is known of an image: the samples of the interval are labelled with it.
    pub fn set_facts(&mut self, id: Token, facts: Arc<ProcessFacts>) {
        if let Some(image) = self.images.get_mut(&id).and_then(|known| known.image.as_mut()) {
            image.facts = facts;
        }
    }

    /// The first tick of an image is under way, or it has mapped or unmapped code: its mappings are read while they
    /// are there.
    pub fn read_mappings(&mut self, id: Token, now: Instant) {
        self.refresh(id, now);
    }

    /// What images have mapped and unmapped since the last call, for whoever unwinds their stacks.
    pub fn take_changes(&mut self) -> Vec<CodeChange> {
        std::mem::take(&mut self.changes)
    }

    fn refresh(&mut self, id: Token, now: Instant) {
        let Some(known) = self.images.get_mut(&id) else { return };
        if known.refresh(&self.proc, &mut self.modules, now) == Refreshed::Changed
            && let Some(image) = &known.image
        {
            self.changes.push(CodeChange::Mapped(id, image.code()));
        }
    }

    /// An image has exited, called exec or ceased to be a target. It is forgotten when the interval ends.
    pub fn end(&mut self, id: Token) {
        if let Some(known) = self.images.get_mut(&id) {
            known.ended = true;
            self.changes.push(CodeChange::Gone(id));
        }
    }

    /// Counts a tick. What it costs is a hash over its addresses; all else waits for [`Collector::settle`].
    pub fn record(&mut self, id: Token, target: TargetNumber, tick: &Tick<'_>) {
        let known = self.images.entry(id).or_default();
        let index = *known.slot.get_or_insert_with(|| {
            self.gathered.slots.push(id);
            self.gathered.slots.len() as u32 - 1
        });
        let epoch = known.image.as_ref().map_or(0, Image::epoch);
        if let Err(Full) = self.gathered.stacks.record(ImageSlot { index, epoch, target }, tick) {
            self.losses.stack_table_full += 1;
        }
    }

    /// Looks up the addresses of the stacks that are new since the last call, while what is mapped is still what it
    /// was when they were taken. To be called after each drain.
    pub fn settle(&mut self, now: Instant) {
        let new = self.gathered.settled as u32..self.gathered.stacks.entries().len() as u32;
        self.gathered.settled = new.end as usize;
        let mut waiting = std::mem::take(&mut self.gathered.waiting);
        waiting.extend(new);
        waiting.retain(|&entry| !self.settle_entry(entry, now));
        self.gathered.waiting = waiting;
    }

    fn settle_entry(&mut self, index: u32, now: Instant) -> bool {
        let entry = self.gathered.stacks.entries()[index as usize].clone();
        let id = self.gathered.slots[entry.image.index as usize];
        let Some(known) = self.images.get(&id) else { return false };
        if known.needs_refresh(self.gathered.stacks.user(&entry)) {
            self.refresh(id, now);
        }
        let Some(known) = self.images.get(&id) else { return false };
        match &known.image {
            Some(image) if image.has_mappings() => {
                self.gathered.add_row(index, &entry, Some(image));
                true
            }
            _ => false,
        }
    }

    /// Ends the interval and begins the next one. All that was drained is in it, or among the [`Losses`].
    pub fn take_interval(&mut self, now: (SystemTime, Instant)) -> Interval {
        self.settle(now.1);
        for index in std::mem::take(&mut self.gathered.waiting) {
            let entry = self.gathered.stacks.entries()[index as usize].clone();
            let id = self.gathered.slots[entry.image.index as usize];
            if self.images.get(&id).is_some_and(|known| known.image.is_some()) {
                self.gathered.add_row(index, &entry, None);
            } else {
                self.losses.unknown_process += entry.count;
            }
        }
        let next = Gathered { begun: now, ..Gathered::new() };
        let interval = std::mem::replace(&mut self.gathered, next).finish(
            self.period_ns,
            now,
            &self.images,
            self.targets.clone(),
        );
        self.images.retain(|_, known| {
            known.slot = None;
            known.image.is_some() && !known.ended
        });
        self.modules.sweep();
        interval
    }

    /// What was lost so far.
    pub fn losses(&self) -> Losses {
        self.losses
    }

    /// Bytes that the stacks gathered so far take, about.
    pub fn bytes(&self) -> usize {
        self.gathered.stacks.bytes() + self.gathered.frames.capacity() * size_of::<Frame>()
    }

    /// How many images and files are known.
    pub fn known(&self) -> (usize, usize) {
        (self.images.len(), self.modules.files())
    }

    /// Mapped files that could not be opened so far.
    pub fn unopened_files(&self) -> u64 {
        self.modules.unopened
    }
}

impl Known {
    /// Whether an address of a stack is in no mapping that is known.
    fn needs_refresh(&self, user: &[u64]) -> bool {
        match &self.image {
            Some(image) => {
                !image.has_mappings()
                    || user.iter().any(|&address| address != 0 && image.lookup(address - 1).is_none())
            }
            None => false,
        }
    }

    fn refresh(&mut self, proc: &ProcFs, modules: &mut Modules, now: Instant) -> Refreshed {
        if self.ended || self.refreshed.is_some_and(|(then, interval)| now.duration_since(then) < interval) {
            return Refreshed::Unchanged;
        }
        let Some(image) = &mut self.image else { return Refreshed::Unchanged };
        // A process that is gone keeps the mappings it was last seen with.
        let refreshed = image.refresh(proc, modules).unwrap_or(Refreshed::Unchanged);
        let interval = match (refreshed, self.refreshed) {
            (Refreshed::Changed, _) | (_, None) => MIN_REFRESH_INTERVAL,
            (_, Some((_, interval))) => (interval * 2).min(MAX_REFRESH_INTERVAL),
        };
        self.refreshed = Some((now, interval));
        refreshed
    }
}

impl Gathered {
    fn new() -> Self {
        Self {
            begun: (SystemTime::now(), Instant::now()),
            stacks: StackTable::default(),
            slots: Vec::new(),
            frames: Vec::new(),
            rows: Vec::new(),
            settled: 0,
            waiting: Vec::new(),
            row_entries: Vec::new(),
            modules: Vec::new(),
            module_numbers: HashMap::default(),
            generated: GeneratedRanges::default(),
        }
    }

    /// Turns an entry's addresses into frames; without an image only the kernel's are known.
    fn add_row(&mut self, index: u32, entry: &Entry, image: Option<&Image>) {
        let start = self.frames.len() as u32;
        let kernel = self.stacks.kernel(entry);
        self.frames.extend(
            kernel.iter().enumerate().map(|(depth, &address)| Frame::Kernel(at_call(depth, address))),
        );
        if entry.flaws.kernel_truncated {
            self.frames.push(Frame::Marker(Marker::Truncated));
        }
        match image {
            Some(image) => self.add_user_frames(entry, image),
            None => self.frames.push(Frame::Marker(Marker::ProcessGone)),
        }
        let frames = start..self.frames.len() as u32;
        let ImageSlot { index: image, target, .. } = entry.image;
        let (tid, thread_name) = (entry.tid, entry.thread_name);
        self.rows.push(Row { image, target, tid, thread_name, frames, count: 0 });
        self.row_entries.push(index);
    }

    fn add_user_frames(&mut self, entry: &Entry, image: &Image) {
        let user = self.stacks.user(entry);
        let not_ready = entry.flaws.not_ready.then_some(Marker::NotReady);
        let mut ended_early = not_ready.or(Marker::of_ending(entry.flaws.ending));
        for (depth, &address) in user.iter().enumerate() {
            let at = at_call(depth, address);
            let Some((module, offset)) = image.lookup(at) else {
                // Frame-pointer chains end in a null return address.
                if address != 0 || depth == 0 {
                    ended_early = not_ready.or(Some(Marker::Unmapped));
                }
                break;
            };
            let number = number(&mut self.module_numbers, &mut self.modules, module);
            let frame = if module.is_generated() {
                let bias = if module.file.is_some() { offset.0.wrapping_sub(at) } else { 0 };
                let range = self.generated.number(GeneratedRange { module: number, bias });
                Frame::Generated { range, address: at }
            } else {
                Frame::User { module: number, offset }
            };
            self.frames.push(frame);
        }
        self.frames.extend(ended_early.map(Frame::Marker));
    }

    fn finish(
        mut self,
        period_ns: u64,
        now: (SystemTime, Instant),
        images: &HashMap<Token, Known, RandomState>,
        targets: Targets,
    ) -> Interval {
        for (row, &entry) in self.rows.iter_mut().zip(&self.row_entries) {
            row.count = self.stacks.entries()[entry as usize].count;
        }
        let mut numbers = vec![u32::MAX; self.slots.len()];
        let (mut facts, mut jit_dumps) = (Vec::new(), Vec::new());
        for (slot, id) in self.slots.iter().enumerate() {
            if let Some(image) = images.get(id).and_then(|known| known.image.as_ref()) {
                numbers[slot] = facts.len() as u32;
                facts.push(image.facts.clone());
                jit_dumps.push(image.jit_dump().cloned());
            }
        }
        for row in &mut self.rows {
            row.image = numbers[row.image as usize];
        }
        Interval {
            start: self.begun.0,
            duration: now.1.duration_since(self.begun.1),
            period_ns,
            rows: self.rows,
            frames: self.frames,
            modules: self.modules,
            generated: self.generated.finish(),
            images: facts,
            targets,
            jit_dumps,
        }
    }
}

/// A return address belongs to the instruction behind the call; what was running is the call. Only the leaf is where
/// the processor stood.
fn at_call(depth: usize, address: u64) -> u64 {
    if depth == 0 { address } else { address.saturating_sub(1) }
}

fn number(
    numbers: &mut HashMap<usize, u32, RandomState>,
    modules: &mut Vec<Arc<Module>>,
    module: &Arc<Module>,
) -> u32 {
    *numbers.entry(Arc::as_ptr(module) as usize).or_insert_with(|| {
        modules.push(module.clone());
        modules.len() as u32 - 1
    })
}
