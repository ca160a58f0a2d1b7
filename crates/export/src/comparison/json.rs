//! Two profiles side by side, as JSON.

use super::{Change, ChangedFunctions, Comparison};
use crate::stack_tree::{FrameKind, NodeId, StackTree};
use serde::ser::{SerializeSeq, SerializeStruct};
use serde::{Serialize, Serializer};
use std::io::{self, Write};

/// Changes of the format that a reader must know of.
const VERSION: u32 = 1;

pub(super) fn write(comparison: &Comparison, mut writer: impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut writer, &Document(comparison))?;
    writeln!(writer)?;
    writer.flush()
}

struct Document<'a>(&'a Comparison);

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let comparison = self.0;
        let Change { before, after } = comparison.whole();
        let [lasted_before, lasted_after] = comparison.durations();
        let mut document = serializer.serialize_struct("comparison", 7)?;
        document.serialize_field("format", "telegen-diff")?;
        document.serialize_field("version", &VERSION)?;
        document.serialize_field("type", &*comparison.sample_type().kind)?;
        document.serialize_field("unit", &*comparison.sample_type().unit)?;
        document.serialize_field("before", &Side { total: before, duration_ns: lasted_before.as_nanos() })?;
        document.serialize_field("after", &Side { total: after, duration_ns: lasted_after.as_nanos() })?;
        document.serialize_field("functions", &Functions(&comparison.functions(usize::MAX)))?;
        document.serialize_field("stacks", &Stacks(comparison.tree()))?;
        document.end()
    }
}

#[derive(Serialize)]
struct Side {
    total: u64,
    duration_ns: u128,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    kernel: bool,
    #[serde(rename = "self")]
    own: [u64; 2],
    total: [u64; 2],
}

struct Functions<'a>(&'a ChangedFunctions);

impl Serialize for Functions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.functions.iter().map(|function| Function {
            name: &function.name,
            kernel: function.is_kernel,
            own: pair(function.own),
            total: pair(function.total),
        }))
    }
}

#[derive(Serialize)]
struct Stack<'a> {
    frames: &'a [Frame<'a>],
    values: [u64; 2],
}

#[derive(Serialize)]
struct Frame<'a> {
    name: &'a str,
    kind: &'static str,
}

/// Stacks with a value of their own, the entry point first.
struct Stacks<'a>(&'a StackTree<'static, Change>);

impl Serialize for Stacks<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tree = self.0;
        let mut stacks = serializer.serialize_seq(None)?;
        let mut frames: Vec<Frame<'_>> = Vec::new();
        for step in tree.walk() {
            frames.truncate(step.depth.saturating_sub(1));
            if step.caller.is_some() {
                frames.push(frame(tree, step.node));
            }
            let own = tree.node(step.node).own;
            if own != Change::default() {
                stacks.serialize_element(&Stack { frames: &frames, values: pair(own) })?;
            }
        }
        stacks.end()
    }
}

fn frame<'a>(tree: &'a StackTree<'static, Change>, node: NodeId) -> Frame<'a> {
    Frame { name: tree.name(node), kind: FrameKind::name(tree.node(node).kind) }
}

fn pair(change: Change) -> [u64; 2] {
    [change.before, change.after]
}
