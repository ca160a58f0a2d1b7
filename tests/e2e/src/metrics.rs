//! Metrics in the text format of Prometheus and OpenMetrics.

use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};

/// One scrape.
#[derive(Debug)]
pub struct Metrics {
    series: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Metrics {
    /// Parses a page.
    ///
    /// # Errors
    ///
    /// If a line is neither a comment nor a series with a value.
    pub fn parse(text: &str) -> Result<Self> {
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        let series = lines.map(|line| parse_line(line).with_context(|| format!("metric {line:?}")));
        Ok(Self { series: series.collect::<Result<_>>()? })
    }

    /// The names of all series.
    pub fn names(&self) -> BTreeSet<&str> {
        self.series.iter().map(|(name, _, _)| name.as_str()).collect()
    }

    /// The sum over the series of this name that carry these labels, whatever others they carry.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
        let carries = |of: &BTreeMap<String, String>| {
            labels.iter().all(|(key, value)| of.get(*key).is_some_and(|v| v == value))
        };
        let values: Vec<f64> = self
            .series
            .iter()
            .filter(|(n, of, _)| n == name && carries(of))
            .map(|(_, _, value)| *value)
            .collect();
        if values.is_empty() {
            anyhow::bail!("no metric {name}{labels:?}; there are {:?}", self.names());
        }
        Ok(values.iter().sum())
    }

    /// The values of a label over the series of a name.
    pub fn label_values(&self, name: &str, key: &str) -> BTreeSet<&str> {
        self.series
            .iter()
            .filter(|(n, _, _)| n == name)
            .filter_map(|(_, of, _)| of.get(key))
            .map(String::as_str)
            .collect()
    }
}

fn parse_line(line: &str) -> Option<(String, BTreeMap<String, String>, f64)> {
    let name_end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at(name_end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => parse_labels(inside)?,
        None => (BTreeMap::new(), rest),
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some((name.to_owned(), labels, value))
}

/// Labels up to the closing brace, and what stands behind it.
fn parse_labels(mut rest: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches(',');
        if let Some(behind) = rest.strip_prefix('}') {
            return Some((labels, behind));
        }
        let (key, behind) = rest.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = behind.char_indices();
        loop {
            match characters.next()? {
                (at, '"') => {
                    rest = &behind[at + 1..];
                    break;
                }
                (_, '\\') => match characters.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        }
        labels.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_found_by_name_and_labels() -> Result<()> {
        let page =
            "# TYPE a counter\na_total{x=\"1\",y=\"q\\\"}\"} 3\na_total{x=\"2\"} 4.5\nb 1e3 1700\n# EOF\n";
        let metrics = Metrics::parse(page)?;
        assert_eq!(metrics.sum("a_total", &[])?, 7.5);
        assert_eq!(metrics.sum("a_total", &[("x", "2")])?, 4.5);
        assert_eq!(metrics.sum("b", &[])?, 1000.0);
        assert_eq!(metrics.label_values("a_total", "y"), ["q\"}"].into());
        assert!(metrics.sum("a_total", &[("x", "3")]).is_err());
        assert!(Metrics::parse("what is this").is_err());
        Ok(())
    }
}
