//! What cannot be understood of what the user wrote.

use crate::{Key, TargetId};

/// Something that cannot be understood of what the user wrote.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuleError {
    /// An entry of a list: a glob, a container id, a rule on labels.
    #[error("{}[{index}] = {text:?}: {message}", target.path(*key))]
    Entry {
        /// The target whose it is.
        target: TargetId,
        /// The key it stands under.
        key: Key,
        /// Its place in the list.
        index: usize,
        /// What was written.
        text: String,
        /// What is wrong with it.
        message: String,
    },
    /// The name of a target.
    #[error("targets[{place}].name = {name:?}: {message}")]
    Name {
        /// The target's place in the list.
        place: usize,
        /// What was written.
        name: String,
        /// What is wrong with it.
        message: String,
    },
    /// More named targets than there may be.
    #[error("targets: there may be {} of them, but these are {count}", TargetId::MOST_NAMED)]
    TooManyTargets {
        /// How many were written.
        count: usize,
    },
}

impl RuleError {
    /// Where it stands in the configuration, and which entry of a list there.
    pub fn place(&self) -> (String, Option<usize>) {
        match self {
            Self::Entry { target, key, index, .. } => (target.path(*key), Some(*index)),
            Self::Name { place, .. } => (format!("targets[{place}].name"), None),
            // The first that is one too many.
            Self::TooManyTargets { .. } => (format!("targets[{}].name", TargetId::MOST_NAMED), None),
        }
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> String {
        match self {
            Self::Entry { key, text, message, .. } => {
                let what = match key {
                    Key::ContainerIds | Key::ExcludeContainerIds => "container id",
                    Key::Labels | Key::ExcludeLabels => "label rule",
                    Key::Pid | Key::Pids => "pid",
                    _ => "pattern",
                };
                format!("bad {what} {text:?}: {message}")
            }
            Self::Name { name, message, .. } => format!("bad name of a target {name:?}: {message}"),
            Self::TooManyTargets { count } => {
                format!("there may be {} named targets, but these are {count}", TargetId::MOST_NAMED)
            }
        }
    }
}

/// Where the errors of one list go.
pub(crate) struct Errors<'a> {
    pub(crate) target: TargetId,
    pub(crate) key: Key,
    pub(crate) list: &'a mut Vec<RuleError>,
}

impl Errors<'_> {
    pub(crate) fn push(&mut self, index: usize, text: impl Into<String>, message: impl Into<String>) {
        let (target, key) = (self.target, self.key);
        self.list.push(RuleError::Entry { target, key, index, text: text.into(), message: message.into() });
    }
}
