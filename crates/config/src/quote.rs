//! Texts as YAML scalars.

use crate::yaml::{ScalarKind, plain_kind};
use std::fmt::Write;

/// A scalar that YAML reads as this text: plain where that is safe, else between double quotes, in one line and
/// in characters that every terminal can bear.
pub(crate) fn quoted(text: &str) -> String {
    if is_safe(text) { text.to_owned() } else { escaped(text) }
}

/// Whether a text means itself without quotes wherever in a document it stands. Stricter than YAML is.
fn is_safe(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/' || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "/_.+-".contains(c))
        && plain_kind(text) == ScalarKind::Text
        // Words that older YAML takes for booleans.
        && !["y", "n", "yes", "no", "on", "off"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// Between double quotes, with the escapes of YAML 1.2, chapter 5.7.
fn escaped(text: &str) -> String {
    let mut to = String::from("\"");
    for c in text.chars() {
        // Writing to a string does not fail.
        let _ = match c {
            '"' | '\\' => write!(to, "\\{c}"),
            '\n' => write!(to, "\\n"),
            '\t' => write!(to, "\\t"),
            ' '..='~' => write!(to, "{c}"),
            c if c.is_alphanumeric() => write!(to, "{c}"),
            c if u32::from(c) <= 0xffff => write!(to, "\\u{:04x}", u32::from(c)),
            c => write!(to, "\\U{:08x}", u32::from(c)),
        };
    }
    to.push('"');
    to
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_and_paths_need_no_quotes() {
        for text in ["java", "/opt/a-b/c.so", "python3", "7z", "_x"] {
            assert_eq!(quoted(text), text);
        }
    }

    #[test]
    fn whatever_yaml_takes_for_something_else_is_quoted() {
        for text in [
            "", "true", "null", "1", "1.5", "0x1f", "no", "*java", "{a,b}", "a: b", "a #b", "- a", "[::]:1",
            "1e5",
        ] {
            assert_eq!(quoted(text), format!("\"{text}\""));
        }
    }

    #[test]
    fn quotes_and_control_characters_are_escaped() {
        assert_eq!(quoted("a\"\\\n\u{1b}\u{85}ä\u{1f600}"), "\"a\\\"\\\\\\n\\u001b\\u0085ä\\U0001f600\"");
    }
}
