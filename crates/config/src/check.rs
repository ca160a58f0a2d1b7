//! From the tree to a [`Config`], by the table of keys, with everything that is wrong on the way.

use crate::diagnostic::{Collector, Diagnostic, Place, Severity};
use crate::keys::{CONFIG, Key, Meaning, RENAMED, Table, join};
use crate::nearest::nearest;
use crate::source::{Source, Span, shown};
use crate::sources::KeySpans;
use crate::value::Fault;
use crate::yaml::{Entry, Node, Value};
use crate::{Config, Diagnostics, Server};
use std::collections::BTreeMap;

/// What is read from a tree.
pub(crate) struct Checked {
    pub(crate) config: Config,
    pub(crate) warnings: Vec<Diagnostic>,
    pub(crate) spans: BTreeMap<String, KeySpans>,
}

/// The one key of the root.
const ROOT: &str = "profiler";

/// Reads a tree; `found` holds what was wrong with it as YAML.
pub(crate) fn check(
    source: &Source<'_>,
    root: Option<&Node<'_>>,
    found: Collector,
) -> Result<Checked, Diagnostics> {
    let mut checker = Checker { source, found, spans: BTreeMap::new() };
    let mut config = Config::default();
    if let Some(root) = root {
        checker.root(root, &mut config);
    }
    checker.whole(&config);
    let warnings = checker.found.finish()?;
    Ok(Checked { config, warnings, spans: checker.spans })
}

/// A mapping whose keys a table knows, and its path: empty for the root's only one.
pub(crate) struct Mapping<R: 'static> {
    pub(crate) table: &'static Table<R>,
    pub(crate) path: String,
}

impl<R> Mapping<R> {
    /// The whole path of what stands at a path within it.
    fn join(&self, path: &str) -> String {
        if path.is_empty() { self.path.clone() } else { join(&self.path, path) }
    }

    /// A section of it as the user knows it.
    fn name(&self, section: &str) -> String {
        let path = self.join(section);
        if path.is_empty() { format!("`{ROOT}`") } else { format!("`{path}`") }
    }
}

pub(crate) struct Checker<'s, 'a> {
    source: &'s Source<'a>,
    found: Collector,
    spans: BTreeMap<String, KeySpans>,
}

impl Checker<'_, '_> {
    fn root(&mut self, root: &Node<'_>, config: &mut Config) {
        match &root.value {
            Value::Map(entries) => entries.iter().for_each(|entry| self.root_entry(entry, config)),
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

    fn root_entry(&mut self, entry: &Entry<'_>, config: &mut Config) {
        let mapping = Mapping { table: &CONFIG, path: String::new() };
        match &*entry.key {
            ROOT => self.section(&mapping, "", &entry.value, config),
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
        let belongs = !matches!(CONFIG.meaning_of(key), Meaning::Unknown);
        let help = if belongs {
            Some(format!("`{key}` belongs below `{ROOT}:`"))
        } else {
            nearest(key, [ROOT]).map(|root| format!("did you mean `{root}`?"))
        };
        self.error(entry.key_span, message, "unknown key", help);
    }

    /// Reads what stands below a section of a mapping; the empty path is that of the mapping itself.
    pub(crate) fn section<R>(&mut self, of: &Mapping<R>, path: &str, node: &Node<'_>, root: &mut R) {
        match &node.value {
            Value::Map(entries) => entries.iter().for_each(|entry| self.entry(of, path, entry, root)),
            Value::Faulty => {}
            _ if node.is_null() => {}
            _ => {
                let keys: Vec<&str> = of.table.children(path).collect();
                let message =
                    format!("{} is a section of keys, but this is {}", of.name(path), node.describe());
                self.error(node.span, message, "", [format!("its keys are {}", listed(&keys, "and"))]);
            }
        }
    }

    fn entry<R>(&mut self, of: &Mapping<R>, section: &str, entry: &Entry<'_>, root: &mut R) {
        let path = join(section, &entry.key);
        match of.table.meaning_of(&path) {
            Meaning::Key(key) => self.value(of, key, entry, root),
            Meaning::Section => self.section(of, &path, &entry.value, root),
            Meaning::Later => {
                let message = format!("`{path}` is not in this version yet");
                let help = "leave it out: what this version cannot do, it does not pretend to do".to_owned();
                self.error(entry.key_span, message, "not yet", [help]);
            }
            Meaning::Unknown => self.unknown(of, section, entry),
        }
    }

    fn unknown<R>(&mut self, of: &Mapping<R>, section: &str, entry: &Entry<'_>) {
        let written = &*entry.key;
        if let Some(renamed) = RENAMED.iter().find(|renamed| renamed.old == written) {
            let message = format!("`{written}` is now `{}`", renamed.new);
            return self.error(entry.key_span, message, "old name", [renamed.help.to_owned()]);
        }
        let message = format!("unknown key `{}` in {}", shown(written), of.name(section));
        self.error(entry.key_span, message, "unknown key", [suggestion(of, section, written)]);
    }

    fn value<R>(&mut self, of: &Mapping<R>, key: &'static Key<R>, entry: &Entry<'_>, root: &mut R) {
        let node = &entry.value;
        let path = of.join(key.path);
        if node.value == Value::Faulty {
            return;
        }
        if key.setting.is_absent(node) {
            return self.warning(entry.key_span, format!("`{path}` is empty, which counts as absent"));
        }
        if node.is_null() {
            let message = format!("`{path}` must be {}, but has no value", key.setting.expected());
            return self.error(entry.key_span, message, "", [help_on(&path, key)]);
        }
        match key.setting.read_entry(self, &path, entry, root) {
            Ok(()) => {
                let spans = KeySpans::new(entry, key.setting.entries(node));
                self.spans.insert(path, spans);
            }
            Err(faults) => faults.into_iter().for_each(|fault| self.fault(&path, key, fault)),
        }
    }

    fn fault<R>(&mut self, path: &str, key: &Key<R>, fault: Fault) {
        let help = fault.help.unwrap_or_else(|| help_on(path, key));
        let message = format!("`{path}{}` {}", fault.part, fault.what);
        self.error(fault.span, message, &fault.label, [help]);
    }

    /// What no key by itself can say.
    fn whole(&mut self, config: &Config) {
        if config.enabled
            && !config.cpu.enabled
            && let Some(spans) = self.spans.get("cpu.enabled")
        {
            self.warning(spans.key, "no type of profile is enabled, so nothing will be profiled".to_owned());
        }
        self.server(&config.server);
    }

    /// Who may ask, which several keys say together.
    fn server(&mut self, server: &Server) {
        let tls = &server.tls;
        let pair = [
            ("server.tls.cert_file", tls.cert_file.is_some()),
            ("server.tls.key_file", tls.key_file.is_some()),
        ];
        let authority = ("server.tls.client_ca_file", tls.client_ca_file.is_some());
        let absent: Vec<&str> = pair.iter().filter(|(_, there)| !there).map(|(path, _)| *path).collect();
        if !absent.is_empty() {
            let there = pair.into_iter().chain([authority]).filter(|(_, there)| *there);
            there.for_each(|(path, _)| self.without(path, &absent));
        }
        let Some(listen) = self.spans.get("server.listen").map(|spans| spans.value) else { return };
        if !server.is_exposed() {
            return;
        }
        if !server.is_guarded() && !server.insecure {
            let message = format!("`server.listen` is `{}`, where anybody could ask", server.listen);
            let help = [
                "whoever asks sees which processes run here: write 127.0.0.1 or [::1], or set one of these",
                "`server.token_file`, and only who sends a token of that file is answered",
                "`server.tls.client_ca_file`, with `cert_file` and `key_file`, and only who has a certificate is",
                "`server.insecure: true`, and whoever reaches the address is",
            ];
            return self.error(listen, message, "not loopback", help.map(str::to_owned));
        }
        if server.token_file.is_some() && tls.cert_file.is_none() {
            let message = format!(
                "tokens go to `{}` in the clear: set `server.tls`, or see that nobody can read on the way",
                server.listen
            );
            self.warning(listen, message);
        }
    }

    /// A key that does nothing without others.
    fn without(&mut self, path: &str, absent: &[&str]) {
        let Some(span) = self.spans.get(path).map(|spans| spans.key) else { return };
        let message = format!("`{path}` needs {}", listed(absent, "and"));
        self.error(span, message, "alone", [crate::show::help_on(&CONFIG, path)]);
    }

    pub(crate) fn error(
        &mut self,
        span: Span,
        message: String,
        label: &str,
        help: impl IntoIterator<Item = String>,
    ) {
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

fn help_on<R>(path: &str, key: &Key<R>) -> String {
    format!("`{path}`: {}", key.meaning)
}

/// The key that was meant, or else all keys that could be.
fn suggestion<R>(of: &Mapping<R>, section: &str, written: &str) -> String {
    let table = of.table;
    let here = || table.children(section);
    // The flat keys have a prefix that those of a named target do not have.
    let with_prefix = format!("target_{written}");
    let without_prefix = written.strip_prefix("target_").unwrap_or(written);
    if let Some(meant) = here().find(|key| *key == with_prefix || *key == without_prefix) {
        return format!("did you mean `{meant}`?");
    }
    if let Some(meant) = nearest(written, here().chain(table.later_children(section))) {
        let later = matches!(table.meaning_of(&join(section, meant)), Meaning::Later);
        let later = if later { " It is not in this version yet" } else { "" };
        return format!("did you mean `{meant}`?{later}");
    }
    let elsewhere: Vec<&str> =
        table.keys().map(|key| key.path).filter(|path| path.rsplit('.').next() == Some(written)).collect();
    if !elsewhere.is_empty() && elsewhere.len() <= 4 {
        return format!("did you mean {}?", listed(&elsewhere, "or"));
    }
    let keys: Vec<&str> = here().collect();
    format!("the keys of {} are {}", of.name(section), listed(&keys, "and"))
}

fn listed(words: &[&str], conjunction: &str) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} {conjunction} {last}", others.join(", ")),
        _ => quoted.concat(),
    }
}
