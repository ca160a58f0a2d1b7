//! Whether a process is profiled, and why.

use crate::{Key, TargetId};

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
    /// It waits for a fact about its pod, which could still change the answer.
    Awaiting {
        /// The first rule that needs the fact.
        key: Key,
    },
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
    /// The target that the reason is one of: of a process that is profiled, the one that has selected it.
    pub target: TargetId,
}

impl Decision {
    /// Yes, because of `reason`.
    pub const fn profile(reason: Reason) -> Self {
        Self { verdict: Verdict::Profile, reason, target: TargetId::DEFAULT }
    }

    /// No, because of `reason`.
    pub const fn skip(reason: Reason) -> Self {
        Self { verdict: Verdict::Skip, reason, target: TargetId::DEFAULT }
    }

    /// Not yet known, because of `reason`.
    pub const fn pending(reason: Reason) -> Self {
        Self { verdict: Verdict::Pending, reason, target: TargetId::DEFAULT }
    }

    /// The same for a reason that is one of this target.
    #[must_use]
    pub const fn of(self, target: TargetId) -> Self {
        Self { target, ..self }
    }

    /// What is said of a process that was never looked at.
    pub const UNKNOWN: Self = Self::pending(Reason::Unknown);

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

    /// The decision in the lower [`Decision::BITS`] bits, never 0: the number of the reason, the target, the place in a
    /// list, the key, the verdict.
    pub fn to_bits(self) -> u64 {
        const NO_KEY: Key = Key::ALL[0];
        let (reason, key, index) = match self.reason {
            Reason::KernelThread => (1, NO_KEY, 0),
            Reason::Agent => (2, NO_KEY, 0),
            Reason::Pid { key, index } => (3, key, index),
            Reason::Excluded { key, index } => (4, key, index),
            Reason::NoIncludeRules => (5, NO_KEY, 0),
            Reason::Included { key, index } => (6, key, index),
            Reason::AllIncluded => (7, NO_KEY, 0),
            Reason::NotIncluded => (8, NO_KEY, 0),
            Reason::Followed => (9, NO_KEY, 0),
            Reason::TooManyTargets => (10, NO_KEY, 0),
            Reason::Unknown => (11, NO_KEY, 0),
            Reason::Awaiting { key } => (12, key, 0),
        };
        let target = u64::from(self.target.number());
        reason << 32 | target << 24 | u64::from(index) << 8 | (key as u64) << 2 | self.verdict as u64
    }

    /// The decision behind [`Decision::to_bits`]; `None` for what is not one.
    pub fn from_bits(bits: u64) -> Option<Self> {
        let key = Key::ALL.get((bits >> 2 & 0x3f) as usize).copied()?;
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
            12 => Reason::Awaiting { key },
            _ => return None,
        };
        let verdict = match bits & 0x3 {
            0 => Verdict::Profile,
            1 => Verdict::Skip,
            2 => Verdict::Pending,
            _ => return None,
        };
        Some(Self { verdict, reason, target: TargetId::from_number((bits >> 24) as u8) })
    }
}

// Six bits of a key are all there is room for.
const _: () = assert!(Key::ALL.len() <= 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pid_rule_chooses_by_pid() {
        let by_pid = Decision::profile(Reason::Pid { key: Key::Pids, index: 1 });
        let by_name = Decision::profile(Reason::Included { key: Key::ProcessNames, index: 1 });
        assert!(by_pid.is_by_pid() && !by_name.is_by_pid());
        assert!(by_name.is_profile() && !Decision::skip(Reason::NotIncluded).is_profile());
        assert!(!Decision::UNKNOWN.is_profile() && !Decision::UNKNOWN.is_by_pid());
    }

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
        for &key in Key::ALL {
            reasons.push(Reason::Awaiting { key });
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
                for target in [0, 254, 255].map(TargetId::from_number) {
                    let decision = Decision { verdict, reason, target };
                    assert_ne!(decision.to_bits(), 0);
                    assert_eq!(decision.to_bits() >> Decision::BITS, 0);
                    assert_eq!(Decision::from_bits(decision.to_bits()), Some(decision));
                }
            }
        }
        assert_eq!(Decision::from_bits(0), None);
    }
}
