//! Perf maps: the text files in which just-in-time compilers say what they have compiled.

use std::sync::Arc;

/// The longest line that is taken: two numbers and a name. Signatures of Java methods can be long.
const MAX_LINE_BYTES: usize = 8 << 10;
/// How much of a name is kept.
const MAX_NAME_BYTES: usize = 1 << 10;
/// How often, in one pass, an address may be found in a function. Addresses are few and code is seldom replaced;
/// functions that all contain all addresses would cost without end.
const MAX_MATCHES: usize = 1 << 20;

/// What a pass over a perf map has brought.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PerfMapNames {
    /// The function at each address, in the order of the addresses.
    pub names: Vec<Option<Arc<str>>>,
    /// Lines that are not what they should be, or too long.
    pub malformed: u64,
    /// Whether the pass was given up, because too many functions contain too many addresses.
    pub too_costly: bool,
    /// Bytes up to the end of the last whole line.
    pub whole_bytes: u64,
}

/// Finds the functions at addresses in the text of a perf map, which is gone through once and not held.
///
/// Each line is `START SIZE NAME`, the numbers hexadecimal. A compiler only ever appends, and uses memory again: of
/// several functions at an address the last one counts. A last line without an end is still being written, and is left
/// for the next pass.
#[derive(Debug)]
pub struct PerfMapParser<'a> {
    addresses: &'a [u64],
    found: PerfMapNames,
    matches: usize,
    /// A line whose end has not come yet.
    begun: Vec<u8>,
    /// Bytes of it that were dropped as it is longer than what is taken.
    dropped: u64,
}

impl<'a> PerfMapParser<'a> {
    /// A parser that looks for these addresses, which ascend.
    pub fn new(addresses: &'a [u64]) -> Self {
        let found = PerfMapNames { names: vec![None; addresses.len()], ..PerfMapNames::default() };
        Self { addresses, found, matches: 0, begun: Vec::new(), dropped: 0 }
    }

    /// Takes the next piece of the text, wherever that has been cut. Whether it pays to go on.
    pub fn push(&mut self, mut text: &[u8]) -> bool {
        while let Some(end) = text.iter().position(|&byte| byte == b'\n') {
            self.end_line(&text[..end]);
            text = &text[end + 1..];
            if self.found.too_costly {
                return false;
            }
        }
        self.keep(text);
        true
    }

    /// What was found.
    pub fn finish(self) -> PerfMapNames {
        self.found
    }

    fn end_line(&mut self, rest: &[u8]) {
        let line_bytes = self.begun.len() as u64 + self.dropped + rest.len() as u64 + 1;
        self.found.whole_bytes += line_bytes;
        if self.begun.is_empty() && self.dropped == 0 && rest.len() <= MAX_LINE_BYTES {
            return self.take(rest);
        }
        self.keep(rest);
        let mut line = std::mem::take(&mut self.begun);
        if std::mem::take(&mut self.dropped) == 0 {
            self.take(&line);
        } else {
            self.found.malformed += 1;
        }
        line.clear();
        self.begun = line;
    }

    fn keep(&mut self, piece: &[u8]) {
        if self.dropped > 0 || self.begun.len() + piece.len() > MAX_LINE_BYTES {
            self.dropped += (self.begun.len() + piece.len()) as u64;
            self.begun.clear();
        } else {
            self.begun.extend_from_slice(piece);
        }
    }

    fn take(&mut self, line: &[u8]) {
        if line.is_empty() {
            return;
        }
        let Some((start, end, name)) = parse_line(line) else {
            self.found.malformed += 1;
            return;
        };
        let first = self.addresses.partition_point(|&address| address < start);
        let count = self.addresses[first..].partition_point(|&address| address < end);
        if count == 0 {
            return;
        }
        self.matches = self.matches.saturating_add(count);
        if self.matches > MAX_MATCHES {
            self.found.too_costly = true;
            return;
        }
        let name: Arc<str> = String::from_utf8_lossy(&name[..name.len().min(MAX_NAME_BYTES)]).into();
        self.found.names[first..first + count].fill(Some(name));
    }
}

fn parse_line(line: &[u8]) -> Option<(u64, u64, &[u8])> {
    let mut fields = line.splitn(3, |&byte| byte == b' ');
    let (start, size) = (parse_hex(fields.next()?)?, parse_hex(fields.next()?)?);
    let name = fields.next()?.trim_ascii();
    let end = start.checked_add(size)?;
    (!name.is_empty()).then_some((start, end, name))
}

/// Some compilers write `0x` before it, and perf does not mind.
fn parse_hex(field: &[u8]) -> Option<u64> {
    let digits = field.strip_prefix(b"0x").unwrap_or(field);
    // What `from_str_radix` takes beside digits.
    if digits.first() == Some(&b'+') {
        return None;
    }
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn find(text: &[u8], addresses: &[u64]) -> PerfMapNames {
        let mut parser = PerfMapParser::new(addresses);
        parser.push(text);
        parser.finish()
    }

    fn names(text: &str, addresses: &[u64]) -> Vec<Option<String>> {
        find(text.as_bytes(), addresses).names.iter().map(|name| Some(name.as_deref()?.to_owned())).collect()
    }

    fn some(name: &str) -> Option<String> {
        Some(name.to_owned())
    }

    #[test]
    fn an_address_is_named_by_the_function_that_contains_it() {
        let text = "10 10 JS:*work /app/a b.js:3:1\n0x20 0x4 Lcom/Example;::run\n";
        let expected = [
            None,
            some("JS:*work /app/a b.js:3:1"),
            some("JS:*work /app/a b.js:3:1"),
            some("Lcom/Example;::run"),
            None,
        ];
        assert_eq!(names(text, &[0xf, 0x10, 0x1f, 0x20, 0x24]), expected);
    }

    #[test]
    fn of_overlapping_functions_the_later_counts() {
        let text = "10 10 one\n18 10 two\n1a 1 three\n";
        assert_eq!(
            names(text, &[0x17, 0x18, 0x1a, 0x1b, 0x27]),
            [some("one"), some("two"), some("three"), some("two"), some("two")]
        );
    }

    #[test]
    fn garbage_is_counted_and_passed_over() {
        let text =
            b"nonsense\n\n10\n10 1\n10 1 \nzz 1 a\n10 +1 a\nffffffffffffffff 2 a\n\xff\xfe \0\n10 1 ok\n";
        let found = find(text, &[0x10]);
        assert_eq!((found.names[0].as_deref(), found.malformed), (Some("ok"), 8));
    }

    #[test]
    fn a_line_without_an_end_is_left_for_the_next_pass() {
        let found = find(b"10 1 one\n10 1 tw", &[0x10]);
        assert_eq!((found.names[0].as_deref(), found.whole_bytes, found.malformed), (Some("one"), 9, 0));
    }

    #[test]
    fn long_lines_are_dropped_and_long_names_cut() {
        let text = format!("10 1 {}\n20 1 {}\n", "x".repeat(MAX_LINE_BYTES), "y".repeat(MAX_NAME_BYTES + 1));
        let found = find(text.as_bytes(), &[0x10, 0x20]);
        assert_eq!((found.names[0].as_deref(), found.malformed), (None, 1));
        assert_eq!(found.names[1].as_ref().map(|name| name.len()), Some(MAX_NAME_BYTES));
        assert_eq!(found.whole_bytes, text.len() as u64);
    }

    #[test]
    fn functions_that_contain_everything_do_not_cost_without_end() {
        let addresses: Vec<u64> = (0..4096).collect();
        let mut parser = PerfMapParser::new(&addresses);
        let pushed = (0..1_000_000).take_while(|_| parser.push(b"0 ffff all\n")).count();
        assert!(pushed <= MAX_MATCHES / addresses.len(), "{pushed}");
        assert!(parser.finish().too_costly);
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_text_is_cut(
            text in "([0-9a-f]{1,2} [0-9a-f]{1,2} [a-z ]{0,9}\n?|[a-z \n]{0,9}){0,20}",
            cuts in prop::collection::vec(0usize..300, 0..6),
        ) {
            let addresses: Vec<u64> = (0..0x180).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let mut parser = PerfMapParser::new(&addresses);
            for cut in cuts.windows(2) {
                parser.push(&text.as_bytes()[cut[0]..cut[1]]);
            }
            prop_assert_eq!(parser.finish(), find(text.as_bytes(), &addresses));
        }

        #[test]
        fn it_finds_what_going_through_all_functions_for_each_address_does(
            functions in prop::collection::vec((0u64..200, 0u64..50), 0..30),
        ) {
            let lines: String =
                functions.iter().enumerate().map(|(at, (start, size))| format!("{start:x} {size:x} f{at}\n")).collect();
            let addresses: Vec<u64> = (0..260).collect();
            let last = |address: &u64| {
                let at = functions.iter().rposition(|(start, size)| (*start..start + size).contains(address))?;
                Some(format!("f{at}"))
            };
            prop_assert_eq!(names(&lines, &addresses), addresses.iter().map(last).collect::<Vec<_>>());
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            find(&bytes, &[0, 1, 16, 255, u64::MAX]);
        }
    }
}
