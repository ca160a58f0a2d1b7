//! Which colour a box has: a class of palette.css.

use crate::stack_tree::FrameKind;

/// Shades of each hue in palette.css.
const SHADES: u64 = 8;

/// The class of a box: its hue by its kind, its shade by its name. The same name has the same colour in every picture.
pub(super) fn by_kind(kind: FrameKind, name: &str) -> String {
    let hue = match kind {
        FrameKind::Root | FrameKind::Process => return "p".into(),
        FrameKind::Marker => return "m".into(),
        FrameKind::User => 'u',
        FrameKind::Kernel => 'k',
    };
    format!("{hue}{}", fnv1a(name) % SHADES)
}

/// Steps of growth, and of shrinking, in palette.css.
const STEPS: f64 = 5.0;
/// Relative changes below this have no colour.
const UNCHANGED: f64 = 0.01;

/// The class of a box by its shares before and after: what is new has the strongest red, what is gone the strongest
/// blue.
pub(super) fn by_change([before, after]: [f64; 2]) -> String {
    let relative = if before + after > 0.0 { (after - before) / (before + after) } else { 0.0 };
    if relative.abs() < UNCHANGED {
        return "n".into();
    }
    let step = (relative.abs() * STEPS).ceil().clamp(1.0, STEPS);
    format!("{}{step}", if relative > 0.0 { 'g' } else { 's' })
}

/// A hash that is the same in every build, unlike those of the standard library.
fn fnv1a(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // The low bits of the product depend on the low bits of the bytes only.
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_name_has_one_colour_of_its_kind() {
        assert_eq!(by_kind(FrameKind::User, "main"), by_kind(FrameKind::User, "main"));
        assert!(by_kind(FrameKind::Kernel, "main").starts_with('k'));
        assert_eq!(by_kind(FrameKind::Marker, "[truncated]"), "m");
        assert_eq!(by_kind(FrameKind::Process, "main"), "p");
    }

    #[test]
    fn every_shade_is_used_and_defined() {
        let style = include_str!("palette.css");
        let used: HashSet<String> = (0..200).map(|n| by_kind(FrameKind::User, &format!("f{n}"))).collect();
        assert_eq!(used.len() as u64, SHADES);
        let changes: HashSet<String> =
            (0..=100).map(|n| by_change([f64::from(n), f64::from(100 - n)])).collect();
        assert_eq!(changes.len(), 11);
        let kernel = used.iter().map(|user| user.replace('u', "k"));
        for class in kernel.chain(used.clone()).chain(changes) {
            assert!(style.contains(&format!(".{class} ")), "{class}");
        }
    }

    #[test]
    fn growth_is_red_and_loss_is_blue() {
        let classes =
            [[0.0, 0.2], [0.1, 0.11], [0.1, 0.1], [0.3, 0.2], [0.1, 0.0], [0.0, 0.0]].map(by_change);
        assert_eq!(classes, ["g5", "g1", "n", "s1", "s5", "n"]);
    }
}
