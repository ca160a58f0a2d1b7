//! File names that carry a time, so that they sort by it.

use crate::Format;
use jiff::Timestamp;
use std::time::SystemTime;

/// The name of a file that `record` writes when it is not told one: `telegen-20261123T143809Z.pb.gz`, in UTC.
pub fn recording_file_name(start: SystemTime, format: Format) -> String {
    format!("telegen-{}Z{}", timestamp(start).strftime("%Y%m%dT%H%M%S"), format.ending())
}

/// What the names of a directory's profiles begin with: `telegen-20261123T143809.123Z-`. A number and `.pb.gz` follow.
pub(crate) fn stored_file_prefix(start: SystemTime) -> String {
    format!("telegen-{}Z-", timestamp(start).strftime("%Y%m%dT%H%M%S.%3f"))
}

/// Whether a name is one that a directory of profiles gives.
pub(crate) fn is_stored_file_name(name: &str) -> bool {
    const SHAPE: &str = "telegen-00000000T000000.000Z-";
    let Some((prefix, rest)) = name.split_at_checked(SHAPE.len()) else { return false };
    let fits = |(shape, byte): (u8, u8)| if shape == b'0' { byte.is_ascii_digit() } else { byte == shape };
    let number = rest.strip_suffix(Format::Pprof.ending()).unwrap_or_default();
    SHAPE.bytes().zip(prefix.bytes()).all(fits)
        && (1..=3).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// The time as people write it: `2026-11-23 14:38:09 UTC`.
pub(crate) fn readable_time(time: SystemTime) -> String {
    timestamp(time).strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The time as programs read it: `2026-11-23T14:38:09.123Z`.
pub(crate) fn exact_time(time: SystemTime) -> String {
    timestamp(time).to_string()
}

/// Times beyond the year 9999 are its end, which no clock that is right will show.
fn timestamp(time: SystemTime) -> Timestamp {
    let limit = if time < SystemTime::UNIX_EPOCH { Timestamp::UNIX_EPOCH } else { Timestamp::MAX };
    Timestamp::try_from(time).map_or(limit, |timestamp| timestamp.max(Timestamp::UNIX_EPOCH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64, nanoseconds: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds)
    }

    #[test]
    fn names_carry_the_time_in_utc() {
        let time = at(1_795_444_689, 123_999_999);
        assert_eq!(recording_file_name(time, Format::Svg), "telegen-20261123T143809Z.svg");
        assert_eq!(stored_file_prefix(time), "telegen-20261123T143809.123Z-");
        assert_eq!(readable_time(time), "2026-11-23 14:38:09 UTC");
        assert_eq!(exact_time(time), "2026-11-23T14:38:09.123999999Z");
        assert_eq!(stored_file_prefix(at(u64::MAX >> 1, 0)).len(), "telegen-99991231T000000.000Z-".len());
        assert!(
            stored_file_prefix(SystemTime::UNIX_EPOCH - Duration::from_secs(9)).starts_with("telegen-1970")
        );
    }

    #[test]
    fn later_files_have_greater_names() {
        let times =
            [at(0, 0), at(0, 1_000_000), at(59, 0), at(86_399, 999_000_000), at(86_400, 0), at(1 << 32, 0)];
        assert!(times.map(stored_file_prefix).is_sorted());
    }

    #[test]
    fn own_names_are_told_from_all_others() {
        let prefix = stored_file_prefix(at(1_795_444_689, 0));
        assert!(is_stored_file_name(&format!("{prefix}0.pb.gz")));
        assert!(is_stored_file_name(&format!("{prefix}999.pb.gz")));
        for other in ["", ".pb.gz", "x.pb.gz", "0.pb", "0000.pb.gz", "0.pb.gz.bak"] {
            assert!(!is_stored_file_name(&format!("{prefix}{other}")), "{other}");
        }
        let recording = recording_file_name(at(1_795_444_689, 0), Format::Pprof);
        for other in [&*recording, "telegen-", "", "größe-20261123T143809.123Z-0.pb.gz"] {
            assert!(!is_stored_file_name(other), "{other}");
        }
    }
}
