//! End-to-end tests that could not run, and which of them need not.

use crate::tally::Tally;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;

/// The tests that may be skipped: one name a line; empty lines and what follows a `#` are not read.
#[derive(Debug)]
pub(crate) struct AllowedSkips {
    names: BTreeSet<String>,
}

impl AllowedSkips {
    /// Reads the list.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let mut names = BTreeSet::new();
        for (index, line) in text.lines().enumerate() {
            let name = line.split('#').next().unwrap_or_default().trim();
            if name.contains(char::is_whitespace) {
                bail!("line {}: more than the name of a test: {name:?}", index + 1);
            }
            if !name.is_empty() {
                names.insert(name.to_owned());
            }
        }
        Ok(Self { names })
    }
}

/// Moves the tests that said they were skipped from those that passed, as libtest has it, to where they belong: the
/// skipped ones, or, if they are not allowed to be, the failed ones. A skip is a line `SKIPPED <test>: <reason>`.
pub(crate) fn count_skips(tally: &mut Tally, skips: &str, allowed: &AllowedSkips) -> Result<()> {
    for line in skips.lines() {
        let skip = line.strip_prefix("SKIPPED ").and_then(|skip| Some((skip, skip.split_once(": ")?.0)));
        let (skip, test) = skip.with_context(|| format!("not a skip: {line:?}"))?;
        tally.passed = tally
            .passed
            .checked_sub(1)
            .with_context(|| format!("more skips than tests that passed: {line:?}"))?;
        if allowed.names.contains(test) {
            tally.skipped.push(skip.to_owned());
        } else {
            tally.failed.push(format!("{skip} (a skip that is not allowed)"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWED: &str = "# May be skipped.\n\npid_reuse::by_force # needs a privilege\n  a::b\n";

    #[test]
    fn an_allowed_skip_is_skipped_and_a_new_one_fails() -> Result<()> {
        let mut tally = Tally { passed: 10, ..Tally::default() };
        let skips = "SKIPPED a::b: no reason: none\nSKIPPED a::c: no runc\n";
        count_skips(&mut tally, skips, &AllowedSkips::parse(ALLOWED)?)?;
        assert_eq!(tally.passed, 8);
        assert_eq!(tally.skipped, ["a::b: no reason: none"]);
        assert_eq!(tally.failed, ["a::c: no runc (a skip that is not allowed)"]);
        Ok(())
    }

    #[test]
    fn what_is_no_skip_or_no_test_is_an_error() -> Result<()> {
        let allowed = AllowedSkips::parse(ALLOWED)?;
        assert!(count_skips(&mut Tally::pass(), "skipped a::b", &allowed).is_err());
        assert!(count_skips(&mut Tally::pass(), "SKIPPED a::b: x\nSKIPPED a::b: x\n", &allowed).is_err());
        assert!(AllowedSkips::parse("a::b: because").is_err());
        Ok(())
    }
}
