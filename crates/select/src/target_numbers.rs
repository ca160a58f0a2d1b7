//! Numbers by which the kernel side tells targets apart.

use std::collections::VecDeque;
use std::sync::Arc;
use telegen_model::TargetNumber;
use telegen_rules::TargetId;

/// What a number stands for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetSettings {
    /// The target's name.
    pub name: Arc<str>,
    /// Samples per second and busy CPU.
    pub sample_hz: u32,
    /// Ticks per second of the clock that they are taken from.
    pub clock_hz: u32,
}

/// Gives each target of the rules in force a number. A number keeps its meaning while samples with it may be under way: those of
/// the rules before are not given away yet.
#[derive(Debug)]
pub(crate) struct TargetNumbers {
    /// What each number last stood for.
    meanings: Vec<Option<TargetSettings>>,
    /// The numbers of the targets in force.
    current: Vec<(TargetId, TargetNumber)>,
    /// Numbers that may be given away, the one out of use for longest first.
    free: VecDeque<TargetNumber>,
}

impl TargetNumbers {
    /// 0 is the target `default` where it takes every tick, and need not be named.
    pub(crate) fn new() -> Self {
        let free = (1..=u8::MAX).map(TargetNumber).collect();
        Self { meanings: vec![None; usize::from(u8::MAX) + 1], current: Vec::new(), free }
    }

    /// Gives numbers to the targets of new rules; those that stand for something else than before.
    pub(crate) fn assign(
        &mut self,
        targets: &[(TargetId, TargetSettings)],
    ) -> Vec<(TargetNumber, TargetSettings)> {
        let mut named = Vec::new();
        let mut next = Vec::with_capacity(targets.len());
        for (id, target) in targets {
            if *target.name == *"default" && target.sample_hz == target.clock_hz {
                next.push((*id, TargetNumber(0)));
                continue;
            }
            let mut current = self.current.iter().map(|&(_, number)| number);
            let known = current.find(|&number| self.meaning(number) == Some(target));
            let number = known.unwrap_or_else(|| {
                // More targets than there are numbers share the last one.
                let number = self.free.pop_front().unwrap_or(TargetNumber(u8::MAX));
                self.meanings[usize::from(number.0)] = Some(target.clone());
                named.push((number, target.clone()));
                number
            });
            next.push((*id, number));
        }
        let before = std::mem::replace(&mut self.current, next);
        let in_use =
            |number: TargetNumber| number.0 == 0 || self.current.iter().any(|&(_, used)| used == number);
        self.free.extend(before.into_iter().map(|(_, number)| number).filter(|&number| !in_use(number)));
        named
    }

    /// The number of a target; 0 of one that is not among them.
    pub(crate) fn number(&self, target: TargetId) -> TargetNumber {
        self.current.iter().find(|(id, _)| *id == target).map_or(TargetNumber(0), |&(_, number)| number)
    }

    fn meaning(&self, number: TargetNumber) -> Option<&TargetSettings> {
        self.meanings[usize::from(number.0)].as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(name: &str, sample_hz: u32) -> TargetSettings {
        TargetSettings { name: name.into(), sample_hz, clock_hz: 99 }
    }

    fn id(place: usize) -> TargetId {
        TargetId::named(place).unwrap()
    }

    fn listed(targets: &[TargetSettings]) -> Vec<(TargetId, TargetSettings)> {
        targets.iter().enumerate().map(|(place, target)| (id(place), target.clone())).collect()
    }

    #[test]
    fn a_target_keeps_its_number_as_long_as_it_is_the_same() {
        let mut numbers = TargetNumbers::new();
        let (a, b) = (target("a", 99), target("b", 19));
        assert_eq!(numbers.assign(&listed(&[a.clone(), b.clone()])).len(), 2);
        let of_b = numbers.number(id(1));
        assert_eq!(numbers.assign(&listed(&[b.clone(), a])), []);
        assert_eq!(numbers.number(id(0)), of_b);
        let faster = target("b", 49);
        let named = numbers.assign(&listed(std::slice::from_ref(&faster)));
        assert_eq!(named, [(numbers.number(id(0)), faster)]);
        assert_ne!(numbers.number(id(0)), of_b);
    }

    #[test]
    fn the_default_is_0_where_it_takes_every_tick() {
        let mut numbers = TargetNumbers::new();
        assert_eq!(numbers.assign(&[(TargetId::DEFAULT, target("default", 99))]), []);
        assert_eq!(numbers.number(TargetId::DEFAULT), TargetNumber(0));
        assert_eq!(numbers.assign(&[(TargetId::DEFAULT, target("default", 19))]).len(), 1);
        assert_ne!(numbers.number(TargetId::DEFAULT), TargetNumber(0));
        numbers.assign(&[(TargetId::DEFAULT, target("default", 99))]);
        assert!(!numbers.free.contains(&TargetNumber(0)));
    }

    #[test]
    fn numbers_that_have_just_been_used_are_given_away_last() {
        let mut numbers = TargetNumbers::new();
        let mut last = TargetNumber(0);
        for nth in 0..1_000 {
            numbers.assign(&listed(&[target(&nth.to_string(), 99)]));
            assert!(numbers.number(id(0)) != last && numbers.number(id(0)) != TargetNumber(0));
            last = numbers.number(id(0));
        }
        assert_eq!(numbers.number(id(7)), TargetNumber(0));
    }
}
