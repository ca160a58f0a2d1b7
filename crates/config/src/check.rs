//! From the tree to a [`Config`], by the table of keys, with everything that is wrong on the way.

use crate::diagnostic::{Collector, Diagnostic, Place, Severity};
use crate::keys::{self, Key, Meaning, RENAMED};
use crate::nearest::nearest;
use crate::source::{Source, Span, shown};
use crate::sources::KeySpans;
use crate::value::Fault;
use crate::yaml::{Entry, Node, Value};
use crate::{Config, Diagnostics};
use std::collections::BTreeMap;

/// What is read from a tree.
pub(crate) struct Checked {
    pub(crate) config: Config,
    pub(crate) warnings: Vec<Diagnostic>,
    pub(crate) spans: BTreeMap<&'static str, KeySpans>,
}

/// The one key of the root.
const ROOT: &str = "profiler";

/// Reads a tree; `found` holds what was wrong with it as YAML.
pub(crate) fn check(
    source: &Source<'_>,
    root: Option<&Node<'_>>,
    found: Collector,
) -> Result<Checked, Diagnostics> {
    let mut checker = Checker { source, found, config: Config::default(), spans: BTreeMap::new() };
    if let Some(root) = root {
        checker.root(root);
    }
    checker.whole();
    let warnings = checker.found.finish()?;
    Ok(Checked { config: checker.config, warnings, spans: checker.spans })
}

struct Checker<'s, 'a> {
    source: &'s Source<'a>,
    found: Collector,
    config: Config,
    spans: BTreeMap<&'static str, KeySpans>,
}

impl Checker<'_, '_> {
    fn root(&mut self, root: &Node<'_>) {
        match &root.value {
            Value::Map(entries) => entries.iter().for_each(|entry| self.root_entry(entry)),
            Value::Faulty => {}
            _ if root.is_null() => {}
            _ => {
                let message = format!(
                    "a configuration is a mapping with the key `{ROOT}`, but this is {}",
                    root.describe()
                );
                self.error(root.span, message, "", [format!("begin with a line `{ROOT}:`")]);
            }
        }
    }

    fn root_entry(&mut self, entry: &Entry<'_>) {
        match &*entry.key {
            ROOT => self.section("", &entry.value),
            "profiling" => self.renamed_root(entry.key_span, "profiling"),
            "agent" => match agent_profiling(&entry.value) {
                Some(span) => self.renamed_root(span, "agent.profiling"),
                None => self.unknown_root(entry),
            },
            _ => self.unknown_root(entry),
        }
    }

    fn renamed_root(&mut self, span: Span, old: &str) {
        let help = format!("`{old}:` is now `{ROOT}:`, at the very left");
        self.error(span, format!("the root of a configuration is `{ROOT}`, not `{old}`"), "", [help]);
    }

    fn unknown_root(&mut self, entry: &Entry<'_>) {
        let key = &*entry.key;
        let message = format!("unknown key `{}`: the root of a configuration is `{ROOT}`", shown(key));
        let belongs = !matches!(keys::meaning_of(key), Meaning::Unknown);
        let help = if belongs {
            Some(format!("`{key}` belongs below `{ROOT}:`"))
        } else {
            nearest(key, [ROOT]).map(|root| format!("did you mean `{root}`?"))
        };
        self.error(entry.key_span, message, "unknown key", help);
    }

    /// Reads what stands below a section; the empty path is that of the root's only section.
    fn section(&mut self, path: &str, node: &Node<'_>) {
        match &node.value {
            Value::Map(entries) => entries.iter().for_each(|entry| self.entry(path, entry)),
            Value::Faulty => {}
            _ if node.is_null() => {}
            _ => {
                let keys: Vec<&str> = keys::children(path).collect();
                let message = format!("{} is a section of keys, but this is {}", name(path), node.describe());
                self.error(node.span, message, "", [format!("its keys are {}", listed(&keys, "and"))]);
            }
        }
    }

    fn entry(&mut self, section: &str, entry: &Entry<'_>) {
        let path = keys::join(section, &entry.key);
        match keys::meaning_of(&path) {
            Meaning::Key(key) => self.value(key, entry),
            Meaning::Section => self.section(&path, &entry.value),
            Meaning::Later => {
                let message = format!("`{path}` is not in this version yet");
                let help = "leave it out: what this version cannot do, it does not pretend to do".to_owned();
                self.error(entry.key_span, message, "not yet", [help]);
            }
            Meaning::Unknown => self.unknown(section, entry),
        }
    }

    fn unknown(&mut self, section: &str, entry: &Entry<'_>) {
        let written = &*entry.key;
        if let Some(renamed) = RENAMED.iter().find(|renamed| renamed.old == written) {
            let message = format!("`{written}` is now `{}`", renamed.new);
            return self.error(entry.key_span, message, "old name", [renamed.help.to_owned()]);
        }
        let message = format!("unknown key `{}` in {}", shown(written), name(section));
        self.error(entry.key_span, message, "unknown key", [suggestion(section, written)]);
    }

    fn value(&mut self, key: &'static Key, entry: &Entry<'_>) {
        let node = &entry.value;
        if node.value == Value::Faulty {
            return;
        }
        if is_empty(node) && key.setting.may_be_empty() {
            let message = format!("`{}` is empty, which counts as absent", key.path);
            return self.warning(entry.key_span, message);
        }
        if node.is_null() {
            let message = format!("`{}` must be {}, but has no value", key.path, key.setting.expected());
            return self.error(entry.key_span, message, "", [help_on(key)]);
        }
        match key.setting.read(node, &mut self.config) {
            Ok(()) => drop(self.spans.insert(key.path, KeySpans::new(entry))),
            Err(faults) => faults.into_iter().for_each(|fault| self.fault(key, fault)),
        }
    }

    fn fault(&mut self, key: &Key, fault: Fault) {
        let help = fault.help.unwrap_or_else(|| help_on(key));
        let message = format!("`{}{}` {}", key.path, fault.part, fault.what);
        self.error(fault.span, message, &fault.label, [help]);
    }

    /// What no key by itself can say.
    fn whole(&mut self) {
        if self.config.enabled
            && !self.config.cpu.enabled
            && let Some(spans) = self.spans.get("cpu.enabled")
        {
            self.warning(spans.key, "no type of profile is enabled, so nothing will be profiled".to_owned());
        }
    }

    fn error(&mut self, span: Span, message: String, label: &str, help: impl IntoIterator<Item = String>) {
        let source = self.source;
        self.found.error(span.start, || {
            let place = Place::Line(source.excerpt(span));
            Diagnostic::new(Severity::Error, message, place).with_label(label).with_help(help)
        });
    }

    fn warning(&mut self, span: Span, message: String) {
        let source = self.source;
        self.found.warning(span.start, || {
            Diagnostic::new(Severity::Warning, message, Place::Line(source.excerpt(span)))
        });
    }
}

/// Where the key `profiling` stands below `agent`.
fn agent_profiling(agent: &Node<'_>) -> Option<Span> {
    let Value::Map(entries) = &agent.value else { return None };
    entries.iter().find(|entry| entry.key == "profiling").map(|entry| entry.key_span)
}

fn is_empty(node: &Node<'_>) -> bool {
    match &node.value {
        Value::List(list) => list.is_empty(),
        Value::Map(entries) => entries.is_empty(),
        Value::Scalar(_) => node.is_null(),
        Value::Faulty => false,
    }
}

fn help_on(key: &Key) -> String {
    format!("`{}`: {}", key.path, key.meaning)
}

/// The key that was meant, or else all keys that could be.
fn suggestion(section: &str, written: &str) -> String {
    let here = keys::children(section);
    if let Some(meant) = nearest(written, here.chain(keys::later_children(section))) {
        let path = keys::join(section, meant);
        let later = matches!(keys::meaning_of(&path), Meaning::Later);
        let later = if later { " It is not in this version yet" } else { "" };
        return format!("did you mean `{meant}`?{later}");
    }
    let elsewhere: Vec<&str> = keys::KEYS
        .iter()
        .map(|key| key.path)
        .filter(|path| path.rsplit('.').next() == Some(written))
        .collect();
    if !elsewhere.is_empty() && elsewhere.len() <= 4 {
        return format!("did you mean {}?", listed(&elsewhere, "or"));
    }
    let keys: Vec<&str> = keys::children(section).collect();
    format!("the keys of {} are {}", name(section), listed(&keys, "and"))
}

/// A section as the user knows it.
fn name(section: &str) -> String {
    if section.is_empty() { format!("`{ROOT}`") } else { format!("`{section}`") }
}

fn listed(words: &[&str], conjunction: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} {conjunction} {last}", others.join(", ")),
        _ => quoted.concat(),
    }
}
