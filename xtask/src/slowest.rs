//! Which tests the time went to.

use std::fmt::Write;
use std::time::Duration;

/// How many are shown.
const SHOWN: usize = 20;

/// A test that has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Timed {
    pub(crate) name: String,
    pub(crate) took: Duration,
}

/// The tests that took longest, one a line; nothing if no time was taken.
pub(crate) fn slowest(timed: &[Timed]) -> String {
    let mut longest: Vec<&Timed> = timed.iter().collect();
    longest.sort_by_key(|test| std::cmp::Reverse(test.took));
    longest.truncate(SHOWN);
    if longest.is_empty() {
        return String::new();
    }
    let seconds =
        |tests: &mut dyn Iterator<Item = &Timed>| tests.map(|test| test.took.as_secs_f64()).sum::<f64>();
    let mut text = format!(
        "\nthe slowest of {} tests, {:.0} of {:.0} seconds:\n",
        timed.len(),
        seconds(&mut longest.iter().copied()),
        seconds(&mut timed.iter())
    );
    for Timed { name, took } in longest {
        // Writing to a string does not fail.
        let _ = writeln!(text, "{:>7.1}  {name}", took.as_secs_f64());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed(name: &str, tenths: u64) -> Timed {
        Timed { name: name.to_owned(), took: Duration::from_millis(tenths * 100) }
    }

    #[test]
    fn the_slowest_come_first() {
        let text = slowest(&[timed("a::quick", 4), timed("b::slow", 123), timed("c::slower", 1230)]);
        let expected = "
the slowest of 3 tests, 136 of 136 seconds:
  123.0  c::slower
   12.3  b::slow
    0.4  a::quick
";
        assert_eq!(text, expected);
        assert_eq!(slowest(&[]), "");
    }

    #[test]
    fn a_few_are_shown_of_many() {
        let many: Vec<Timed> = (0..50).map(|tenths| timed(&format!("t{tenths}"), tenths * 10)).collect();
        let text = slowest(&many);
        assert!(text.contains("of 50 tests, 790 of 1225 seconds"), "{text}");
        assert!(text.contains("  t30\n") && !text.contains("  t29\n"), "{text}");
    }
}
