//! The agent's histogram of how long decisions take.

use anyhow::{Context, Result};

/// Counts up to and including bounds, ascending; the last bound is infinite.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Latencies(Vec<(f64, f64)>);

impl Latencies {
    /// Reads the histogram of that name out of the text of all metrics.
    pub(crate) fn read(metrics: &str, name: &str) -> Result<Self> {
        let start = format!("{name}_bucket{{le=\"");
        let bucket = |line: &str| {
            let (bound, rest) = line.strip_prefix(&start)?.split_once('"')?;
            let bound = if bound == "+Inf" { f64::INFINITY } else { bound.parse().ok()? };
            Some((bound, rest.rsplit(' ').next()?.parse().ok()?))
        };
        let buckets: Vec<(f64, f64)> = metrics.lines().filter_map(bucket).collect();
        anyhow::ensure!(buckets.last().is_some_and(|last| last.0.is_infinite()), "no histogram {name}");
        Ok(Self(buckets))
    }

    /// What has come since then.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self(self.0.iter().zip(&before.0).map(|(now, then)| (now.0, now.1 - then.1)).collect())
    }

    /// How many there are.
    pub(crate) fn count(&self) -> f64 {
        self.0.last().map_or(0.0, |last| last.1)
    }

    /// The share that is within a bound, which must be one of the histogram's own: any other would be a guess.
    pub(crate) fn share_within(&self, seconds: f64) -> Result<f64> {
        let bucket = self.0.iter().find(|bucket| (bucket.0 / seconds - 1.0).abs() < 1e-9);
        let bucket = bucket.with_context(|| format!("the histogram has no bound at {seconds} s"))?;
        Ok(bucket.1 / self.count().max(1.0))
    }

    /// The bounds of the bucket that a quantile is in.
    pub(crate) fn quantile(&self, share: f64) -> Result<(f64, f64)> {
        anyhow::ensure!(self.count() > 0.0, "no decision was made");
        let due = share * self.count();
        let at = self.0.iter().position(|bucket| bucket.1 >= due).context("no buckets")?;
        Ok((if at == 0 { 0.0 } else { self.0[at - 1].0 }, self.0[at].0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a_seconds_sum 3.5\na_seconds_count 10\na_seconds_bucket{le=\"0.001\"} 5\n\
                        a_seconds_bucket{le=\"0.01\"} 9\na_seconds_bucket{le=\"+Inf\"} 10\nb_bucket{le=\"1\"} 7\n";

    #[test]
    fn a_quantile_is_known_as_far_as_its_bucket() {
        let latencies = Latencies::read(TEXT, "a_seconds").unwrap();
        assert_eq!(latencies.count(), 10.0);
        assert_eq!(latencies.quantile(0.5).unwrap(), (0.0, 0.001));
        assert_eq!(latencies.quantile(0.9).unwrap(), (0.001, 0.01));
        assert_eq!(latencies.quantile(0.99).unwrap(), (0.01, f64::INFINITY));
        assert_eq!(latencies.share_within(0.01).unwrap(), 0.9);
        assert!(latencies.share_within(0.005).is_err());
        assert!(latencies.since(&latencies).quantile(0.5).is_err());
        assert!(Latencies::read(TEXT, "c").is_err());
    }
}
