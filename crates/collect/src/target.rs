//! What is known of targets, by the numbers that samples carry.

use std::collections::HashMap;
use std::sync::Arc;
use telegen_model::TargetNumber;

/// What is known of a target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetFacts {
    /// Its name, a label of its samples.
    pub name: Arc<str>,
    /// Of so many ticks of the clock …
    pub of_ticks: u32,
    /// … so many become samples.
    pub taken: u32,
}

impl TargetFacts {
    /// A target of which every tick becomes a sample.
    pub fn of_every_tick(name: &str) -> Self {
        Self { name: name.into(), of_ticks: 1, taken: 1 }
    }

    /// What a sample stands for, given what a tick does.
    pub fn period_ns(&self, tick_ns: u64) -> u64 {
        let period = u128::from(tick_ns) * u128::from(self.of_ticks) / u128::from(self.taken.max(1));
        u64::try_from(period).unwrap_or(u64::MAX)
    }
}

/// All targets that samples may still be of.
#[derive(Clone, Debug)]
pub struct Targets {
    by_number: HashMap<TargetNumber, TargetFacts>,
    default: TargetFacts,
}

impl Default for Targets {
    fn default() -> Self {
        Self { by_number: HashMap::new(), default: TargetFacts::of_every_tick("default") }
    }
}

impl Targets {
    pub(crate) fn set(&mut self, number: TargetNumber, facts: TargetFacts) {
        self.by_number.insert(number, facts);
    }

    /// The target behind a number; `default` behind one that nobody has said anything of.
    pub fn get(&self, number: TargetNumber) -> &TargetFacts {
        self.by_number.get(&number).unwrap_or(&self.default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_stands_for_the_ticks_that_were_passed_over_too() {
        let half = TargetFacts { of_ticks: 198, taken: 99, ..TargetFacts::of_every_tick("half") };
        assert_eq!(half.period_ns(5_000_000), 10_000_000);
        assert_eq!(TargetFacts::of_every_tick("all").period_ns(7), 7);
        let none = TargetFacts { of_ticks: u32::MAX, taken: 0, ..half };
        assert_eq!(none.period_ns(u64::MAX), u64::MAX);
    }

    #[test]
    fn a_number_that_nobody_has_named_is_the_default() {
        let mut targets = Targets::default();
        assert_eq!(&*targets.get(TargetNumber(3)).name, "default");
        targets.set(TargetNumber(3), TargetFacts::of_every_tick("payments"));
        assert_eq!(&*targets.get(TargetNumber(3)).name, "payments");
    }
}
