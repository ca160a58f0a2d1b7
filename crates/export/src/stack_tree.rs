//! The stacks of a profile, merged from their roots.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::AddAssign;
use telegen_model::{LabelValue, LocationKind, Profile, Sample, StringId, StringTable};

/// The label whose value stands below the stack of each sample.
pub(crate) const PROCESS_LABEL: &str = "process.executable.name";

/// What a node of the tree stands for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) enum FrameKind {
    /// All samples of the profile.
    Root,
    /// A process, by the name of its executable.
    Process,
    /// A function of a program.
    User,
    /// A function of the kernel.
    Kernel,
    /// No function, but a note such as `[truncated]`.
    Marker,
}

impl FrameKind {
    /// What formats for programs call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Process => "process",
            Self::User => "user",
            Self::Kernel => "kernel",
            Self::Marker => "marker",
        }
    }
}

/// What the nodes of a tree are measured in; adding never overflows.
pub(crate) trait Weight: Copy + Default + PartialEq + AddAssign {}

/// Samples, and what they stand for.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Ticks {
    pub(crate) count: u64,
    /// In the unit of the profile's kind.
    pub(crate) value: u64,
}

impl Weight for Ticks {}

impl AddAssign for Ticks {
    fn add_assign(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.value = self.value.saturating_add(other.value);
    }
}

/// Equal names of one kind below the same callers.
#[derive(Clone, Debug)]
pub(crate) struct Node<W> {
    pub(crate) name: StringId,
    pub(crate) kind: FrameKind,
    /// This node and all above it.
    pub(crate) total: W,
    /// This node itself.
    pub(crate) own: W,
    /// What was called from here, by name.
    pub(crate) children: Vec<NodeId>,
}

/// Index into a [`StackTree`].
pub(crate) type NodeId = u32;

/// Stacks, merged from their roots.
///
/// Inlined functions are frames like others. Below the frames stands the process, if the labels name it.
#[derive(Clone, Debug)]
pub(crate) struct StackTree<'a, W> {
    names: Cow<'a, StringTable>,
    nodes: Vec<Node<W>>,
}

impl StackTree<'_, Ticks> {
    /// The stacks of a profile.
    pub(crate) fn of_profile(profile: &Profile) -> StackTree<'_, Ticks> {
        let mut builder = StackTreeBuilder::new();
        let processes = process_names(profile);
        for sample in &profile.samples {
            let process = processes[sample.labels.0 as usize].map(|name| (name, FrameKind::Process));
            let frames = process.into_iter().chain(frames_from_root(profile, sample));
            builder.add(frames, Ticks { count: sample.count, value: sample.value });
        }
        builder.finish(Cow::Borrowed(&profile.strings))
    }
}

impl<W: Weight> StackTree<'_, W> {
    /// The node that holds all others. It has no name.
    pub(crate) const ROOT: NodeId = 0;

    pub(crate) fn node(&self, id: NodeId) -> &Node<W> {
        &self.nodes[id as usize]
    }

    pub(crate) fn name(&self, id: NodeId) -> &str {
        self.names.get(self.node(id).name)
    }

    /// All that the tree holds.
    pub(crate) fn whole(&self) -> W {
        self.node(Self::ROOT).total
    }

    /// All nodes, each after its caller, with the caller and the number of callers below it; those with one caller by
    /// name.
    pub(crate) fn walk(&self) -> impl Iterator<Item = Step> {
        let mut pending = vec![Step { node: Self::ROOT, caller: None, depth: 0 }];
        std::iter::from_fn(move || {
            let step = pending.pop()?;
            let callee = |&node: &NodeId| Step { node, caller: Some(step.node), depth: step.depth + 1 };
            pending.extend(self.node(step.node).children.iter().rev().map(callee));
            Some(step)
        })
    }

    /// Puts children in the order of their names, so that the order of samples does not show.
    fn sort(&mut self) {
        for id in 0..self.nodes.len() {
            let mut children = std::mem::take(&mut self.nodes[id].children);
            children.sort_unstable_by(|&one, &other| {
                (self.name(one), self.node(one).kind).cmp(&(self.name(other), self.node(other).kind))
            });
            self.nodes[id].children = children;
        }
    }
}

/// A node on the way through a tree.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) node: NodeId,
    pub(crate) caller: Option<NodeId>,
    pub(crate) depth: usize,
}

/// Merges stacks.
pub(crate) struct StackTreeBuilder<W> {
    nodes: Vec<Node<W>>,
    index: HashMap<(NodeId, StringId, FrameKind), NodeId>,
}

impl<W: Weight> StackTreeBuilder<W> {
    pub(crate) fn new() -> Self {
        Self { nodes: vec![Node::new(StringId::default(), FrameKind::Root)], index: HashMap::new() }
    }

    /// Adds a stack, the entry point first.
    pub(crate) fn add(&mut self, frames: impl Iterator<Item = (StringId, FrameKind)>, weight: W) {
        let mut at = StackTree::<W>::ROOT;
        self.nodes[at as usize].total += weight;
        for (name, kind) in frames {
            at = *self.index.entry((at, name, kind)).or_insert_with(|| {
                let id = NodeId::try_from(self.nodes.len()).expect("2^32 nodes do not fit in memory");
                self.nodes.push(Node::new(name, kind));
                self.nodes[at as usize].children.push(id);
                id
            });
            self.nodes[at as usize].total += weight;
        }
        self.nodes[at as usize].own += weight;
    }

    /// The tree; `names` are those that its stacks refer to.
    pub(crate) fn finish(self, names: Cow<'_, StringTable>) -> StackTree<'_, W> {
        let mut tree = StackTree { names, nodes: self.nodes };
        tree.sort();
        tree
    }
}

impl<W: Weight> Node<W> {
    fn new(name: StringId, kind: FrameKind) -> Self {
        Self { name, kind, total: W::default(), own: W::default(), children: Vec::new() }
    }
}

/// The name of the process for each set of labels.
fn process_names(profile: &Profile) -> Vec<Option<StringId>> {
    let key = profile.strings.iter().position(|string| string == PROCESS_LABEL);
    let name = |&(name, value): &(StringId, LabelValue)| match value {
        LabelValue::Text(text) if Some(name.0 as usize) == key => Some(text),
        _ => None,
    };
    profile.label_sets.iter().map(|labels| labels.0.iter().find_map(name)).collect()
}

/// The functions on the stack of a sample, the entry point first.
fn frames_from_root<'a>(
    profile: &'a Profile,
    sample: &Sample,
) -> impl Iterator<Item = (StringId, FrameKind)> + use<'a> {
    profile.stacks[sample.stack.0 as usize].iter().rev().flat_map(|location| {
        let location = &profile.locations[location.0 as usize];
        let kind = location.kind.into();
        let functions = location.lines.iter().rev().map(|line| &profile.functions[line.function.0 as usize]);
        functions.map(move |function| (function.name, kind))
    })
}

impl From<LocationKind> for FrameKind {
    fn from(kind: LocationKind) -> Self {
        match kind {
            LocationKind::User => Self::User,
            LocationKind::Kernel => Self::Kernel,
            LocationKind::Marker => Self::Marker,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_profile::{Stacks, any_profile};
    use proptest::prelude::*;

    #[test]
    fn stacks_share_what_they_have_in_common_from_the_root_on() {
        let profile =
            Stacks::new().add("app", "main;a;b", 2).add("app", "main;a", 3).add("app", "main;c", 5).finish();
        let tree = StackTree::of_profile(&profile);
        let path = |names: &[&str]| {
            names.iter().fold(StackTree::<Ticks>::ROOT, |at, name| {
                let found = tree.node(at).children.iter().find(|&&child| tree.name(child) == *name);
                *found.expect("a child of that name")
            })
        };
        let counts = |names: &[&str]| (tree.node(path(names)).total.count, tree.node(path(names)).own.count);
        assert_eq!(counts(&[]), (10, 0));
        assert_eq!(counts(&["app", "main"]), (10, 0));
        assert_eq!(counts(&["app", "main", "a"]), (5, 3));
        assert_eq!(counts(&["app", "main", "a", "b"]), (2, 2));
        assert_eq!(tree.node(path(&["app"])).kind, FrameKind::Process);
    }

    proptest! {
        #[test]
        fn a_node_is_the_sum_of_itself_and_its_children(profile in any_profile()) {
            let tree = StackTree::of_profile(&profile);
            prop_assert_eq!(tree.whole().count, profile.total_count());
            for node in &tree.nodes {
                let children: u64 = node.children.iter().map(|&child| tree.node(child).total.count).sum();
                prop_assert_eq!(node.total.count, node.own.count + children);
                let order: Vec<_> = node.children.iter().map(|&child| (tree.name(child), tree.node(child).kind)).collect();
                prop_assert!(order.is_sorted());
            }
            let (mut depths, mut steps) = (vec![None; tree.nodes.len()], 0);
            for step in tree.walk() {
                let caller = step.caller.map(|caller| depths[caller as usize].expect("callers come first"));
                prop_assert_eq!(step.depth, caller.map_or(0, |depth: usize| depth + 1));
                depths[step.node as usize] = Some(step.depth);
                steps += 1;
            }
            prop_assert_eq!(steps, tree.nodes.len());
        }
    }
}
