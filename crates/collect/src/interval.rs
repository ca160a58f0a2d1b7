//! What was gathered over one interval, free of addresses and of processes that may be gone.

use crate::generated_range::GeneratedRange;
use crate::module::Module;
use crate::target::Targets;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use telegen_model::{Ending, FileOffset, ProcessFacts, TargetNumber, Tid};
use telegen_process::JitDumpFile;

/// A place in a stack.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Frame {
    /// An address in the kernel.
    Kernel(u64),
    /// A place in one of the interval's modules.
    User {
        /// Index into [`Interval::modules`].
        module: u32,
        /// Where in it.
        offset: FileOffset,
    },
    /// An address in memory that a just-in-time compiler puts code into.
    Generated {
        /// Index into [`Interval::generated`].
        range: u32,
        /// Where in the memory of the row's process.
        address: u64,
    },
    /// No place: why the stack, or its user part, ends here.
    Marker(Marker),
}

/// Why a stack ends before its beginning.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Marker {
    /// It is longer than what is taken.
    Truncated,
    /// The next address is no code.
    Unmapped,
    /// There is no user stack.
    NoStack,
    /// The stack could not be read.
    Unreadable,
    /// There is neither unwind information nor a frame pointer to go on by.
    NoRule,
    /// There is unwind information that the kernel side cannot follow.
    Unsupported,
    /// It leads back to where it came from.
    NoProgress,
    /// The table that it should have been unwound by was not there yet, so that its callers may be wrong.
    NotReady,
    /// The process was gone before its mappings could be read.
    ProcessGone,
    /// Other code had taken the place of this before it could be told what it was.
    Replaced,
}

impl Marker {
    /// All markers.
    pub const ALL: [Self; 10] = [
        Self::Truncated,
        Self::Unmapped,
        Self::NoStack,
        Self::Unreadable,
        Self::NoRule,
        Self::Unsupported,
        Self::NoProgress,
        Self::NotReady,
        Self::ProcessGone,
        Self::Replaced,
    ];

    /// What a stack that ends so is marked with, if it is not whole.
    pub(crate) fn of_ending(ending: Ending) -> Option<Self> {
        match ending {
            Ending::Outermost => None,
            Ending::NoStack => Some(Self::NoStack),
            Ending::NoRule => Some(Self::NoRule),
            Ending::Unsupported => Some(Self::Unsupported),
            Ending::Unreadable => Some(Self::Unreadable),
            Ending::NoProgress => Some(Self::NoProgress),
            Ending::Unmapped => Some(Self::Unmapped),
            Ending::Truncated => Some(Self::Truncated),
        }
    }

    /// The name that stands in the stack.
    pub fn name(self) -> &'static str {
        match self {
            Self::Truncated => "[truncated]",
            Self::Unmapped => "[unwinding failed]",
            Self::NoStack => "[no user stack]",
            Self::Unreadable => "[stack not readable]",
            Self::NoRule => "[no unwind information]",
            Self::Unsupported => "[unwind information not supported]",
            Self::NoProgress => "[stack leads back]",
            Self::NotReady => "[no unwind table yet]",
            Self::ProcessGone => "[process gone]",
            Self::Replaced => "[code replaced]",
        }
    }

    /// The word for it in metrics.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Unmapped => "unmapped",
            Self::NoStack => "no_stack",
            Self::Unreadable => "unreadable",
            Self::NoRule => "no_rule",
            Self::Unsupported => "unsupported",
            Self::NoProgress => "no_progress",
            Self::NotReady => "not_ready",
            Self::ProcessGone => "process_gone",
            Self::Replaced => "replaced",
        }
    }
}

/// So many ticks of one thread with one stack.
#[derive(Clone, Debug)]
pub struct Row {
    /// Index into [`Interval::images`].
    pub image: u32,
    /// The target that it belonged to then.
    pub target: TargetNumber,
    /// The thread.
    pub tid: Tid,
    /// Its name, NUL-padded.
    pub thread_name: [u8; 16],
    /// Range of [`Interval::frames`], leaf first.
    pub frames: Range<u32>,
    /// How many ticks.
    pub count: u64,
}

/// What was gathered over one interval.
#[derive(Clone, Debug)]
pub struct Interval {
    /// When it began.
    pub start: SystemTime,
    /// How long it was.
    pub duration: Duration,
    /// Nanoseconds between two ticks of a CPU.
    pub period_ns: u64,
    /// The stacks.
    pub rows: Vec<Row>,
    /// The frames of all rows.
    pub frames: Vec<Frame>,
    /// What frames refer to. Their files stay open as long as they are referred to.
    pub modules: Vec<Arc<Module>>,
    /// What frames of generated code refer to.
    pub generated: Vec<GeneratedRange>,
    /// What rows refer to.
    pub images: Vec<Arc<ProcessFacts>>,
    /// What the targets of rows are.
    pub targets: Targets,
    /// For each of the images the file in which its just-in-time compiler writes what it compiles, if it does.
    pub jit_dumps: Vec<Option<Arc<JitDumpFile>>>,
}

impl Interval {
    /// How many ticks there are in all.
    pub fn total_count(&self) -> u64 {
        self.rows.iter().map(|row| row.count).sum()
    }

    /// The frames of a row, leaf first.
    pub fn frames_of(&self, row: &Row) -> &[Frame] {
        &self.frames[row.frames.start as usize..row.frames.end as usize]
    }

    /// How many ticks have a stack with this mark in it.
    pub fn count_marked(&self, marker: Marker) -> u64 {
        let marked = |row: &&Row| self.frames_of(row).contains(&Frame::Marker(marker));
        self.rows.iter().filter(marked).map(|row| row.count).sum()
    }
}
