//! Which colour a box has: a class of style.css.

use crate::stack_tree::FrameKind;

/// Shades of each hue in style.css.
const SHADES: u64 = 8;

/// The class of a box: its hue by its kind, its shade by its name. The same name has the same colour in every picture.
pub(super) fn class(kind: FrameKind, name: &str) -> String {
    let hue = match kind {
        FrameKind::Root | FrameKind::Process => return "p".into(),
        FrameKind::Marker => return "m".into(),
        FrameKind::User => 'u',
        FrameKind::Kernel => 'k',
    };
    format!("{hue}{}", fnv1a(name) % SHADES)
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
        assert_eq!(class(FrameKind::User, "main"), class(FrameKind::User, "main"));
        assert!(class(FrameKind::Kernel, "main").starts_with('k'));
        assert_eq!(class(FrameKind::Marker, "[truncated]"), "m");
        assert_eq!(class(FrameKind::Process, "main"), "p");
    }

    #[test]
    fn every_shade_is_used_and_defined() {
        let style = include_str!("style.css");
        let used: HashSet<String> = (0..200).map(|n| class(FrameKind::User, &format!("f{n}"))).collect();
        assert_eq!(used.len() as u64, SHADES);
        for class in used.iter().map(|user| user.replace('u', "k")).chain(used.clone()) {
            assert!(style.contains(&format!(".{class} ")), "{class}");
        }
    }
}
