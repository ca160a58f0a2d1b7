//! Targets: what a user has named, and what holds for the processes that it selects.

use crate::Key;
use std::sync::Arc;
use std::time::SystemTime;

/// Which target: a place in the list of named ones, or the flat keys' own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct TargetId(u8);

impl TargetId {
    /// The target of the flat keys, which is tried last.
    pub const DEFAULT: Self = Self(u8::MAX);
    /// Named targets that there may be: with that of the flat keys they are 255, as many as there are numbers beside 0 for
    /// the kernel side to tell them apart.
    pub const MOST_NAMED: usize = u8::MAX as usize - 1;

    /// The named target at a place of the list; `None` beyond [`TargetId::MOST_NAMED`].
    pub fn named(place: usize) -> Option<Self> {
        u8::try_from(place).ok().filter(|&place| usize::from(place) < Self::MOST_NAMED).map(Self)
    }

    /// The place in the list of named targets; `None` for the flat keys' own.
    pub fn place(self) -> Option<usize> {
        (self != Self::DEFAULT).then_some(usize::from(self.0))
    }

    /// The number, for where a byte is all there is room for.
    pub fn number(self) -> u8 {
        self.0
    }

    /// The target of a number.
    pub fn from_number(number: u8) -> Self {
        Self(number)
    }

    /// Where a key of this target stands in the configuration: `target_pids`, or `targets[0].pids`.
    pub fn path(self, key: Key) -> String {
        match self.place() {
            Some(place) => format!("targets[{place}].{}", key.name_in_target()),
            None => key.name().to_owned(),
        }
    }
}

/// A target, and what holds for the processes that it selects.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// Which.
    pub id: TargetId,
    /// Its name, which its samples carry; `default` for that of the flat keys.
    pub name: Arc<str>,
    /// Samples per second and CPU, if others than elsewhere.
    pub sample_hz: Option<u32>,
    /// From when on it selects nothing any more.
    pub until: Option<SystemTime>,
}

impl Target {
    /// The name of the target of the flat keys.
    pub const DEFAULT_NAME: &'static str = "default";

    pub(crate) fn of_flat_keys() -> Self {
        Self { id: TargetId::DEFAULT, name: Self::DEFAULT_NAME.into(), sample_hz: None, until: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_number_is_that_of_the_flat_keys() {
        assert_eq!(TargetId::named(253).map(TargetId::number), Some(253));
        assert_eq!(TargetId::named(TargetId::MOST_NAMED), None);
        assert_eq!(TargetId::DEFAULT.place(), None);
        assert_eq!(TargetId::DEFAULT.path(Key::Pids), "target_pids");
        assert_eq!(TargetId::from_number(3).path(Key::ProcessNames), "targets[3].process_names");
        assert_eq!(TargetId::from_number(3).path(Key::ExcludePods), "targets[3].exclude_pods");
    }
}
