//! What the kernel side can decide by itself.
//!
//! At exec the kernel knows the names and the executable of a process, and nothing of containers, pods and whose pid
//! was named. It may answer by these alone where that can never contradict what [`RuleSet::decide`] comes to later,
//! whatever else it learns. So it is given a list of simple patterns; it says yes where one surely selects, no where these
//! patterns are all that could select, and nothing otherwise.

mod containers;
mod translate;

use crate::{RuleSet, TargetId};

/// What a rule of the kernel side is compared with.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Subject {
    /// Each name of the process: comm, base name of the executable, base name of `argv[0]`.
    Name,
    /// The executable's path.
    Path,
}

impl Subject {
    /// Its bit among the types of a target.
    pub const fn bit(self) -> u8 {
        match self {
            Self::Name => 1,
            Self::Path => 2,
        }
    }
}

/// How a rule of the kernel side is compared.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PatternForm {
    /// With the whole.
    Exact,
    /// With the beginning: `abc*`.
    Prefix,
    /// With the end: `*abc`.
    Suffix,
}

/// A rule that the kernel side can evaluate.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct KernelRule {
    /// What it is compared with.
    pub subject: Subject,
    /// How.
    pub form: PatternForm,
    /// What must be there: at most [`KernelRule::MAX_BYTES`] bytes, and none for what matches everything.
    pub text: Box<str>,
    /// Whether a match forbids every yes, instead of helping towards one.
    pub exclude: bool,
    /// The target that a yes is one of; of no consequence for an exclusion.
    pub target: TargetId,
    /// The [`Subject::bit`]s of rules that must match for the target to say yes; 0 for an exclusion.
    pub needs: u8,
}

impl KernelRule {
    /// Bytes that a text may have.
    pub const MAX_BYTES: usize = 63;

    fn matches(&self, names: &[&[u8]], path: &[u8]) -> bool {
        let is_match = |bytes: &[u8]| match self.form {
            PatternForm::Exact => bytes == self.text.as_bytes(),
            PatternForm::Prefix => bytes.starts_with(self.text.as_bytes()),
            PatternForm::Suffix => bytes.ends_with(self.text.as_bytes()),
        };
        match self.subject {
            Subject::Name => names.iter().copied().any(is_match),
            Subject::Path => is_match(path),
        }
    }
}

/// The rules that the kernel side can evaluate: first exclusions, then the rules of one target after the other.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KernelRules {
    rules: Vec<KernelRule>,
    knows_exclusions: bool,
    knows_inclusions: bool,
}

impl KernelRules {
    /// Rules that there may be.
    pub const MOST: usize = 64;

    /// The rules in the order in which they are to be tried.
    pub fn rules(&self) -> &[KernelRule] {
        &self.rules
    }

    /// Whether every exclusion by name or path is among them: only then can a control group be enough for a yes, see
    /// [`RuleSet::container_target`].
    pub fn knows_exclusions(&self) -> bool {
        self.knows_exclusions
    }

    /// Whether nothing can select a process that these rules do not: only then does [`KernelRules::no`] say anything.
    pub fn knows_inclusions(&self) -> bool {
        self.knows_inclusions
    }

    /// Whether an exclusion matches a process: then no control group says yes of it either.
    pub fn excludes(&self, names: &[&[u8]], path: &[u8]) -> bool {
        self.rules.iter().any(|rule| rule.exclude && rule.matches(names, path))
    }

    /// The target that a process surely is one of; `None` if there is none or only the whole rules can tell.
    ///
    /// This is the specification of the kernel side. It is to be asked only
    ///
    /// * about a process that has just called exec, whose names and path have been read in whole: comm, the base name of
    ///   the path, and the base name of `argv[0]` if there is one. A path that is too long, or whose file was deleted,
    ///   which the kernel marks by ` (deleted)`, is no path to ask with;
    /// * not about the agent itself, and not while there are as many targets as there may be.
    ///
    /// A yes holds as long as these rules do. Names and path are compared as the bytes that they are: no rule here has
    /// the character that stands elsewhere for what is not UTF-8.
    pub fn yes(&self, names: &[&[u8]], path: &[u8]) -> Option<TargetId> {
        let mut current = (TargetId::DEFAULT, 0);
        for rule in &self.rules {
            if !rule.exclude && current.0 != rule.target {
                current = (rule.target, 0);
            }
            if !rule.matches(names, path) {
                continue;
            }
            if rule.exclude {
                return None;
            }
            current.1 |= rule.subject.bit();
            if current.1 & rule.needs == rule.needs {
                return Some(rule.target);
            }
        }
        None
    }

    /// Whether a process is surely no target. The specification of the kernel side, to be asked about the same processes as
    /// [`KernelRules::yes`]; a no holds as long as these rules do.
    pub fn no(&self, names: &[&[u8]], path: &[u8]) -> bool {
        self.knows_inclusions && !self.excludes(names, path) && self.yes(names, path).is_none()
    }
}

impl RuleSet {
    /// What the kernel side can decide by itself of these rules; nothing if that is too much for it.
    pub fn kernel_rules(&self) -> KernelRules {
        match translate::translate(self) {
            Some((rules, knows_inclusions)) if rules.len() <= KernelRules::MOST => {
                KernelRules { rules, knows_exclusions: true, knows_inclusions }
            }
            _ => KernelRules::default(),
        }
    }
}
