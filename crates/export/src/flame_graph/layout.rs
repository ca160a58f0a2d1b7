//! Which boxes a flame graph has, in units of samples.

use crate::stack_tree::{NodeId, StackTree};

/// Width of the boxes' area, in pixels, while no script has made it another.
pub(super) const WIDTH_PX: f64 = 1180.0;
/// Narrower boxes are left out: they would not be seen.
const MIN_WIDTH_PX: f64 = 0.3;
/// Rows beyond this are left out. Twice as deep as any stack that is recorded, for inlined functions.
const MAX_ROWS: u32 = 1024;
/// A picture with more boxes is one that no browser shows. The narrowest are left out.
const MAX_BOXES: usize = 40_000;

/// A node's place: `x..x + width` samples from the left, in this row from the bottom.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Placed {
    pub(super) node: NodeId,
    pub(super) x: u64,
    pub(super) width: u64,
    pub(super) row: u32,
}

/// The boxes of a flame graph, each after its caller.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) boxes: Vec<Placed>,
    /// Samples of the whole picture.
    pub(super) total: u64,
    pub(super) rows: u32,
    /// Whether stacks have been cut at the top for being too deep.
    pub(super) too_deep: bool,
}

impl Layout {
    pub(super) fn new(tree: &StackTree<'_>) -> Self {
        let total = tree.node(StackTree::ROOT).count;
        let min_width = ((total as f64 * MIN_WIDTH_PX / WIDTH_PX).ceil() as u64).max(1);
        let mut layout = Self { boxes: Vec::new(), total, rows: 1, too_deep: false };
        layout.place(tree, min_width);
        layout.keep_widest(MAX_BOXES);
        layout.rows = layout.boxes.iter().map(|placed| placed.row + 1).max().unwrap_or(1);
        layout
    }

    fn place(&mut self, tree: &StackTree<'_>, min_width: u64) {
        let mut pending = vec![Placed { node: StackTree::ROOT, x: 0, width: self.total, row: 0 }];
        while let Some(placed) = pending.pop() {
            if placed.width < min_width {
                continue;
            }
            if placed.row >= MAX_ROWS {
                self.too_deep = true;
                continue;
            }
            self.boxes.push(placed);
            let mut x = placed.x;
            for &node in &tree.node(placed.node).children {
                let width = tree.node(node).count;
                pending.push(Placed { node, x, width, row: placed.row + 1 });
                x += width;
            }
        }
    }

    /// A caller is as wide as what it calls, or wider: leaving out by width alone never leaves a box in the air.
    fn keep_widest(&mut self, most: usize) {
        if self.boxes.len() <= most {
            return;
        }
        let mut widths: Vec<u64> = self.boxes.iter().map(|placed| placed.width).collect();
        let (_, &mut too_narrow, _) = widths.select_nth_unstable_by(most, |one, other| other.cmp(one));
        self.boxes.retain(|placed| placed.width > too_narrow);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_profile::{Stacks, any_profile};
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn names(tree: &StackTree<'_>, layout: &Layout) -> Vec<(String, u64, u64, u32)> {
        layout.boxes.iter().map(|p| (tree.name(p.node).to_owned(), p.x, p.width, p.row)).collect()
    }

    #[test]
    fn callees_stand_on_their_caller_from_the_left() {
        let profile =
            Stacks::new().add("app", "main;b", 2).add("app", "main;a;c", 3).add("app", "main", 5).finish();
        let tree = StackTree::new(&profile);
        let mut boxes = names(&tree, &Layout::new(&tree));
        boxes.sort_by_key(|(_, x, _, row)| (*row, *x));
        let expected = [
            ("", 0, 10, 0),
            ("app", 0, 10, 1),
            ("main", 0, 10, 2),
            ("a", 0, 3, 3),
            ("b", 3, 2, 3),
            ("c", 0, 3, 4),
        ];
        assert_eq!(boxes, expected.map(|(name, x, width, row)| (name.to_owned(), x, width, row)));
    }

    #[test]
    fn what_is_too_narrow_is_left_out_and_still_counts_below() {
        let profile = Stacks::new().add("app", "main;wide", 999_999).add("app", "main;narrow", 1).finish();
        let tree = StackTree::new(&profile);
        let boxes = names(&tree, &Layout::new(&tree));
        assert!(!boxes.iter().any(|(name, ..)| name == "narrow"));
        assert!(boxes.contains(&("main".into(), 0, 1_000_000, 2)));
    }

    #[test]
    fn the_deepest_stack_has_an_end() {
        let profile = Stacks::new().add("app", &vec!["f"; 100_000].join(";"), 1).finish();
        let layout = Layout::new(&StackTree::new(&profile));
        assert_eq!((layout.rows, layout.too_deep), (MAX_ROWS, true));
    }

    #[test]
    fn the_narrowest_go_first_when_there_are_too_many() {
        let mut stacks = Stacks::new();
        for number in 0..20 {
            stacks = stacks.add("app", &format!("main;f{number}"), 10 + number);
        }
        let profile = stacks.finish();
        let tree = StackTree::new(&profile);
        let mut layout = Layout::new(&tree);
        layout.keep_widest(8);
        let widths: Vec<u64> = layout.boxes.iter().map(|placed| placed.width).collect();
        assert_eq!((widths.len(), widths.iter().filter(|width| (25..30).contains(*width)).count()), (8, 5));
    }

    proptest! {
        #[test]
        fn boxes_lie_within_their_caller_and_beside_each_other(profile in any_profile()) {
            let tree = StackTree::new(&profile);
            let layout = Layout::new(&tree);
            let parents: HashMap<NodeId, Placed> = layout.boxes.iter().map(|placed| (placed.node, *placed)).collect();
            for parent in &layout.boxes {
                let mut end = parent.x;
                for child in tree.node(parent.node).children.iter().filter_map(|child| parents.get(child)) {
                    prop_assert!(child.x >= end && child.row == parent.row + 1);
                    end = child.x + child.width;
                }
                prop_assert!(end <= parent.x + parent.width);
            }
        }
    }
}
