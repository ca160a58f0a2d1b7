//! The text of a file, and places in it.

use std::fmt::{self, Write};
use std::ops::Range;

/// A range of bytes in a [`Source`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// A file's name and its text, without a byte-order mark.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    pub(crate) name: &'a str,
    pub(crate) text: &'a str,
}

/// One line of a file with a part of it underlined, ready to be printed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Excerpt {
    file: String,
    line: usize,
    column: usize,
    /// The line, or as much of it around the underlined part as fits.
    shown: String,
    /// Columns of `shown` in front of the underlined part.
    indent: usize,
    /// Columns of the underlined part; at least 1.
    width: usize,
}

impl Source<'_> {
    /// How many characters of a line are shown in front of the underlined part, and from its start on.
    const BEFORE: usize = 60;
    const AFTER: usize = 100;

    /// The line that a span begins in, with the part of the span that lies in it underlined.
    pub(crate) fn excerpt(&self, span: Span) -> Box<Excerpt> {
        let start = self.floor(span.start);
        let line = self.line_around(start);
        let before = &self.text[line.start..start];
        let rest = &self.text[start..line.end];
        let marked = &self.text[start..self.floor(span.end).clamp(start, line.end)];
        let marked = marked.trim_end();

        let skipped = before.chars().count().saturating_sub(Self::BEFORE);
        let mut shown = String::from(if skipped > 0 { "…" } else { "" });
        before.chars().skip(skipped).for_each(|c| show(c, &mut shown));
        let indent = shown.chars().count();
        rest.chars().take(Self::AFTER).for_each(|c| show(c, &mut shown));
        if rest.chars().nth(Self::AFTER).is_some() {
            shown.push('…');
        }
        let mut underlined = String::new();
        marked.chars().take(Self::AFTER).for_each(|c| show(c, &mut underlined));
        Box::new(Excerpt {
            file: self.name.to_owned(),
            line: self.line_number(line.start),
            column: before.chars().count() + 1,
            shown: shown.trim_end().to_owned(),
            indent,
            width: underlined.chars().count().max(1),
        })
    }

    /// `at`, or if nothing but blanks and line breaks follows, the end of what stands before it.
    pub(crate) fn last_visible(&self, at: usize) -> usize {
        let at = self.floor(at);
        if self.text[at..].trim().is_empty() { self.text.trim_end().len().min(at) } else { at }
    }

    /// The nearest character boundary at or before `at`.
    fn floor(&self, at: usize) -> usize {
        let mut at = at.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }

    /// The line that holds `at`, without its line break.
    fn line_around(&self, at: usize) -> Range<usize> {
        let is_break = |c: char| c == '\n' || c == '\r';
        let start = self.text[..at].rfind(is_break).map_or(0, |at| at + 1);
        let end = self.text[at..].find(is_break).map_or(self.text.len(), |length| at + length);
        start..end
    }

    /// The number of the line that begins at `start`, from 1. YAML ends lines by `\n`, `\r\n` or `\r`.
    fn line_number(&self, start: usize) -> usize {
        let bytes = &self.text.as_bytes()[..start];
        let carriage_returns = bytes.iter().filter(|byte| **byte == b'\r').count();
        let line_feeds = bytes
            .iter()
            .enumerate()
            .filter(|(at, byte)| **byte == b'\n' && (*at == 0 || bytes[at - 1] != b'\r'))
            .count();
        1 + carriage_returns + line_feeds
    }
}

impl Excerpt {
    /// The line's number, from 1.
    pub(crate) fn line(&self) -> usize {
        self.line
    }

    /// The underlined part's first column, from 1, in characters.
    pub(crate) fn column(&self) -> usize {
        self.column
    }

    /// Writes the place and the underlined line, each line behind a line break; `label` goes behind the carets.
    pub(crate) fn write(&self, f: &mut fmt::Formatter<'_>, label: &str) -> fmt::Result {
        let gutter = self.margin();
        let number = self.line;
        write!(f, "\n{gutter}--> {}:{}:{}", self.file, self.line, self.column)?;
        write!(f, "\n{gutter} |\n{}", format!("{number} | {}", self.shown).trim_end())?;
        let (indent, carets) = (" ".repeat(self.indent), "^".repeat(self.width));
        write!(f, "\n{}", format!("{gutter} | {indent}{carets} {label}").trim_end())
    }

    /// As many blanks as the line's number has digits, so that what stands below lines up.
    pub(crate) fn margin(&self) -> String {
        " ".repeat(self.line.to_string().len())
    }
}

/// Writes a character as it may go to a terminal: nothing that moves the cursor or turns the text around.
pub(crate) fn show(c: char, to: &mut String) {
    match c {
        '\t' => to.push_str("    "),
        c if c.is_control() || is_bidirectional_control(c) => {
            // Writing to a string does not fail.
            let _ = write!(to, "{}", c.escape_default());
        }
        c => to.push(c),
    }
}

/// A text as it may go to a terminal, cut to a bearable length.
pub(crate) fn shown(text: &str) -> String {
    const LONGEST: usize = 80;
    let mut to = String::new();
    text.chars().take(LONGEST).for_each(|c| show(c, &mut to));
    if text.chars().nth(LONGEST).is_some() {
        to.push('…');
    }
    to
}

/// Characters that reorder what is displayed around them (Unicode standard annex 9).
fn is_bidirectional_control(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(text: &str, start: usize, end: usize) -> Box<Excerpt> {
        Source { name: "c.yaml", text }.excerpt(Span { start, end })
    }

    #[test]
    fn lines_and_columns_are_counted_in_characters_from_one() {
        let excerpt = excerpt("a: 1\näöü: x\n", 12, 13);
        assert_eq!((excerpt.line, excerpt.column), (2, 5));
        assert_eq!((excerpt.shown.as_str(), excerpt.indent, excerpt.width), ("äöü: x", 4, 1));
    }

    #[test]
    fn every_kind_of_line_break_counts_once() {
        for text in ["a\nb\nc", "a\r\nb\r\nc", "a\rb\rc"] {
            let at = text.len() - 1;
            assert_eq!(excerpt(text, at, at + 1).line, 3, "{text:?}");
        }
    }

    #[test]
    fn a_span_of_several_lines_is_underlined_in_its_first() {
        let excerpt = excerpt("a: [1,\n 2]\n", 3, 10);
        assert_eq!((excerpt.line, excerpt.width), (1, 3));
    }

    #[test]
    fn a_long_line_is_shown_in_part() {
        let text = format!("{}X{}", "a".repeat(5_000), "b".repeat(5_000));
        let excerpt = excerpt(&text, 5_000, 10_001);
        assert_eq!(excerpt.column, 5_001);
        assert!(excerpt.shown.chars().count() < 200);
        assert_eq!(excerpt.shown.chars().nth(excerpt.indent), Some('X'));
    }

    #[test]
    fn spans_outside_of_the_text_or_within_a_character_do_no_harm() {
        assert_eq!(excerpt("ä", 1, 9).column, 1);
        assert_eq!(excerpt("", 5, 2).width, 1);
    }

    #[test]
    fn nothing_reaches_the_terminal_unescaped() {
        assert_eq!(shown("a\u{1b}[31m\u{202e}b"), "a\\u{1b}[31m\\u{202e}b");
    }
}
