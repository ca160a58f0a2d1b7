//! `2026-12-01T12:00:00Z`.

use crate::Error;
use crate::source::shown;
use jiff::Timestamp;
use std::time::SystemTime;

/// Reads a moment as RFC 3339 has it, with seconds and with an offset from UTC or a `Z`.
///
/// # Errors
///
/// [`Error::Moment`] if the text is anything else.
pub fn parse_moment(text: &str) -> Result<SystemTime, Error> {
    // Beside these, the parser takes forms that other readers of the file would not.
    let is_rfc_3339 = text.is_ascii()
        && text.len() >= "2026-12-01T12:00:00Z".len()
        && text.as_bytes()[10].eq_ignore_ascii_case(&b'T')
        && text.as_bytes()[16] == b':'
        && text.bytes().all(|byte| byte.is_ascii_digit() || b"TtZz:+-.".contains(&byte));
    let parsed = if is_rfc_3339 { text.parse::<Timestamp>().ok() } else { None };
    parsed.map(SystemTime::from).ok_or_else(|| Error::Moment { text: shown(text) })
}

/// Writes a moment as [`parse_moment`] reads it, in UTC.
pub fn format_moment(moment: SystemTime) -> String {
    // What was read is within the range of years that can be written.
    Timestamp::try_from(moment).unwrap_or(Timestamp::MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn moments_are_those_of_rfc_3339() {
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds));
        for (text, moment) in [
            ("1970-01-01T00:00:10Z", at(10)),
            ("1970-01-01T01:00:10+01:00", at(10)),
            ("1970-01-01t00:00:10.0z", at(10)),
            ("2026-12-01T12:00:00Z", at(1_796_126_400)),
            ("2026-12-01", None),
            ("2026-12-01 12:00:00Z", None),
            ("2026-12-01T12:00:00", None),
            ("2026-12-01T12:00Z", None),
            ("2026-12-01T25:00:00Z", None),
            ("2026-13-01T12:00:00Z", None),
            ("2026-12-01T12:00:00+01:00[Europe/Berlin]", None),
            ("tomorrow", None),
            ("", None),
        ] {
            assert_eq!(parse_moment(text).ok(), moment, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(seconds in 0u64..200_000_000_000, nanoseconds in 0u32..1_000_000_000) {
            let moment = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
            prop_assert_eq!(parse_moment(&format_moment(moment)).ok(), Some(moment));
        }

        #[test]
        fn any_text_is_a_moment_or_an_error(text in ".{0,30}|[0-9]{4}-[0-9]{2}-[0-9TZ:+.-]{0,30}") {
            let _ = parse_moment(&text);
        }
    }
}
