//! What widths, colours and remarks mean in a picture.

use super::palette;
use crate::comparison::Change;
use crate::quantity::{Quantity, grouped};
use crate::stack_tree::{FrameKind, Ticks};

/// What widths, colours and remarks mean in a picture of nodes that are measured in `W`.
pub(super) trait Scale<W> {
    /// What a page's script calls it.
    const NAME: &'static str;
    /// Colours, by the class of one of them, and what they stand for.
    const LEGEND: [(&'static str, &'static str); 3];

    /// A node's width. No node is narrower than what it calls together.
    fn width(&self, weight: W) -> u64;
    /// The class of a node's colour.
    fn class(&self, weight: W, kind: FrameKind, name: &str) -> String;
    /// What is said of a node beside its name.
    fn about(&self, weight: W) -> String;
    /// The numbers from which a page's script makes the same.
    fn numbers(&self, weight: W) -> [u64; 2];
    /// The unit of these numbers, the last of them if they differ.
    fn unit(&self) -> &str;
}

/// As wide as there are samples, coloured by kind.
pub(super) struct TickScale {
    pub(super) whole: Ticks,
    /// The unit of what they stand for.
    pub(super) unit: &'static str,
}

impl Scale<Ticks> for TickScale {
    const NAME: &'static str = "ticks";
    const LEGEND: [(&'static str, &'static str); 3] = [("u1", "program"), ("k1", "kernel"), ("m", "marker")];

    fn width(&self, ticks: Ticks) -> u64 {
        ticks.count
    }

    fn class(&self, _: Ticks, kind: FrameKind, name: &str) -> String {
        palette::by_kind(kind, name)
    }

    fn about(&self, ticks: Ticks) -> String {
        let percent = ticks.count as f64 * 100.0 / self.whole.count as f64;
        let time = Quantity { value: ticks.value, unit: self.unit };
        format!("{} samples, {percent:.2} %, {time}", grouped(ticks.count))
    }

    fn numbers(&self, ticks: Ticks) -> [u64; 2] {
        [ticks.count, ticks.value]
    }

    fn unit(&self) -> &str {
        self.unit
    }
}

/// As wide as the shares of both profiles together, coloured by which is the larger.
pub(super) struct ChangeScale<'a> {
    pub(super) whole: Change,
    pub(super) unit: &'a str,
}

/// Width of each of the two profiles.
const SIDE: u64 = 1_000_000_000;

impl Scale<Change> for ChangeScale<'_> {
    const NAME: &'static str = "change";
    const LEGEND: [(&'static str, &'static str); 3] = [("g4", "grown"), ("s4", "shrunk"), ("n", "unchanged")];

    fn width(&self, change: Change) -> u64 {
        let side = |part: u64, whole: u64| match whole {
            0 => 0,
            // Rounded down, so that no sum is more than its whole. A share of `SIDE` fits.
            whole => (u128::from(part) * u128::from(SIDE) / u128::from(whole)) as u64,
        };
        side(change.before, self.whole.before) + side(change.after, self.whole.after)
    }

    fn class(&self, change: Change, kind: FrameKind, _: &str) -> String {
        match kind {
            FrameKind::Root => palette::by_kind(kind, ""),
            _ => palette::by_change(change.shares(self.whole)),
        }
    }

    fn about(&self, change: Change) -> String {
        let [before, after] = change.shares(self.whole).map(|share| share * 100.0);
        let value = |value| Quantity { value, unit: self.unit };
        format!(
            "{:+.2} points: before {before:.2} % ({}), after {after:.2} % ({})",
            after - before,
            value(change.before),
            value(change.after)
        )
    }

    fn numbers(&self, change: Change) -> [u64; 2] {
        [change.before, change.after]
    }

    fn unit(&self) -> &str {
        self.unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shares_make_the_width_not_values() {
        let scale = ChangeScale { whole: Change { before: 10, after: 1000 }, unit: "nanoseconds" };
        assert_eq!(
            scale.width(Change { before: 5, after: 0 }),
            scale.width(Change { before: 0, after: 500 })
        );
        assert_eq!(scale.width(scale.whole), 2 * SIDE);
        let empty = ChangeScale { whole: Change { before: 0, after: 8 }, unit: "bytes" };
        assert_eq!(empty.width(empty.whole), SIDE);
        let text = scale.about(Change { before: 1, after: 250 });
        assert_eq!(text, "+15.00 points: before 10.00 % (0 µs), after 25.00 % (0 µs)");
    }

    proptest! {
        #[test]
        fn parts_are_never_wider_than_their_whole(parts in prop::collection::vec((0..u64::MAX / 16, 0..u64::MAX / 16), 1..9)) {
            let mut whole = Change::default();
            for &(before, after) in &parts {
                whole += Change { before, after };
            }
            let scale = ChangeScale { whole, unit: "count" };
            let sum: u64 = parts.iter().map(|&(before, after)| scale.width(Change { before, after })).sum();
            prop_assert!(sum <= scale.width(whole));
        }
    }
}
