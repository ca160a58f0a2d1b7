//! How far a measured figure may be from the truth.

/// The share of ticks that a machine may keep back for an accuracy to be worth judging.
const MAX_UNDELIVERED: f64 = 0.15;

/// Fails unless the number of samples is that of the CPU time, within the larger of 1 % and 2/√N of it.
///
/// # Panics
///
/// If it is further off.
pub fn assert_sample_count(samples: u64, cpu_seconds: f64, sample_hz: f64) {
    assert_sample_count_beside(samples, 0, cpu_seconds, sample_hz);
}

/// The same where ticks were due that the kernel is known not to have delivered, as virtual machines do when a CPU wakes:
/// the samples may be as many fewer.
///
/// # Panics
///
/// If it is further off, or if so many are missing that nothing can be said.
pub fn assert_sample_count_beside(samples: u64, undelivered: u64, cpu_seconds: f64, sample_hz: f64) {
    let expected = cpu_seconds * sample_hz;
    let tolerance = expected * 0.01_f64.max(2.0 / expected.sqrt());
    let undelivered = undelivered as f64;
    let off = samples as f64 - expected;
    assert!(
        off <= tolerance && off >= -tolerance - undelivered && undelivered <= expected * MAX_UNDELIVERED,
        "{samples} samples, but {cpu_seconds:.3} CPU seconds at {sample_hz} Hz make {expected:.1} ± {tolerance:.1}; \
         about {undelivered} ticks were not delivered"
    );
}

/// Fails unless a share in percent is within three points of the truth.
///
/// # Panics
///
/// If it is further off.
pub fn assert_share(what: &str, percent: f64, truth_percent: f64) {
    assert!(
        (percent - truth_percent).abs() <= 3.0,
        "{what} has {percent:.2} %, but truly spent {truth_percent:.2} %"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tolerance_is_the_larger_of_the_two() {
        assert_sample_count(1_063, 10.0, 100.0);
        assert!(std::panic::catch_unwind(|| assert_sample_count(1_064, 10.0, 100.0)).is_err());
        assert_sample_count(1_010_000, 10_000.0, 100.0);
        assert!(std::panic::catch_unwind(|| assert_sample_count(989_999, 10_000.0, 100.0)).is_err());
    }

    #[test]
    fn what_was_not_delivered_may_be_missing() {
        assert_sample_count_beside(850, 100, 10.0, 100.0);
        assert!(std::panic::catch_unwind(|| assert_sample_count_beside(830, 100, 10.0, 100.0)).is_err());
        assert!(std::panic::catch_unwind(|| assert_sample_count_beside(1_070, 100, 10.0, 100.0)).is_err());
        assert!(std::panic::catch_unwind(|| assert_sample_count_beside(900, 200, 10.0, 100.0)).is_err());
    }

    #[test]
    fn a_share_may_be_three_points_off() {
        assert_share("f", 47.1, 50.0);
        assert!(std::panic::catch_unwind(|| assert_share("f", 46.9, 50.0)).is_err());
    }
}
