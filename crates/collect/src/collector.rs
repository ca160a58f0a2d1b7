//! Ticks are gathered, per program image, until an interval ends.

use crate::gathered::Gathered;
use crate::image::{Image, Refreshed};
use crate::interval::{Frame, Interval};
use crate::module::{Module, Modules};
use crate::remaps::{self, Reading, Remaps};
use crate::stack_table::{Entry, Full, ImageSlot, Tick};
use crate::target::{TargetFacts, Targets};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use telegen_model::{FileOffset, Listed, ProcessFacts, TargetNumber, Token};
use telegen_process::{Error, ProcFs};

/// A process's mappings are not read again sooner than this, however many of its addresses are in none …
const MIN_REFRESH_INTERVAL: Duration = Duration::from_millis(100);
/// … and, while reading them again changes nothing, ever more seldom up to this: a program without frame pointers has
/// stray addresses all the time.
const MAX_REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// And not sooner than after so many times the CPU time that reading them has taken: very many mappings take long.
const REST: u32 = 20;
/// What the kernel side has noticed is read again, but not sooner after the last time than this …
const MIN_NOTICED_INTERVAL: Duration = Duration::from_millis(30);
/// … nor sooner after it was noticed than this: a loader is at work.
const LOADING: Duration = Duration::from_millis(3);

/// Of so many images mappings are read before what was read is told: until then all that is handed out to them is counted.
const READ_AT_ONCE: usize = 16;

/// What an image has mapped executable.
#[derive(Clone, Debug)]
pub enum CodeChange {
    /// This, and no other. The reading is to be dropped when the kernel side has been told.
    Mapped(Token, Vec<MappedCode>, Listed, Reading),
    /// The same as was said last. The reading is to be dropped when the kernel side has been told.
    Confirmed(Token, Listed, Reading),
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
    /// Tells how often addresses that were code have been handed out anew in an image, if it can be told.
    remaps: Box<dyn Remaps>,
    /// Images whose mappings are to be read again at some time.
    due: Vec<Token>,
    /// Images of which something earlier is kept.
    aging: Vec<Token>,
}

/// A program image that was announced, or that ticks have come from.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// `None` as long as there have only been ticks.
    pub(crate) image: Option<Image>,
    /// Its number in this interval, once it has had a tick.
    slot: Option<u32>,
    /// It has exited or is not a target any more: nothing comes after what is under way.
    ended: bool,
    /// When its mappings were last read, and how long they are good for.
    refreshed: Option<(Instant, Duration)>,
    /// How long they are left alone then at the least.
    rest: Duration,
    /// When they are to be read again in any case.
    due: Option<Due>,
    /// What was told last was of this count.
    told: Option<u32>,
}

/// When mappings are to be read again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Due {
    at: Instant,
    /// The kernel side has asked, and waits for an answer before it asks again.
    noticed: bool,
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
            gathered: Gathered::begun_at((SystemTime::now(), Instant::now())),
            losses: Losses::default(),
            changes: Vec::new(),
            remaps: Box::new(remaps::Unknown),
            due: Vec::new(),
            aging: Vec::new(),
        }
    }

    /// The same, where it is known how often code has given way to other code at the same addresses.
    #[must_use]
    pub fn with_remaps(mut self, remaps: impl Remaps + 'static) -> Self {
        self.remaps = Box::new(remaps);
        self
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
        let mut image_of_parent = parent.and_then(|parent| self.images.get_mut(&parent)?.image.as_mut());
        if let (Some(parent), Some(image)) = (parent, &mut image_of_parent) {
            image.advance_to_last(self.remaps.areas(parent, u32::MAX));
        }
        let image = Image::new(facts, image_of_parent.as_deref());
        let state = image.state();
        // Else it goes on by its parent's list, as the kernel side has it, until its own is read.
        let is_current = || self.remaps.state(id).is_some_and(|now| now.remaps == state.remaps);
        let known = self.images.entry(id).or_default();
        if image.has_mappings() && is_current() {
            let listed = Listed { state, gone: Vec::new() };
            self.changes.push(CodeChange::Mapped(id, image.code(), listed, Reading::default()));
            known.told = Some(state.remaps);
        }
        known.image = Some(image);
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
        let Some(known) = self.images.get(&id) else { return };
        let rest = known.rest.max(MIN_NOTICED_INTERVAL);
        let at = known.refreshed.map_or(now, |(then, _)| (now + LOADING).max(then + rest));
        self.make_due(id, Due { at, noticed: true });
        self.catch_up(now);
    }

    /// When [`Collector::catch_up`] has something to do.
    pub fn next_due(&self) -> Option<Instant> {
        self.due.iter().filter_map(|id| Some(self.images.get(id)?.due?.at)).min()
    }

    /// Reads again the mappings that are to be read again by now; of many some, so that what was read is told soon.
    pub fn catch_up(&mut self, now: Instant) {
        let is_due = |known: &Known| known.due.is_some_and(|due| due.at <= now);
        let due = self.due.extract_if(.., |id| self.images.get(id).is_none_or(is_due));
        let ids: Vec<_> = due.take(READ_AT_ONCE).collect();
        for id in ids {
            self.refresh(id, now);
        }
    }

    fn make_due(&mut self, id: Token, due: Due) {
        let Some(known) = self.images.get_mut(&id).filter(|known| !known.ended) else { return };
        match &mut known.due {
            Some(before) => {
                *before = Due { at: before.at.min(due.at), noticed: before.noticed || due.noticed };
            }
            none => {
                *none = Some(due);
                self.due.push(id);
            }
        }
    }

    /// How many changes there are to be taken.
    pub fn changes(&self) -> usize {
        self.changes.len()
    }

    /// What images have mapped and unmapped since the last call, for whoever unwinds their stacks.
    pub fn take_changes(&mut self) -> Vec<CodeChange> {
        std::mem::take(&mut self.changes)
    }

    /// Reads the mappings of an image again, now.
    fn refresh(&mut self, id: Token, now: Instant) {
        let Some(known) = self.images.get_mut(&id).filter(|known| !known.ended) else { return };
        let Some(image) = &mut known.image else { return };
        let due = known.due.take();
        let mut reading = self.remaps.reading(id);
        let begun = cpu_time();
        // A process that is gone keeps the mappings it was last seen with.
        let refreshed = image.refresh(&self.proc, &mut self.modules, &*self.remaps, id, &mut reading);
        let interval = match (&refreshed, known.refreshed) {
            (Ok(Refreshed::Changed | Refreshed::Overtaken), _) | (_, None) => MIN_REFRESH_INTERVAL,
            (_, Some((_, interval))) => (interval * 2).min(MAX_REFRESH_INTERVAL),
        };
        known.rest = cpu_time().saturating_sub(begun) * REST;
        let rest = known.rest;
        known.refreshed = Some((now, interval.max(rest)));
        let noticed = due.is_some_and(|due| due.noticed);
        if image.keeps_earlier() && !self.aging.contains(&id) {
            self.aging.push(id);
        }
        let mut state = image.state();
        let refreshed = match refreshed {
            // A child has what its parent had, and nobody has been told.
            Ok(Refreshed::Unchanged) if known.told.is_none() && image.has_mappings() => {
                Ok(Refreshed::Changed)
            }
            other => other,
        };
        match refreshed {
            Ok(Refreshed::Changed) => {
                known.told = Some(state.remaps);
                let listed = Listed { state, gone: image.gone() };
                self.changes.push(CodeChange::Mapped(id, image.code(), listed, reading));
            }
            Ok(Refreshed::Unchanged) if noticed || known.told != Some(state.remaps) => {
                // What it counts differs from what is read here: let it go by its own count.
                if known.told == Some(state.remaps) {
                    state.code_pages = 0;
                }
                known.told = Some(state.remaps);
                let listed = Listed { state, gone: image.gone() };
                self.changes.push(CodeChange::Confirmed(id, listed, reading));
            }
            Ok(Refreshed::Overtaken) => {
                self.make_due(id, Due { at: now + MIN_NOTICED_INTERVAL.max(rest), noticed });
            }
            // The kernel side waits for an answer.
            Err(error) if noticed && !matches!(error, Error::Gone { .. }) => {
                self.make_due(id, Due { at: now + interval.max(rest), noticed });
            }
            Ok(Refreshed::Unchanged) | Err(_) => {}
        }
    }

    /// The same, unless they were read a short while ago.
    fn refresh_now_and_then(&mut self, id: Token, now: Instant) {
        let read = self.images.get(&id).and_then(|known| known.refreshed);
        if read.is_none_or(|(then, interval)| now.duration_since(then) >= interval) {
            self.refresh(id, now);
        }
    }

    /// An image has exited, called exec or ceased to be a target. It is forgotten when the interval ends.
    pub fn end(&mut self, id: Token) {
        if let Some(known) = self.images.get_mut(&id) {
            known.ended = true;
            if let Some(image) = &mut known.image {
                // For samples that are under way: nobody will know any more.
                image.advance_to_last(self.remaps.areas(id, u32::MAX));
            }
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
        let slot = ImageSlot { index, epoch, remaps: tick.remaps, target };
        if let Err(Full) = self.gathered.stacks.record(slot, tick) {
            self.losses.stack_table_full += 1;
        }
    }

    /// Looks up the addresses of the stacks that are new since the last call, while what is mapped is still what it
    /// was when they were taken. To be called after each drain.
    pub fn settle(&mut self, now: Instant) {
        self.catch_up(now);
        let new = self.gathered.settled as u32..self.gathered.stacks.entries().len() as u32;
        self.gathered.settled = new.end as usize;
        let mut waiting = std::mem::take(&mut self.gathered.waiting);
        waiting.extend(new);
        let mut ahead = Vec::new();
        waiting.retain(|&entry| !self.settle_entry(entry, now, &mut ahead));
        self.gathered.waiting = waiting;
        let images = &mut self.images;
        self.aging
            .retain(|id| images.get_mut(id).and_then(|known| known.image.as_mut()).is_some_and(Image::age));
    }

    /// False if it is to wait. `ahead` are images of whose counts it has been asked in vain.
    fn settle_entry(&mut self, index: u32, now: Instant, ahead: &mut Vec<Token>) -> bool {
        let entry = self.gathered.stacks.entries()[index as usize].clone();
        let id = self.gathered.slots[entry.image.index as usize];
        let Some(known) = self.images.get_mut(&id) else { return false };
        let remaps = entry.image.remaps;
        if let Some(image) = known.image.as_mut().filter(|image| image.is_ahead(remaps))
            && !ahead.contains(&id)
        {
            image.advance_to(remaps, |count| self.remaps.areas(id, count));
            if image.is_ahead(remaps) {
                ahead.push(id);
            }
        }
        if known.needs_refresh(self.gathered.stacks.user(&entry), remaps) {
            self.refresh_now_and_then(id, now);
        }
        let Some(known) = self.images.get(&id).filter(|known| known.image.is_some()) else { return false };
        // A reading that is about to come may know of it.
        let is_due = known.due.is_some() && !known.ended;
        if is_due && known.needs_refresh(self.gathered.stacks.user(&entry), remaps) {
            return false;
        }
        match &known.image {
            // Of what is mapped now it will be known later.
            Some(image) if image.is_ahead(remaps) && !known.ended => false,
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
            if self.awaits(id, &entry, now.1) {
                self.refresh(id, now.1);
            }
            if let Some(image) = self.images.get(&id).and_then(|known| known.image.as_ref()) {
                self.gathered.add_row(index, &entry, Some(image).filter(|image| image.has_mappings()));
            } else {
                self.losses.unknown_process += entry.count;
            }
        }
        let next = Gathered::begun_at(now);
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

    /// Whether what a sample was taken of has not been read yet, and reading has not been tried at this moment.
    fn awaits(&self, id: Token, entry: &Entry, now: Instant) -> bool {
        let Some(known) = self.images.get(&id) else { return false };
        let tried = known.refreshed.is_some_and(|(then, _)| then == now);
        let is_ahead = |image: &Image| known.due.is_some() || image.is_ahead(entry.image.remaps);
        !tried && known.image.as_ref().is_some_and(is_ahead)
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

/// What the thread has run for.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

impl Known {
    /// Whether an address of a stack is in no mapping that is known.
    fn needs_refresh(&self, user: &[u64], remaps: u16) -> bool {
        match &self.image {
            Some(image) => {
                !image.has_mappings()
                    || user.iter().any(|&address| address != 0 && image.lookup(address - 1, remaps).is_none())
            }
            None => false,
        }
    }
}
