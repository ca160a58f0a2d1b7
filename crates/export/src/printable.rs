//! Foreign names, made harmless to look at.

use std::fmt::{self, Write};

/// A name that can be shown anywhere: on one line, in one direction, with no power over a terminal.
///
/// Control characters, line and paragraph separators, the characters that turn the direction of writing, and
/// characters that are none (U+FFFE and its like) are shown as Rust and C write them: `\n`, `\x1b`, `\u{202e}`.
/// A backslash becomes two, so that different names never look the same and the name can be had back.
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(pub &'a str);

/// Longest name that a table shows whole, in characters.
const MAX_TABLE_CHARS: usize = 100;

impl Printable<'_> {
    /// The name as a table shows it: with an ellipsis if it is too long.
    pub(crate) fn shortened(self) -> String {
        let shown = self.to_string();
        match shown.char_indices().nth(MAX_TABLE_CHARS) {
            None => shown,
            Some(_) => shown.chars().take(MAX_TABLE_CHARS - 1).chain(['…']).collect(),
        }
    }
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| write_char(c, f))
    }
}

/// Writes one character so that it can be shown.
pub(crate) fn write_char(c: char, to: &mut impl Write) -> fmt::Result {
    match c {
        '\\' => to.write_str("\\\\"),
        '\n' => to.write_str("\\n"),
        '\r' => to.write_str("\\r"),
        '\t' => to.write_str("\\t"),
        '\0'..='\x1f' | '\x7f' => write!(to, "\\x{:02x}", u32::from(c)),
        c if is_treacherous(c) => write!(to, "\\u{{{:x}}}", u32::from(c)),
        c => to.write_char(c),
    }
}

/// Whether a character beyond ASCII does something else than stand for itself.
fn is_treacherous(c: char) -> bool {
    matches!(c,
        '\u{80}'..='\u{9f}'                                             // C1 controls
        | '\u{200e}' | '\u{200f}' | '\u{61c}'                           // direction marks
        | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'             // direction overrides
        | '\u{2028}' | '\u{2029}'                                       // line and paragraph separators
        | '\u{feff}' | '\u{fdd0}'..='\u{fdef}'                          // byte order mark, non-characters
    ) || u32::from(c) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_would_act_is_shown_instead() {
        let shown = Printable("a\u{1b}[31m\n\u{202e}b\\c\u{9b}\u{ffff}").to_string();
        assert_eq!(shown, r"a\x1b[31m\n\u{202e}b\\c\u{9b}\u{ffff}");
    }

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for name in ["std::vec<int, A>::~vec()", "größe", "関数", "🦀", "a b;c"] {
            assert_eq!(Printable(name).to_string(), name);
        }
    }

    proptest! {
        #[test]
        fn nothing_that_acts_is_left(name in any::<String>()) {
            let shown = Printable(&name).to_string();
            prop_assert!(!shown.chars().any(|c| c.is_control() || is_treacherous(c)), "{shown:?}");
        }

        #[test]
        fn different_names_look_different(one in "[\\\\nx01b\n\u{1b}]{0,6}", other in "[\\\\nx01b\n\u{1b}]{0,6}") {
            prop_assert_eq!(one == other, Printable(&one).to_string() == Printable(&other).to_string());
        }
    }
}
