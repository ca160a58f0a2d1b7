//! Which end-to-end tests may run beside which others.

use anyhow::{Result, bail};
use std::collections::BTreeSet;

/// Modules of tests that run one after the other; beside those of a lane run those of the other lanes.
#[derive(Debug)]
pub(crate) struct Lanes {
    lanes: Vec<BTreeSet<String>>,
}

impl Lanes {
    /// Reads the list: a line is a lane, the names of its modules between blanks; empty lines and what follows a `#` are not
    /// read.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut lanes = Vec::new();
        let mut known = BTreeSet::new();
        for line in text.lines() {
            let lane: BTreeSet<String> =
                line.split('#').next().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
            if let Some(module) = lane.iter().find(|module| !known.insert((*module).clone())) {
                bail!("{module} is in two lanes");
            }
            if !lane.is_empty() {
                lanes.push(lane);
            }
        }
        Ok(Self { lanes })
    }

    /// All modules of all lanes.
    #[cfg(test)]
    pub(crate) fn modules(&self) -> impl Iterator<Item = &str> {
        self.lanes.iter().flatten().map(String::as_str)
    }

    /// Tests by their lanes, and in front of them those that are in none: they run alone.
    pub(crate) fn split(&self, tests: Vec<String>) -> (Vec<String>, Vec<Vec<String>>) {
        let mut alone = Vec::new();
        let mut split = vec![Vec::new(); self.lanes.len()];
        for test in tests {
            let module = test.split("::").next().unwrap_or_default();
            match self.lanes.iter().position(|lane| lane.contains(module)) {
                Some(lane) => split[lane].push(test),
                None => alone.push(test),
            }
        }
        split.retain(|lane| !lane.is_empty());
        (alone, split)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANES: &str = "# Two.\n\nlabels help # short\nwait\n";

    #[test]
    fn tests_run_in_their_lane_and_what_is_in_none_alone() -> Result<()> {
        let names = ["accuracy::a", "help::b", "kubernetes_labels::c", "labels::d", "wait::e"];
        let (alone, lanes) = Lanes::parse(LANES)?.split(Vec::from(names.map(str::to_owned)));
        assert_eq!(alone, ["accuracy::a", "kubernetes_labels::c"]);
        assert_eq!(lanes, [vec!["help::b", "labels::d"], vec!["wait::e"]]);
        let (alone, lanes) = Lanes::parse(LANES)?.split(vec!["wait::e".to_owned()]);
        assert!(alone.is_empty());
        assert_eq!(lanes, [["wait::e"]]);
        Ok(())
    }

    #[test]
    fn a_module_is_in_one_lane() {
        assert!(Lanes::parse("labels\nhelp labels").is_err());
    }
}
