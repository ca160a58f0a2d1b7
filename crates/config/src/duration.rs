//! `10s`, `1m30s`, `24h`.

use crate::Error;
use crate::source::shown;
use std::time::Duration;

/// Units and their nanoseconds, the largest first; where two names mean the same, the first one is written.
const UNITS: [(&str, u128); 7] = [
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
];

const EXAMPLE: &str = "write whole numbers with units, the largest first, such as `10s`, `1m30s` or `24h`";

/// Reads a duration: whole numbers, each with a unit (`h`, `m`, `s`, `ms`, `us`, `ns`), the larger ones first.
///
/// # Errors
///
/// [`Error::Duration`] if the text is anything else, or longer than 2⁶⁴ seconds.
pub fn parse_duration(text: &str) -> Result<Duration, Error> {
    parse(text).map_err(|reason| Error::Duration { text: shown(text), reason })
}

/// Writes a duration as [`parse_duration`] reads it.
pub fn format_duration(duration: Duration) -> String {
    let mut left = duration.as_nanos();
    let mut text = String::new();
    for (unit, nanoseconds) in UNITS {
        let count = left / nanoseconds;
        left %= nanoseconds;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

fn parse(text: &str) -> Result<Duration, &'static str> {
    let mut rest = text;
    let mut smallest = u128::MAX;
    let mut total: u128 = 0;
    if rest.is_empty() {
        return Err(EXAMPLE);
    }
    while !rest.is_empty() {
        let digits =
            rest.find(|c: char| !c.is_ascii_digit()).ok_or("it has no unit, such as the `s` of `10s`")?;
        let number: u64 = match &rest[..digits] {
            "" => return Err(EXAMPLE),
            number => number.parse().map_err(|_| "it is too long")?,
        };
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = UNITS.iter().find(|(unit, _)| *unit == &rest[..letters]);
        let (_, nanoseconds) =
            unit.ok_or("its units can be `h`, `m`, `s`, `ms`, `us` and `ns`, without blanks")?;
        if *nanoseconds >= smallest {
            return Err(EXAMPLE);
        }
        rest = &rest[letters..];
        smallest = *nanoseconds;
        // At most six summands of less than 2^64 times 2^42.
        total += u128::from(number) * nanoseconds;
    }
    let seconds = u64::try_from(total / 1_000_000_000).map_err(|_| "it is too long")?;
    let nanoseconds = u32::try_from(total % 1_000_000_000).expect("less than a second");
    Ok(Duration::new(seconds, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, duration) in [
            ("10s", Duration::from_secs(10)),
            ("1ms", Duration::from_millis(1)),
            ("24h", Duration::from_secs(86_400)),
            ("1m30s", Duration::from_secs(90)),
            ("0s", Duration::ZERO),
            ("100s", Duration::from_secs(100)),
            ("1s500ms", Duration::from_millis(1_500)),
            ("3µs", Duration::from_micros(3)),
        ] {
            assert_eq!(parse_duration(text).unwrap(), duration, "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_duration() {
        for text in [
            "",
            "10",
            "s",
            "-1s",
            "1.5s",
            "10 s",
            "10s ",
            "30s1m",
            "1s1s",
            "10 parsecs",
            "1d",
            "1us1µs",
            "10S",
            "999999999999999999999s",
            "18446744073709551615h",
        ] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_error_names_the_text_and_the_reason() {
        let text = parse_duration("10").unwrap_err().to_string();
        assert_eq!(text, "`10` is not a duration: it has no unit, such as the `s` of `10s`");
    }

    #[test]
    fn durations_are_written_shortly() {
        for text in ["10s", "1ms", "24h", "1m30s", "0s", "1h1ns"] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(seconds: u64, nanoseconds in 0_u32..1_000_000_000) {
            let duration = Duration::new(seconds, nanoseconds);
            prop_assert_eq!(parse_duration(&format_duration(duration)).unwrap(), duration);
        }

        #[test]
        fn any_text_is_a_duration_or_an_error(text in ".{0,24}|[0-9hmsnu]{0,24}") {
            let _ = parse_duration(&text);
        }
    }
}
