//! Which binaries have tables, who uses them, and what the kernel side is told.

use crate::{Binary, Layout, RawRule, RuleBook, Table};
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::collections::VecDeque;
use telegen_model::{FileId, Listed, SpaceState, Token};

/// The kernel side, as the registry needs it.
pub trait KernelSide {
    /// What it knows a table by.
    type Slot: Copy;

    /// Takes all rules there are.
    fn extend_rules(&mut self, rules: &[RawRule]);
    /// Takes a table; `None` if it has no room.
    fn add_table(&mut self, table: &Table) -> Option<Self::Slot>;
    /// Forgets a table, which no image refers to any more.
    fn remove_table(&mut self, slot: Self::Slot);
    /// Takes what an image has mapped, ascending.
    fn set_mapped(&mut self, image: Token, ranges: &[Range<Self::Slot>], state: SpaceState);
    /// Forgets what an image has mapped.
    fn remove_mapped(&mut self, image: Token);
}

/// An executable mapping, as the kernel side is told of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Range<S> {
    /// First address.
    pub start: u64,
    /// First address past it.
    pub end: u64,
    /// The table, and the position in it of the start.
    pub table: TableState<S>,
}

/// What there is to unwind a mapping by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TableState<S> {
    /// Frame pointers alone.
    None,
    /// A table that is being made.
    Awaited,
    /// A table, and the position in it.
    Ready {
        /// The table.
        slot: S,
        /// Of the mapping's start.
        position: u32,
    },
}

/// Code that an image has mapped.
#[derive(Clone, Debug)]
pub struct Code<H> {
    /// First address.
    pub start: u64,
    /// First address past it.
    pub end: u64,
    /// Where in the binary the start is.
    pub offset: u64,
    /// The binary, and how it can be read; none for code that no binary describes.
    pub binary: Option<(FileId, H)>,
}

/// How large tables may become.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableLimits {
    /// All tables, in bytes. Beyond it a binary has none.
    pub bytes: usize,
    /// Tables that nobody uses, kept because the same program may be started again.
    pub unused_bytes: usize,
}

/// Figures for metrics.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct TableFigures {
    /// Tables that the kernel side has.
    pub tables: usize,
    /// Their bytes.
    pub bytes: usize,
    /// Their rows.
    pub rows: usize,
    /// Binaries that could not be read, or have no call frame information.
    pub without: u64,
    /// Tables that found no room.
    pub refused: u64,
    /// Different rules.
    pub rules: usize,
    /// Functions that call frame information does not describe, of all tables that were made, …
    pub found_functions: u64,
    /// … their rows, …
    pub found_rows: u64,
    /// … the bytes of all such code, padding among them, …
    pub undescribed_bytes: u64,
    /// … and of those that have a rule.
    pub known_bytes: u64,
}

/// All tables and who uses them; the one thread that owns it also owns the kernel side's maps.
#[derive(Debug)]
pub struct Registry<S, H> {
    book: RuleBook,
    limits: TableLimits,
    binaries: HashMap<FileId, Entry<S>, RandomState>,
    images: HashMap<Token, ImageCode, RandomState>,
    jobs: VecDeque<(FileId, H)>,
    /// Counts uses, so that of unused tables the one used least recently goes first.
    clock: u64,
    figures: TableFigures,
}

/// What an image has mapped, and what that was read of.
#[derive(Debug, Default)]
struct ImageCode {
    code: Vec<Code<()>>,
    listed: Listed,
}

#[derive(Debug)]
struct Entry<S> {
    /// Mappings, of all images.
    users: usize,
    used: u64,
    state: State<S>,
}

#[derive(Debug)]
enum State<S> {
    Awaited,
    None,
    Ready { slot: S, layout: Layout, bytes: usize, rows: usize },
}

impl<S: Copy, H> Registry<S, H> {
    /// A registry of nothing, with room for `max_rules` rules.
    pub fn new(max_rules: usize, limits: TableLimits) -> Self {
        Self {
            book: RuleBook::new(max_rules),
            limits,
            binaries: HashMap::default(),
            images: HashMap::default(),
            jobs: VecDeque::new(),
            clock: 0,
            figures: TableFigures::default(),
        }
    }

    /// An image has mapped this code, and no other, ascending.
    pub fn mapped(
        &mut self,
        image: Token,
        code: Vec<Code<H>>,
        listed: Listed,
        kernel: &mut impl KernelSide<Slot = S>,
    ) {
        let before = self.images.remove(&image);
        let mut known = Vec::with_capacity(code.len());
        for Code { start, end, offset, binary } in code {
            let binary = binary.map(|(id, handle)| (self.begin_use(id, handle), ()));
            known.push(Code { start, end, offset, binary });
        }
        let known = ImageCode { code: known, listed };
        self.tell(image, &known, kernel);
        self.images.insert(image, known);
        self.end_uses(before.unwrap_or_default().code, kernel);
    }

    /// An image has the same code mapped in this state of its address space.
    pub fn confirmed(&mut self, image: Token, listed: Listed, kernel: &mut impl KernelSide<Slot = S>) {
        if let Some(known) = self.images.get_mut(&image) {
            known.listed = listed;
        }
        self.tell_again(image, kernel);
    }

    /// What an image has mapped is told as it was last.
    pub fn tell_again(&self, image: Token, kernel: &mut impl KernelSide<Slot = S>) {
        if let Some(known) = self.images.get(&image) {
            self.tell(image, known, kernel);
        }
    }

    /// An image is gone.
    pub fn unmapped(&mut self, image: Token, kernel: &mut impl KernelSide<Slot = S>) {
        // It may have been read and found to have nothing.
        kernel.remove_mapped(image);
        if let Some(known) = self.images.remove(&image) {
            self.end_uses(known.code, kernel);
        }
    }

    /// The binary whose table is to be made next, if somebody still uses it.
    pub fn next_job(&mut self) -> Option<(FileId, H)> {
        self.next_job_of(|_| true)
    }

    /// The same, of those that fit.
    pub fn next_job_of(&mut self, fits: impl Fn(&H) -> bool) -> Option<(FileId, H)> {
        loop {
            let at = self.jobs.iter().position(|(_, handle)| fits(handle))?;
            let (id, handle) = self.jobs.remove(at)?;
            match self.binaries.get(&id) {
                Some(Entry { users: 1.., state: State::Awaited, .. }) => return Some((id, handle)),
                Some(Entry { state: State::Awaited, .. }) => _ = self.binaries.remove(&id),
                _ => {}
            }
        }
    }

    /// A table has been made, or cannot be.
    pub fn finish_job(&mut self, id: &FileId, made: Option<Binary>, kernel: &mut impl KernelSide<Slot = S>) {
        if !self.binaries.contains_key(id) {
            return;
        }
        let made = made.filter(|binary| binary.compiled.table.blocks() > 0);
        self.figures.without += u64::from(made.is_none());
        if let Some(Binary { compiled, .. }) = &made {
            self.figures.found_functions += compiled.found.functions;
            self.figures.found_rows += compiled.found.rows;
            self.figures.undescribed_bytes += compiled.found.undescribed_bytes;
            self.figures.known_bytes += compiled.found.known_bytes;
        }
        let state = made.map_or(State::None, |binary| self.install(binary, kernel));
        let Some(entry) = self.binaries.get_mut(id) else { return };
        entry.state = state;
        let uses = |known: &ImageCode| {
            known.code.iter().any(|code| code.binary.as_ref().is_some_and(|(of, ())| of == id))
        };
        for (image, known) in self.images.iter().filter(|(_, known)| uses(known)) {
            self.tell(*image, known, kernel);
        }
    }

    /// Removes all tables that nobody uses.
    pub fn drop_unused(&mut self, kernel: &mut impl KernelSide<Slot = S>) {
        while self.evict(kernel) {}
    }

    /// How much there is.
    pub fn figures(&self) -> TableFigures {
        self.figures
    }

    fn begin_use(&mut self, id: FileId, handle: H) -> FileId {
        self.clock += 1;
        let entry = self.binaries.entry(id.clone()).or_insert_with(|| {
            self.jobs.push_back((id.clone(), handle));
            Entry { users: 0, used: 0, state: State::Awaited }
        });
        entry.users += 1;
        entry.used = self.clock;
        id
    }

    fn end_uses(&mut self, code: Vec<Code<()>>, kernel: &mut impl KernelSide<Slot = S>) {
        for (id, ()) in code.into_iter().filter_map(|code| code.binary) {
            let Some(entry) = self.binaries.get_mut(&id) else { continue };
            entry.users -= 1;
            if entry.users == 0 && matches!(entry.state, State::None) {
                self.binaries.remove(&id);
            }
        }
        while self.unused_bytes() > self.limits.unused_bytes && self.evict(kernel) {}
    }

    fn install(&mut self, binary: Binary, kernel: &mut impl KernelSide<Slot = S>) -> State<S> {
        let Binary { mut compiled, layout } = binary;
        let (bytes, rows) = (compiled.table.bytes().len(), compiled.table.rows());
        while self.figures.bytes + bytes > self.limits.bytes && self.evict(kernel) {}
        if self.figures.bytes + bytes > self.limits.bytes {
            self.figures.refused += 1;
            return State::None;
        }
        let numbers: Vec<_> = compiled.book.rules().iter().map(|rule| self.book.number_raw(*rule)).collect();
        compiled.table.renumber(&numbers);
        kernel.extend_rules(self.book.rules());
        let Some(slot) = kernel.add_table(&compiled.table) else {
            self.figures.refused += 1;
            return State::None;
        };
        self.figures.rules = self.book.rules().len();
        self.figures.tables += 1;
        self.figures.bytes += bytes;
        self.figures.rows += rows;
        State::Ready { slot, layout, bytes, rows }
    }

    fn unused_bytes(&self) -> usize {
        self.binaries.values().filter(|entry| entry.users == 0).map(Entry::bytes).sum()
    }

    /// Removes the table that has been out of use for longest; false if all are in use.
    fn evict(&mut self, kernel: &mut impl KernelSide<Slot = S>) -> bool {
        let unused = self.binaries.iter().filter(|(_, entry)| entry.users == 0);
        let ready = unused.filter(|(_, entry)| matches!(entry.state, State::Ready { .. }));
        let Some(oldest) = ready.min_by_key(|(_, entry)| entry.used).map(|(id, _)| id.clone()) else {
            return false;
        };
        if let Some(Entry { state: State::Ready { slot, bytes, rows, .. }, .. }) =
            self.binaries.remove(&oldest)
        {
            kernel.remove_table(slot);
            self.figures.tables -= 1;
            self.figures.bytes -= bytes;
            self.figures.rows -= rows;
        }
        true
    }

    fn tell(&self, image: Token, known: &ImageCode, kernel: &mut impl KernelSide<Slot = S>) {
        let range = |code: &Code<()>| {
            let entry = code.binary.as_ref().and_then(|(id, ())| self.binaries.get(id));
            let table = match entry.map(|entry| &entry.state) {
                Some(State::Awaited) => TableState::Awaited,
                Some(State::Ready { slot, layout, .. }) => match layout.position(code.offset) {
                    Some(position) => TableState::Ready { slot: *slot, position },
                    None => TableState::None,
                },
                Some(State::None) | None => TableState::None,
            };
            Range { start: code.start, end: code.end, table }
        };
        // Nothing is known of what comes where code was before.
        let gone = known.listed.gone.iter();
        let gone = gone.map(|gone| Range { start: gone.start, end: gone.end, table: TableState::Awaited });
        let mut ranges: Vec<_> = known.code.iter().map(range).chain(gone).collect();
        ranges.sort_by_key(|range| range.start);
        kernel.set_mapped(image, &ranges, known.listed.state);
    }
}

impl<S> Entry<S> {
    fn bytes(&self) -> usize {
        match &self.state {
            State::Ready { bytes, .. } => *bytes,
            State::Awaited | State::None => 0,
        }
    }
}
