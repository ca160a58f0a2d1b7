//! Where each key was set, for what is found to be wrong only later.

use crate::Rules;
use crate::diagnostic::{Diagnostic, Place, Severity};
use crate::source::{Source, Span};
use crate::yaml::Entry;
use std::collections::BTreeMap;

/// Where each key was set, for what is found to be wrong only later: patterns are compiled by others, who know
/// the key and the number of the entry but not the line.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sources {
    name: String,
    text: String,
    keys: BTreeMap<String, KeySpans>,
    /// By key: the flag that has set it, and how many of its entries come from the file.
    flags: BTreeMap<&'static str, (&'static str, usize)>,
}

/// Where one key stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct KeySpans {
    pub(crate) key: Span,
    pub(crate) value: Span,
    entries: Vec<Span>,
}

impl KeySpans {
    /// The key's entries, if its value is a list or a mapping, stand at these places.
    pub(crate) fn new(entry: &Entry<'_>, entries: Vec<Span>) -> Self {
        Self { key: entry.key_span, value: entry.value.span, entries }
    }
}

impl Sources {
    pub(crate) fn new(source: &Source<'_>, keys: BTreeMap<String, KeySpans>) -> Self {
        Self { name: source.name.to_owned(), text: source.text.to_owned(), keys, flags: BTreeMap::new() }
    }

    /// An error in the value of a key, whose path goes without `profiler.` (`cpu.event`, `targets[0].name`), or in the entry of
    /// that number of a list.
    pub fn error_at(&self, key: &str, index: Option<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Error, message, self.place(key, index))
    }

    /// A warning about the value of a key, or an entry of it, as [`Sources::error_at`].
    pub fn warning_at(&self, key: &str, index: Option<usize>, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(Severity::Warning, message, self.place(key, index))
    }

    /// Whether the file or a flag has set a key.
    pub fn is_set(&self, key: &str) -> bool {
        self.keys.contains_key(key) || self.flags.contains_key(key)
    }

    /// Takes note of what flags have set.
    pub(crate) fn override_by(&mut self, flags: &Rules) {
        if flags.has_includes() {
            self.keys.retain(|key, _| !key.starts_with("target"));
            self.flags.retain(|key, _| !key.starts_with("target"));
        }
        for list in Rules::INCLUDES.iter().chain(Rules::EXCLUSIONS).filter(|list| list.is_set(flags)) {
            self.set_by(list.key, list.flag);
        }
        for (key, flag, given) in [
            ("target_pids", "--pid", !flags.pids.is_empty()),
            ("target_labels", "--label", !flags.labels.is_empty()),
            ("exclude_labels", "--exclude-label", !flags.exclude_labels.is_empty()),
            ("match", "--match", flags.match_types.is_some()),
        ] {
            if given {
                self.set_by(key, flag);
            }
        }
    }

    fn set_by(&mut self, key: &'static str, flag: &'static str) {
        let in_file = self.keys.get(key).map_or(0, |spans| spans.entries.len());
        self.flags.insert(key, (flag, in_file));
    }

    fn place(&self, key: &str, index: Option<usize>) -> Place {
        if let Some((flag, in_file)) = self.flags.get(key)
            && index.is_none_or(|index| index >= *in_file)
        {
            let number = index.map(|index| format!(", value {}", index - in_file + 1)).unwrap_or_default();
            return Place::Named(format!("{flag}{number}"));
        }
        let Some(spans) = self.keys.get(key) else { return Place::Unknown };
        let span = index.and_then(|index| spans.entries.get(index)).unwrap_or(&spans.value);
        Place::Line(Source { name: &self.name, text: &self.text }.excerpt(*span))
    }
}
