//! The stacks of a profile, merged from their roots.

use std::collections::HashMap;
use telegen_model::{LabelValue, LocationKind, Profile, Sample, StringId};

/// The label whose value stands below the stack of each sample.
const PROCESS_LABEL: &str = "process.executable.name";

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

/// Equal names of one kind below the same callers.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) name: StringId,
    pub(crate) kind: FrameKind,
    /// Samples in this node and above it.
    pub(crate) count: u64,
    /// What they stand for.
    pub(crate) value: u64,
    /// Samples in this node itself.
    pub(crate) self_count: u64,
    /// What was called from here, by name.
    pub(crate) children: Vec<NodeId>,
}

/// Index into a [`StackTree`].
pub(crate) type NodeId = u32;

/// The stacks of a profile, merged from their roots.
///
/// Inlined functions are frames like others. Below the frames stands the process, if the labels name it.
pub(crate) struct StackTree<'a> {
    profile: &'a Profile,
    nodes: Vec<Node>,
}

impl<'a> StackTree<'a> {
    /// The node that holds all others. It has no name.
    pub(crate) const ROOT: NodeId = 0;

    pub(crate) fn new(profile: &'a Profile) -> Self {
        let mut tree = Self { profile, nodes: vec![Node::new(StringId::default(), FrameKind::Root)] };
        let mut index = HashMap::new();
        let processes = process_names(profile);
        for sample in &profile.samples {
            tree.add(sample, processes[sample.labels.0 as usize], &mut index);
        }
        tree.sort();
        tree
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id as usize]
    }

    pub(crate) fn name(&self, id: NodeId) -> &'a str {
        self.profile.strings.get(self.node(id).name)
    }

    fn add(
        &mut self,
        sample: &Sample,
        process: Option<StringId>,
        index: &mut HashMap<(NodeId, StringId, FrameKind), NodeId>,
    ) {
        let process = process.map(|name| (name, FrameKind::Process));
        let mut at = Self::ROOT;
        self.count(at, sample);
        for (name, kind) in process.into_iter().chain(frames_from_root(self.profile, sample)) {
            at = *index.entry((at, name, kind)).or_insert_with(|| {
                let id = NodeId::try_from(self.nodes.len()).expect("2^32 nodes do not fit in memory");
                self.nodes.push(Node::new(name, kind));
                self.nodes[at as usize].children.push(id);
                id
            });
            self.count(at, sample);
        }
        let leaf = &mut self.nodes[at as usize];
        leaf.self_count = leaf.self_count.saturating_add(sample.count);
    }

    fn count(&mut self, id: NodeId, sample: &Sample) {
        let node = &mut self.nodes[id as usize];
        node.count = node.count.saturating_add(sample.count);
        node.value = node.value.saturating_add(sample.value);
    }

    /// Puts children in the order of their names, so that the order of samples does not show.
    fn sort(&mut self) {
        for id in 0..self.nodes.len() {
            let mut children = std::mem::take(&mut self.nodes[id].children);
            children.sort_unstable_by_key(|&child| (self.name(child), self.node(child).kind));
            self.nodes[id].children = children;
        }
    }
}

impl Node {
    fn new(name: StringId, kind: FrameKind) -> Self {
        Self { name, kind, count: 0, value: 0, self_count: 0, children: Vec::new() }
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
        let tree = StackTree::new(&profile);
        let path = |names: &[&str]| {
            names.iter().fold(StackTree::ROOT, |at, name| {
                let found = tree.node(at).children.iter().find(|&&child| tree.name(child) == *name);
                *found.expect("a child of that name")
            })
        };
        let counts = |names: &[&str]| (tree.node(path(names)).count, tree.node(path(names)).self_count);
        assert_eq!(counts(&[]), (10, 0));
        assert_eq!(counts(&["app", "main"]), (10, 0));
        assert_eq!(counts(&["app", "main", "a"]), (5, 3));
        assert_eq!(counts(&["app", "main", "a", "b"]), (2, 2));
        assert_eq!(tree.node(path(&["app"])).kind, FrameKind::Process);
    }

    proptest! {
        #[test]
        fn a_node_is_the_sum_of_itself_and_its_children(profile in any_profile()) {
            let tree = StackTree::new(&profile);
            prop_assert_eq!(tree.node(StackTree::ROOT).count, profile.total_count());
            for node in &tree.nodes {
                let children: u64 = node.children.iter().map(|&child| tree.node(child).count).sum();
                prop_assert_eq!(node.count, node.self_count + children);
                let order: Vec<_> = node.children.iter().map(|&child| (tree.name(child), tree.node(child).kind)).collect();
                prop_assert!(order.is_sorted());
            }
        }
    }
}
