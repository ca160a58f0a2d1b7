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

/// Gives each target of the rules in force a number of its own. A number keeps its meaning while samples with it may be under way: those of
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
        let is_kept = |number| targets.iter().any(|(_, target)| self.meaning(number) == Some(target));
        let mut left: VecDeque<TargetNumber> = self.current.iter().map(|&(_, number)| number).collect();
        left.retain(|&number| number.0 != 0 && !is_kept(number));
        for (id, target) in targets {
            if *target.name == *"default" && target.sample_hz == target.clock_hz {
                next.push((*id, TargetNumber(0)));
                continue;
            }
            let mut current = self.current.iter().map(|&(_, number)| number);
            let known = current.find(|&number| self.meaning(number) == Some(target));
            let number = known.unwrap_or_else(|| {
                // Rather a few samples that are under way with another's name than two targets with one number.
                let number = self.free.pop_front().or_else(|| left.pop_front());
                let number = number.expect("rules have no more targets than there are numbers");
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

// Those that are named, and that of the flat keys.
const _: () = assert!(TargetId::MOST_NAMED < u8::MAX as usize);

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

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
    fn however_many_change_at_a_time_each_has_a_number_of_its_own() {
        let mut numbers = TargetNumbers::new();
        for round in 0..5 {
            let targets: Vec<_> =
                (0..TargetId::MOST_NAMED).map(|place| target(&format!("{round}-{place}"), 99)).collect();
            let default = (TargetId::DEFAULT, target("default", 19 + round));
            let targets = [listed(&targets), vec![default]].concat();
            let named = numbers.assign(&targets);
            assert_eq!(named.len(), targets.len());
            let given: BTreeSet<u8> = targets.iter().map(|&(id, _)| numbers.number(id).0).collect();
            assert!(given.len() == 255 && !given.contains(&0), "{given:?}");
            for (number, meaning) in named {
                assert_eq!(numbers.meaning(number), Some(&meaning), "{number:?} means one and no other");
            }
        }
    }

    #[test]
    fn who_stays_keeps_its_number_while_all_others_change() {
        let mut numbers = TargetNumbers::new();
        let mut targets: Vec<_> = (0..254).map(|place| target(&place.to_string(), 99)).collect();
        numbers.assign(&listed(&targets));
        let (of_first, of_last) = (numbers.number(id(0)), numbers.number(id(253)));
        for (nth, changed) in targets[1..253].iter_mut().enumerate() {
            *changed = target(&format!("other-{nth}"), 99);
        }
        assert_eq!(numbers.assign(&listed(&targets)).len(), 252);
        assert_eq!((numbers.number(id(0)), numbers.number(id(253))), (of_first, of_last));
        assert!((1..253).all(|place| ![of_first, of_last].contains(&numbers.number(id(place)))));
        // None has been lost or doubled on the way.
        let free: BTreeSet<u8> = numbers.free.iter().map(|number| number.0).collect();
        assert_eq!((free.len(), numbers.free.len()), (1, 1));
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
