//! Text for people, on standard output.

use std::io::{self, IsTerminal, Write};

/// Writes to standard output. A reader that has gone away (`| head`) is not an error.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

/// Writes a line to standard error: what is not part of the result.
pub(crate) fn say(text: &str) {
    // There is nobody left to tell that nobody can be told.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// A line of standard error that is overwritten again and again; nothing if that is not a terminal.
pub(crate) struct ProgressLine {
    shown: bool,
    terminal: bool,
}

impl ProgressLine {
    pub(crate) fn new() -> Self {
        Self { shown: false, terminal: io::stderr().is_terminal() }
    }

    pub(crate) fn show(&mut self, text: &str) {
        if self.terminal {
            self.shown = true;
            // As above.
            let _ = write!(io::stderr().lock(), "\r\x1b[K{text}");
        }
    }

    /// Removes the line.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.shown) {
            // As above.
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.clear();
    }
}

/// A name that a process has given itself, fit to be shown: no control characters, no escapes, no line breaks, no
/// marks that turn the direction of writing.
pub(crate) fn shown(name: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        if hidden(c) { text.extend(c.escape_default()) } else { text.push(c) }
    }
    text
}

/// Columns, each as wide as its widest cell; the last one is not padded.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([header[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let mut text = String::new();
    let header: Vec<String> = header.iter().map(|&title| title.into()).collect();
    for row in std::iter::once(&header).chain(rows) {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let padding = if column + 1 == row.len() { 0 } else { widths[column] - cell.chars().count() + 2 };
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', padding));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A number with a comma between each three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How many of something there are, with the word for one of it or for several.
pub(crate) fn counted(count: u64, one: &str, several: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { several })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_write_to_the_terminal() {
        assert_eq!(shown("a\u{1b}[31m\nb"), "a\\u{1b}[31m\\nb");
        assert_eq!(shown("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(shown("naïve 名前"), "naïve 名前");
    }

    #[test]
    fn columns_line_up() {
        let rows = vec![vec!["1".into(), "java".into()], vec!["4711".into(), "x".into()]];
        assert_eq!(table(&["PID", "NAME"], &rows), "PID   NAME\n1     java\n4711  x\n");
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn one_is_not_several() {
        let processes = |count| counted(count, "process", "processes");
        assert_eq!(
            [0, 1, 2, 1001].map(processes),
            ["0 processes", "1 process", "2 processes", "1,001 processes"]
        );
    }
}
