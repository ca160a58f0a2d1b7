//! `512MiB`, `1GB`, `4096`.

use crate::Error;
use crate::source::shown;

/// Units and their bytes. Of those that fit a size evenly, the first is written.
const UNITS: [(&str, u64); 11] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
    ("", 1),
];

/// Reads a size in bytes: a whole number, with a binary unit (`KiB`, `MiB`, `GiB`, `TiB`), a decimal one (`kB`,
/// `MB`, `GB`, `TB`), or none.
///
/// # Errors
///
/// [`Error::Size`] if the text is anything else, or more than 2⁶⁴ bytes.
pub fn parse_size(text: &str) -> Result<u64, Error> {
    parse(text).map_err(|reason| Error::Size { text: shown(text), reason })
}

/// Writes a size as [`parse_size`] reads it.
pub fn format_size(bytes: u64) -> String {
    let fits =
        |(unit, factor): &&(&str, u64)| !unit.is_empty() && *unit != "B" && bytes.is_multiple_of(*factor);
    match UNITS.iter().find(fits) {
        Some((unit, factor)) if bytes > 0 => format!("{}{unit}", bytes / factor),
        _ => bytes.to_string(),
    }
}

fn parse(text: &str) -> Result<u64, &'static str> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    if digits == 0 {
        return Err("write a whole number of bytes or with a unit, such as `512MiB`");
    }
    let number: u64 = text[..digits].parse().map_err(|_| "it is too large")?;
    let unit = UNITS.iter().find(|(unit, _)| *unit == &text[digits..]);
    let (_, factor) =
        unit.ok_or("its unit can be `KiB`, `MiB`, `GiB`, `TiB`, `kB`, `MB`, `GB` or `TB`, without a blank")?;
    number.checked_mul(*factor).ok_or("it is too large")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_binary_or_decimal_or_plain() {
        for (text, bytes) in [
            ("512KiB", 524_288),
            ("512MiB", 536_870_912),
            ("1GB", 1_000_000_000),
            ("1TiB", 1 << 40),
            ("2kB", 2_000),
            ("2KB", 2_000),
            ("4096", 4_096),
            ("4096B", 4_096),
            ("0", 0),
        ] {
            assert_eq!(parse_size(text).unwrap(), bytes, "{text}");
        }
    }

    #[test]
    fn anything_else_is_no_size() {
        for text in [
            "",
            "big",
            "-1",
            "1.5GiB",
            "512 MiB",
            "512Mi",
            "512mib",
            "99999999999TiB",
            "18446744073709551616",
        ] {
            assert!(parse_size(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn sizes_are_written_shortly() {
        for text in ["512KiB", "512MiB", "1GB", "1536MiB", "0", "4097"] {
            assert_eq!(format_size(parse_size(text).unwrap()), text);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(bytes: u64, shift in 0_u32..64) {
            let bytes = bytes >> shift << (shift / 2);
            prop_assert_eq!(parse_size(&format_size(bytes)).unwrap(), bytes);
        }
    }
}
