//! What is kept of the debug information of files that were looked at lately.

use crate::dwarf::{DebugFrame, DebugInfo, Limits, SplitFiles};
use crate::elf::Elf;
use crate::go::GoTable;
use crate::mini_debug_info::MiniDebugInfo;
use crate::{Error, Failure};
use std::collections::VecDeque;
use std::fs::File;
use telegen_model::FileId;

/// Files that are remembered, most of which have no debug information.
const MAX_FILES: usize = 512;
/// What a file costs beside its debug information: its build id, its turn.
const FILE_BYTES: usize = 256;
/// Lookups in a file that may take too long before its debug information is left alone.
const MAX_COSTLY_LOOKUPS: u32 = 3;

/// Device and inode of a separate debug file, and of what it has in common with others.
type Identities = [Option<(u64, u64)>; 2];

/// Where the debug information of a file is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DebugSource<'a> {
    /// The file itself, or its separate debug file.
    pub(crate) elf: &'a Elf<'a>,
    pub(crate) supplementary: Option<&'a Elf<'a>>,
    /// Of what is not the file itself.
    pub(crate) separate: Identities,
}

/// The debug information of files, those used last in the back.
#[derive(Debug)]
pub(crate) struct DebugInfos {
    budget_bytes: usize,
    limits: Limits,
    files: VecDeque<(FileId, Kept)>,
}

/// What is known of a file.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    info: Option<DebugInfo>,
    /// Go's table, once it has been looked for.
    go: Option<Option<GoTable>>,
    /// Which files that is in.
    read_from: Identities,
    /// Symbols that the file carries along, compressed; the outer `None` if nobody has looked yet.
    mini: Option<Option<MiniDebugInfo>>,
    costly_lookups: u32,
    /// What has been counted of this file already.
    counted: Vec<Failure>,
}

impl DebugInfos {
    pub(crate) fn new(budget_bytes: usize, limits: Limits) -> Self {
        Self { budget_bytes, limits, files: VecDeque::new() }
    }

    /// What is known of a file; if nothing is, its debug information is read.
    pub(crate) fn open(&mut self, id: &FileId, source: DebugSource<'_>) -> (&mut Kept, Option<Failure>) {
        let mut failure = None;
        let held = self.files.iter().position(|(held, _)| held == id).and_then(|at| self.files.remove(at));
        let kept = match held {
            Some((_, kept)) if kept.read_from == source.separate => kept,
            _ => {
                let mut info = DebugInfo::read(source.elf, self.limits).unwrap_or_else(|error| {
                    failure = Some(Failure::of_debug_info(&error));
                    None
                });
                if let (Some(info), Some(elf)) = (&mut info, source.supplementary)
                    && let Err(error) = info.add_supplementary(elf, self.limits)
                {
                    failure = Some(Failure::of_debug_info(&error));
                }
                Kept { info, read_from: source.separate, ..Kept::default() }
            }
        };
        if self.files.len() >= MAX_FILES {
            self.files.pop_front();
        }
        self.files.push_back((id.clone(), kept));
        let last = self.files.len() - 1;
        (&mut self.files[last].1, failure)
    }

    /// What a lookup may cost.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Drops what was used longest ago, until the rest is within the budget: first what makes a second lookup in a file
    /// faster than the first, then the list of its units.
    pub(crate) fn shrink(&mut self) {
        let mut bytes = self.bytes();
        for at in 0..self.files.len() {
            if bytes <= self.budget_bytes {
                return;
            }
            if let Some(info) = &mut self.files[at].1.info {
                let held = info.bytes();
                info.shrink(held.saturating_sub(bytes - self.budget_bytes));
                bytes -= held - info.bytes();
            }
        }
        while self.bytes() > self.budget_bytes && self.files.pop_front().is_some() {}
    }

    /// Drops everything.
    pub(crate) fn clear(&mut self) {
        self.files = VecDeque::new();
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        let held = |(_, kept): &(FileId, Kept)| FILE_BYTES + kept.bytes();
        self.files.iter().map(held).sum()
    }
}

impl Kept {
    /// The functions at each of some ascending addresses, and what has kept it from knowing more.
    pub(crate) fn frames(
        &mut self,
        source: DebugSource<'_>,
        addresses: &[u64],
        limits: Limits,
        split_files: Option<&dyn SplitFiles>,
    ) -> (Vec<Vec<DebugFrame>>, Option<Failure>) {
        let Some(info) = &mut self.info else { return (vec![Vec::new(); addresses.len()], None) };
        let (frames, error) = info.frames(source.elf, source.supplementary, addresses, limits, split_files);
        if matches!(error, Some(Error::TooCostly)) {
            self.costly_lookups += 1;
            if self.costly_lookups >= MAX_COSTLY_LOOKUPS {
                self.info = None;
            }
        }
        (frames, error.as_ref().map(Failure::of_debug_info))
    }

    /// Fills in what Go's table knows of those of the same addresses that have no function yet.
    pub(crate) fn fill_from_go_table(
        &mut self,
        elf: &Elf<'_>,
        addresses: &[u64],
        frames: &mut [Vec<DebugFrame>],
        limits: Limits,
    ) -> Option<Failure> {
        let has_none = |frames: &Vec<DebugFrame>| frames.last().is_none_or(|frame| frame.function.is_none());
        let open: Vec<usize> = (0..frames.len()).filter(|&at| has_none(&frames[at])).collect();
        if open.is_empty() {
            return None;
        }
        let mut failure = None;
        let table = *self.go.get_or_insert_with(|| {
            GoTable::find(elf, limits).unwrap_or_else(|error| {
                failure = Some(Failure::of_debug_info(&error));
                None
            })
        });
        let Some(table) = table else { return failure };
        let wanted: Vec<u64> = open.iter().map(|&at| addresses[at]).collect();
        let (found, error) = table.frames(elf, &wanted, limits);
        if matches!(error, Some(Error::TooCostly)) {
            self.costly_lookups += 1;
            if self.costly_lookups >= MAX_COSTLY_LOOKUPS {
                self.go = Some(None);
            }
        }
        for (at, found) in open.into_iter().zip(found).filter(|(_, found)| !found.is_empty()) {
            frames[at] = found;
        }
        failure.or(error.as_ref().map(Failure::of_debug_info))
    }

    /// The symbols that the file carries along, as an ELF file, and what has kept them from being read.
    pub(crate) fn mini_debug_info(
        &mut self,
        elf: &Elf<'_>,
        limits: Limits,
    ) -> (Option<&File>, Option<Failure>) {
        let mut failure = None;
        let mini = self.mini.get_or_insert_with(|| {
            MiniDebugInfo::read(elf, limits.inflated_bytes).unwrap_or_else(|error| {
                failure = Some(Failure::of_symbols(&error));
                None
            })
        });
        (mini.as_ref().map(|mini| &mini.file), failure)
    }

    fn bytes(&self) -> usize {
        let mini = self.mini.as_ref().and_then(|mini| mini.as_ref()).map_or(0, |mini| mini.bytes);
        self.info.as_ref().map_or(0, DebugInfo::bytes) + mini
    }

    /// Whether this is the first time that the file fails in this way.
    pub(crate) fn is_new(&mut self, failure: Failure) -> bool {
        let new = !self.counted.contains(&failure);
        if new {
            self.counted.push(failure);
        }
        new
    }
}
