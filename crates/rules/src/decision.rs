//! Whether a process is profiled, and why.

use crate::Key;

/// Whether a process is profiled.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// It is.
    Profile,
    /// It is not.
    Skip,
    /// It is not yet known, and not profiled until it is.
    Pending,
}

impl Verdict {
    /// The word in tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Skip => "skip",
            Self::Pending => "pending",
        }
    }
}

/// What made the decision.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// Kernel threads are never profiled.
    KernelThread,
    /// The agent is not profiled unless `profile_self` says so.
    Agent,
    /// A pid rule.
    Pid {
        /// `target_pid` or `target_pids`.
        key: Key,
        /// Place in the list.
        index: u16,
    },
    /// An exclusion.
    Excluded {
        /// Its key.
        key: Key,
        /// Place in the list.
        index: u16,
    },
    /// There are no include rules, so whatever is not excluded is in.
    NoIncludeRules,
    /// One include rule that matches (`match: any`, or the only type there is).
    Included {
        /// Its key.
        key: Key,
        /// Place in the list.
        index: u16,
    },
    /// All configured types match (`match: all`).
    AllIncluded,
    /// No include rule matches (`any`), or not every type does (`all`).
    NotIncluded,
    /// It descends from the command that is being recorded.
    Followed,
    /// It matches, but there are as many targets as there may be.
    TooManyTargets,
    /// It has not been looked at.
    Unknown,
}

/// Whether a process is profiled, and what made the decision.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Decision {
    /// Whether.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
}

impl Decision {
    /// Yes, because of `reason`.
    pub const fn profile(reason: Reason) -> Self {
        Self { verdict: Verdict::Profile, reason }
    }

    /// No, because of `reason`.
    pub const fn skip(reason: Reason) -> Self {
        Self { verdict: Verdict::Skip, reason }
    }

    /// What is said of a process that was never looked at.
    pub const UNKNOWN: Self = Self { verdict: Verdict::Pending, reason: Reason::Unknown };

    /// Whether the process is profiled.
    pub fn is_profile(self) -> bool {
        self.verdict == Verdict::Profile
    }

    /// Whether a pid rule has chosen the process, which its children do not inherit.
    pub fn is_by_pid(self) -> bool {
        matches!(self.reason, Reason::Pid { .. })
    }

    /// How many bits of [`Decision::to_bits`] may be set: so much room is left beside it for a pid.
    pub const BITS: u32 = 40;

    /// The decision in the lower [`Decision::BITS`] bits, never 0.
    pub fn to_bits(self) -> u64 {
        let (reason, key, index) = match self.reason {
            Reason::KernelThread => (1, 0, 0),
            Reason::Agent => (2, 0, 0),
            Reason::Pid { key, index } => (3, key as u64, index),
            Reason::Excluded { key, index } => (4, key as u64, index),
            Reason::NoIncludeRules => (5, 0, 0),
            Reason::Included { key, index } => (6, key as u64, index),
            Reason::AllIncluded => (7, 0, 0),
            Reason::NotIncluded => (8, 0, 0),
            Reason::Followed => (9, 0, 0),
            Reason::TooManyTargets => (10, 0, 0),
            Reason::Unknown => (11, 0, 0),
        };
        reason << 32 | key << 24 | u64::from(index) << 8 | self.verdict as u64
    }

    /// The decision behind [`Decision::to_bits`]; `None` for what is not one.
    pub fn from_bits(bits: u64) -> Option<Self> {
        let key = Key::ALL.get((bits >> 24 & 0xff) as usize).copied()?;
        let index = (bits >> 8 & 0xffff) as u16;
        let reason = match bits >> 32 {
            1 => Reason::KernelThread,
            2 => Reason::Agent,
            3 => Reason::Pid { key, index },
            4 => Reason::Excluded { key, index },
            5 => Reason::NoIncludeRules,
            6 => Reason::Included { key, index },
            7 => Reason::AllIncluded,
            8 => Reason::NotIncluded,
            9 => Reason::Followed,
            10 => Reason::TooManyTargets,
            11 => Reason::Unknown,
            _ => return None,
        };
        let verdict = match bits & 0xff {
            0 => Verdict::Profile,
            1 => Verdict::Skip,
            2 => Verdict::Pending,
            _ => return None,
        };
        Some(Self { verdict, reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_decision_survives_its_bits() {
        let mut reasons = vec![
            Reason::KernelThread,
            Reason::Agent,
            Reason::NoIncludeRules,
            Reason::AllIncluded,
            Reason::NotIncluded,
            Reason::Followed,
            Reason::TooManyTargets,
            Reason::Unknown,
        ];
        for key in Key::ALL {
            for index in [0, 1, u16::MAX] {
                reasons.extend([
                    Reason::Pid { key, index },
                    Reason::Excluded { key, index },
                    Reason::Included { key, index },
                ]);
            }
        }
        for reason in reasons {
            for verdict in [Verdict::Profile, Verdict::Skip, Verdict::Pending] {
                let decision = Decision { verdict, reason };
                assert_ne!(decision.to_bits(), 0);
                assert_eq!(decision.to_bits() >> Decision::BITS, 0);
                assert_eq!(Decision::from_bits(decision.to_bits()), Some(decision));
            }
        }
        assert_eq!(Decision::from_bits(0), None);
    }
}
