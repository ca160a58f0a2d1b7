//! Two profiles side by side.

mod functions;
mod json;

use crate::pprof::{PprofFile, SampleType};
use crate::quantity::Quantity;
use crate::stack_tree::{FrameKind, StackTree, StackTreeBuilder, Weight};
use crate::{Error, flame_graph, folded};
pub use functions::{ChangedFunction, ChangedFunctions};
use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::ops::AddAssign;
use std::time::Duration;
use telegen_model::{StringId, StringTable};

/// What one and the same thing weighs before and after.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Change {
    /// Its value in the first profile.
    pub before: u64,
    /// Its value in the second.
    pub after: u64,
}

impl Weight for Change {}

impl AddAssign for Change {
    fn add_assign(&mut self, other: Self) {
        self.before = self.before.saturating_add(other.before);
        self.after = self.after.saturating_add(other.after);
    }
}

/// Two profiles side by side: what has grown and what has shrunk.
///
/// Recordings differ in length and machines in load, so shares of the whole are compared, not values.
#[derive(Clone, Debug)]
pub struct Comparison {
    tree: StackTree<'static, Change>,
    sample_type: SampleType,
    durations: [Duration; 2],
}

impl Comparison {
    /// Compares the values by which the first wants to be shown.
    pub fn new(before: &PprofFile, after: &PprofFile) -> Result<Self, Error> {
        let sample_type = before.default_type().clone();
        let [in_before, in_after] = [before, after].map(|file| position(file, &sample_type));
        let (Some(in_before), Some(in_after)) = (in_before, in_after) else {
            let [before, after] = [before, after].map(|file| listed(file.sample_types()));
            return Err(Error::NothingInCommon { before, after });
        };
        let mut names = StringTable::new();
        let mut builder = StackTreeBuilder::new();
        add(&mut builder, &mut names, before, in_before, |before| Change { before, after: 0 });
        add(&mut builder, &mut names, after, in_after, |after| Change { before: 0, after });
        let durations = [before.duration(), after.duration()];
        Ok(Self { tree: builder.finish(Cow::Owned(names)), sample_type, durations })
    }

    /// What is compared.
    pub fn sample_type(&self) -> &SampleType {
        &self.sample_type
    }

    /// All of both profiles.
    pub fn whole(&self) -> Change {
        self.tree.whole()
    }

    /// How long each was recorded for; zero if it does not say.
    pub fn durations(&self) -> [Duration; 2] {
        self.durations
    }

    /// The functions whose share has changed most.
    pub fn functions(&self, limit: usize) -> ChangedFunctions {
        ChangedFunctions::new(&self.tree, limit)
    }

    /// Writes each stack with its value before and its value after, as difffolded.pl of the FlameGraph tools does.
    pub fn write_folded(&self, writer: impl Write) -> io::Result<()> {
        let weight = |own: Change, to: &mut dyn Write| write!(to, "{} {}", own.before, own.after);
        folded::write_tree(&self.tree, writer, weight)
    }

    /// Writes a flame graph as SVG. A box is as wide as its shares of both together; red ones have grown, blue ones
    /// have shrunk.
    pub fn write_svg(&self, writer: impl Write) -> io::Result<()> {
        flame_graph::write_comparison_svg(self, writer)
    }

    /// Writes the same flame graph as a page.
    pub fn write_html(&self, writer: impl Write) -> io::Result<()> {
        flame_graph::write_comparison_html(self, writer)
    }

    /// Writes functions and stacks as JSON.
    pub fn write_json(&self, writer: impl Write) -> io::Result<()> {
        json::write(self, writer)
    }

    pub(crate) fn tree(&self) -> &StackTree<'static, Change> {
        &self.tree
    }
}

/// `before 1.20 s in 10.00 s · after 1.50 s in 10.00 s`
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change { before, after } = self.whole();
        let unit = &self.sample_type.unit;
        let sides = [("before", before, self.durations[0]), (" · after", after, self.durations[1])];
        for (name, value, duration) in sides {
            write!(f, "{name} {}", Quantity { value, unit })?;
            if !duration.is_zero() {
                write!(f, " in {}", Quantity::of_time(duration))?;
            }
        }
        Ok(())
    }
}

impl Change {
    /// Both as shares of a whole, from 0 to 1. What is nothing has no share.
    pub fn shares(self, whole: Self) -> [f64; 2] {
        let share = |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 / whole as f64 };
        [share(self.before, whole.before), share(self.after, whole.after)]
    }

    /// By how much of the whole the share has grown; below 0 if it has shrunk.
    pub fn growth(self, whole: Self) -> f64 {
        let [before, after] = self.shares(whole);
        after - before
    }
}

fn position(file: &PprofFile, sample_type: &SampleType) -> Option<usize> {
    file.sample_types().iter().position(|of| of == sample_type)
}

fn listed(types: &[SampleType]) -> String {
    let name = |of: &SampleType| format!("{}/{}", of.kind, of.unit);
    types.iter().map(name).collect::<Vec<_>>().join(", ")
}

fn add(
    builder: &mut StackTreeBuilder<Change>,
    names: &mut StringTable,
    file: &PprofFile,
    sample_type: usize,
    weight: impl Fn(u64) -> Change,
) {
    let ids: Vec<StringId> = file.names().iter().map(|name| names.intern(name)).collect();
    for (frames, value) in file.stacks(sample_type) {
        let frames = frames.map(|(name, kind): (StringId, FrameKind)| (ids[name.0 as usize], kind));
        builder.add(frames, weight(value));
    }
}

#[cfg(test)]
mod tests;
