//! Three-valued logic: facts that have not arrived are neither there nor not.

/// What a rule says of a process, by Kleene's strong logic of indeterminacy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome<T> {
    /// It does not match, whatever is still to come.
    No,
    /// That depends on a fact that has not arrived.
    Unknown(T),
    /// It matches, whatever is still to come.
    Yes(T),
}

impl<T> Outcome<T> {
    /// Whether either holds; of two that say the same, the first is named.
    pub(crate) fn or(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Yes(_) => self,
            Self::No => other(),
            Self::Unknown(_) => match other() {
                yes @ Self::Yes(_) => yes,
                _ => self,
            },
        }
    }

    /// The same with something else to name.
    pub(crate) fn map<U>(self, name: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::No => Outcome::No,
            Self::Unknown(named) => Outcome::Unknown(name(named)),
            Self::Yes(named) => Outcome::Yes(name(named)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{No, Unknown, Yes};

    #[test]
    fn one_yes_is_enough_and_no_unknown_hides_it() {
        assert_eq!(Unknown(1).or(|| Yes(2)), Yes(2));
        assert_eq!(Yes(1).or(|| Unknown(2)), Yes(1));
        assert_eq!(No.or(|| Unknown(2)), Unknown(2));
        assert_eq!(Unknown(1).or(|| No), Unknown(1));
        assert_eq!(Unknown(1).or(|| Unknown(2)), Unknown(1));
        assert_eq!(Outcome::<u8>::No.or(|| No), No);
    }
}
