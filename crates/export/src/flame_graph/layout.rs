//! Which boxes a flame graph has, in units of its scale.

use crate::stack_tree::{NodeId, StackTree, Weight};

/// Rows beyond this are left out. Twice as deep as any stack that is recorded, for inlined functions.
const MAX_ROWS: u32 = 1024;
/// What of a picture is left out because nobody could see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Boxes with less of the picture's width.
    pub(super) min_share: f64,
    /// Boxes beyond so many, the narrowest first.
    pub(super) boxes: usize,
}

/// A node's place: `x..x + width` units of the scale from the left, in this row from the bottom.
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
    /// Width of the whole picture.
    pub(super) total: u64,
    pub(super) rows: u32,
    /// Whether stacks have been cut at the top for being too deep.
    pub(super) too_deep: bool,
}

impl Layout {
    /// Lays out a tree. `width_of` never makes a node narrower than what it calls together.
    pub(super) fn new<W: Weight>(
        tree: &StackTree<'_, W>,
        width_of: impl Fn(W) -> u64,
        limits: &Limits,
    ) -> Self {
        let total = width_of(tree.whole());
        let min_width = ((total as f64 * limits.min_share).ceil() as u64).max(1);
        let mut layout = Self { boxes: Vec::new(), total, rows: 1, too_deep: false };
        layout.place(tree, width_of, min_width);
        layout.keep_widest(limits.boxes);
        layout.rows = layout.boxes.iter().map(|placed| placed.row + 1).max().unwrap_or(1);
        layout
    }

    fn place<W: Weight>(&mut self, tree: &StackTree<'_, W>, width_of: impl Fn(W) -> u64, min_width: u64) {
        let mut pending = vec![Placed { node: StackTree::<W>::ROOT, x: 0, width: self.total, row: 0 }];
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
                let width = width_of(tree.node(node).total);
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
    use crate::stack_tree::Ticks;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn layout(tree: &StackTree<'_, Ticks>) -> Layout {
        Layout::new(tree, |ticks| ticks.count, &Limits { min_share: 0.0003, boxes: 40_000 })
    }

    fn names(tree: &StackTree<'_, Ticks>, layout: &Layout) -> Vec<(String, u64, u64, u32)> {
        layout.boxes.iter().map(|p| (tree.name(p.node).to_owned(), p.x, p.width, p.row)).collect()
    }

    #[test]
    fn callees_stand_on_their_caller_from_the_left() {
        let profile =
            Stacks::new().add("app", "main;b", 2).add("app", "main;a;c", 3).add("app", "main", 5).finish();
        let tree = StackTree::of_profile(&profile);
        let mut boxes = names(&tree, &layout(&tree));
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
        let tree = StackTree::of_profile(&profile);
        let boxes = names(&tree, &layout(&tree));
        assert!(!boxes.iter().any(|(name, ..)| name == "narrow"));
        assert!(boxes.contains(&("main".into(), 0, 1_000_000, 2)));
    }

    #[test]
    fn the_deepest_stack_has_an_end() {
        let profile = Stacks::new().add("app", &vec!["f"; 100_000].join(";"), 1).finish();
        let layout = layout(&StackTree::of_profile(&profile));
        assert_eq!((layout.rows, layout.too_deep), (MAX_ROWS, true));
    }

    #[test]
    fn the_narrowest_go_first_when_there_are_too_many() {
        let mut stacks = Stacks::new();
        for number in 0..20 {
            stacks = stacks.add("app", &format!("main;f{number}"), 10 + number);
        }
        let profile = stacks.finish();
        let tree = StackTree::of_profile(&profile);
        let mut layout = layout(&tree);
        layout.keep_widest(8);
        let widths: Vec<u64> = layout.boxes.iter().map(|placed| placed.width).collect();
        assert_eq!((widths.len(), widths.iter().filter(|width| (25..30).contains(*width)).count()), (8, 5));
    }

    proptest! {
        #[test]
        fn boxes_lie_within_their_caller_and_beside_each_other(profile in any_profile()) {
            let tree = StackTree::of_profile(&profile);
            let layout = layout(&tree);
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
