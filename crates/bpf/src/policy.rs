//! What of the rules the programs can tell by themselves.

use crate::Error;
use crate::abi::{MAX_PATTERNS, PATTERN_BYTES, RawCgroup, RawPattern};
use libbpf_rs::{MapCore, MapFlags, MapHandle};
use telegen_model::{ControlGroup, TargetNumber};

/// What a pattern looks at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PatternSubject {
    /// Comm, base name of the executable, base name of `argv[0]`: any of them.
    Name,
    /// The executable's path.
    Path,
}

/// How a pattern compares.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PatternForm {
    /// The text is this.
    Exact,
    /// It begins with this.
    Prefix,
    /// It ends with this.
    Suffix,
}

/// A pattern.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    /// What it looks at.
    pub subject: PatternSubject,
    /// How it compares.
    pub form: PatternForm,
    /// At most [`Policy::MAX_TEXT`] bytes.
    pub text: Box<str>,
    /// The place in [`Policy::ranks`] of the target that includes by it; `None` for an exclusion, which leaves everything
    /// that it matches to user space.
    pub includes: Option<usize>,
}

/// A target that the programs can say yes for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rank {
    /// Its number.
    pub target: TargetNumber,
    /// What its patterns look at, if one of each kind has to match; empty if any one is enough.
    pub all_of: &'static [PatternSubject],
}

/// What the programs decide on at exec, before user space has seen the new program.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Policy {
    /// Targets, in the order in which they are tried.
    pub ranks: Vec<Rank>,
    /// At most [`Policy::MAX_PATTERNS`].
    pub patterns: Vec<Pattern>,
    /// Whether rules depend on the control group of a process: then moves are told, and [`ControlGroups`] are asked.
    pub watch_control_groups: bool,
    /// Whether what no pattern includes is no target; if not, all that is left to user space.
    pub knows_inclusions: bool,
}

impl Policy {
    /// Patterns that there is room for.
    pub const MAX_PATTERNS: usize = MAX_PATTERNS;
    /// Bytes of a pattern's text.
    pub const MAX_TEXT: usize = PATTERN_BYTES - 1;

    /// As the programs read it, behind its version. What there is no room for leaves everything to user space.
    pub(crate) fn words(&self) -> Vec<u32> {
        let fits = self.patterns.len() <= Self::MAX_PATTERNS
            && self.ranks.len() <= Self::MAX_PATTERNS
            && self.patterns.iter().all(|pattern| pattern.text.len() <= Self::MAX_TEXT);
        let (patterns, ranks) = if fits { (&self.patterns[..], &self.ranks[..]) } else { (&[][..], &[][..]) };
        let exclusions = patterns.iter().filter(|pattern| pattern.includes.is_none()).count();
        // Where an exclusion finds no room no control group may say yes either.
        let exclusions = if fits { exclusions as u32 } else { 1 };
        let mut words = vec![
            patterns.len() as u32,
            ranks.len() as u32,
            exclusions,
            u32::from(self.watch_control_groups && fits),
            u32::from(self.knows_inclusions && fits),
        ];
        let mut bytes = Vec::with_capacity(2 * MAX_PATTERNS + patterns.len() * size_of::<RawPattern>());
        for rank in ranks {
            let all = rank.all_of.iter().fold(0, |all, subject| all | subject.bit());
            bytes.extend([rank.target.0, all]);
        }
        bytes.resize(2 * MAX_PATTERNS, 0);
        for pattern in patterns {
            let kind = if pattern.includes.is_some() { pattern.subject.bit() } else { 0 };
            let rank = pattern.includes.unwrap_or(0) as u8;
            let length = pattern.text.len();
            bytes.extend([pattern.subject as u8, pattern.form as u8, kind, rank, length as u8, 0, 0, 0]);
            bytes.extend_from_slice(pattern.text.as_bytes());
            bytes.resize(bytes.len() + PATTERN_BYTES - length, 0);
        }
        words.extend(
            bytes.chunks_exact(4).map(|word| u32::from_ne_bytes([word[0], word[1], word[2], word[3]])),
        );
        words
    }
}

impl PatternSubject {
    fn bit(self) -> u8 {
        match self {
            Self::Name => 1,
            Self::Path => 2,
        }
    }
}

/// Control groups all of whose processes belong to one target, whatever they are called: the programs ask for them at fork, at
/// exec and when a process moves.
pub struct ControlGroups(MapHandle);

impl ControlGroups {
    pub(crate) fn new(map: MapHandle) -> Self {
        Self(map)
    }

    /// From now on all processes that come into a group belong to a target. False if there is no room.
    ///
    /// # Errors
    ///
    /// If the kernel refuses for another reason than that.
    pub fn insert(&self, group: ControlGroup, target: TargetNumber) -> Result<bool, Error> {
        let state = u64::from(crate::State::Profile { by_pid: false, follow: false, target }.bits());
        match self.0.update(&key(group), &state.to_ne_bytes(), MapFlags::ANY) {
            Ok(()) => Ok(true),
            Err(error) if crate::unwind::is_full(&error) => Ok(false),
            Err(source) => Err(Error::Load { source, log: vec!["telling a control group".into()] }),
        }
    }

    /// From now on processes that come into a group are decided on one by one.
    pub fn remove(&self, group: ControlGroup) {
        // One that is not there needs no removing.
        let _ = self.0.delete(&key(group));
    }
}

fn key(group: ControlGroup) -> [u8; size_of::<RawCgroup>()] {
    let mut key = [0; size_of::<RawCgroup>()];
    key[..8].copy_from_slice(&group.id.to_ne_bytes());
    key[8..12].copy_from_slice(&group.hierarchy.to_ne_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern {
            subject: PatternSubject::Path,
            form: PatternForm::Suffix,
            text: text.into(),
            includes: Some(1),
        }
    }

    #[test]
    fn patterns_lie_where_the_programs_read_them() {
        let rank = |target, all_of| Rank { target: TargetNumber(target), all_of };
        let both: &[PatternSubject] = &[PatternSubject::Name, PatternSubject::Path];
        let excluded = Pattern { includes: None, subject: PatternSubject::Name, ..pattern("x") };
        let policy = Policy {
            ranks: vec![rank(7, both), rank(9, &[])],
            patterns: vec![pattern("/java"), excluded],
            watch_control_groups: true,
            knows_inclusions: true,
        };
        let words = policy.words();
        assert_eq!(words[..5], [2, 2, 1, 1, 1]);
        let bytes: Vec<u8> = words[5..].iter().flat_map(|word| word.to_ne_bytes()).collect();
        assert_eq!(bytes[..4], [7, 3, 9, 0]);
        assert_eq!(bytes[128..142], *b"\x01\x02\x02\x01\x05\0\0\0/java\0");
        assert_eq!(bytes[200..209], *b"\0\x02\0\0\x01\0\0\0x");
        assert_eq!(bytes.len(), 128 + 2 * 72);
    }

    #[test]
    fn what_does_not_fit_leaves_everything_to_user_space() {
        let too_long =
            Policy { patterns: vec![pattern(&"x".repeat(64))], knows_inclusions: true, ..Policy::default() };
        assert_eq!(too_long.words()[..5], [0, 0, 1, 0, 0]);
        let too_many = Policy { patterns: vec![pattern("x"); 65], ..Policy::default() };
        assert_eq!(too_many.words()[..5], [0, 0, 1, 0, 0]);
        assert_eq!(Policy::default().words()[..5], [0, 0, 0, 0, 0]);
    }
}
