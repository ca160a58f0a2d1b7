//! Numbers as people read them.

use crate::Printable;
use std::fmt;
use std::time::Duration;

/// A value in a unit, shown in the one that people would take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quantity<'a> {
    pub(crate) value: u64,
    /// As pprof spells units: `nanoseconds`, `bytes`, `count`.
    pub(crate) unit: &'a str,
}

impl Quantity<'_> {
    pub(crate) fn of_time(duration: Duration) -> Self {
        Self { value: u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), unit: "nanoseconds" }
    }
}

impl fmt::Display for Quantity<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let factor = match self.unit {
            "nanoseconds" => 1e-9,
            "microseconds" => 1e-6,
            "milliseconds" => 1e-3,
            "seconds" => 1.0,
            "bytes" => return bytes(self.value, f),
            "count" | "" => return f.write_str(&grouped(self.value)),
            unit => return write!(f, "{} {}", grouped(self.value), Printable(unit)),
        };
        match self.value as f64 * factor {
            s if s < 0.001 => write!(f, "{:.0} µs", s * 1e6),
            s if s < 1.0 => write!(f, "{:.0} ms", s * 1e3),
            s if s < 100.0 => write!(f, "{s:.2} s"),
            s => write!(f, "{} s", grouped(s.round() as u64)),
        }
    }
}

fn bytes(value: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if value < 1024 {
        return write!(f, "{value} B");
    }
    let (mut scaled, mut at) = (value as f64 / 1024.0, 0);
    while scaled >= 1024.0 && at + 1 < UNITS.len() {
        (scaled, at) = (scaled / 1024.0, at + 1);
    }
    write!(f, "{scaled:.1} {}", UNITS[at])
}

/// A number with a comma between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_people_read_them() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        let shown = |value, unit| Quantity { value, unit }.to_string();
        let times = [0, 15_000, 999_000_000, 1_500_000_000, 4_321_000_000_000];
        assert_eq!(
            times.map(|value| shown(value, "nanoseconds")),
            ["0 µs", "15 µs", "999 ms", "1.50 s", "4,321 s"]
        );
        assert_eq!(shown(2_500, "milliseconds"), "2.50 s");
        assert_eq!([17, 2048, 5 << 30].map(|value| shown(value, "bytes")), ["17 B", "2.0 KiB", "5.0 GiB"]);
        assert_eq!((shown(4711, "count"), shown(3, "objects")), ("4,711".into(), "3 objects".into()));
    }
}
