//! A configuration as YAML.

use crate::Config;
use crate::keys::{CONFIG, Key, TARGET, Table};
use crate::setting::Written;
use std::fmt::Write;

impl Config {
    /// The whole configuration as a file that is read as the same configuration: defaults are written out, and
    /// keys that are absent stand in a comment.
    pub fn show(&self) -> String {
        let mut text = String::from("profiler:\n");
        write_table(&mut text, &CONFIG, self, 1, Absent::InComments);
        text
    }
}

/// What becomes of keys that are absent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Absent {
    InComments,
    LeftOut,
}

/// Every key with its type, its default and its meaning.
pub fn reference() -> String {
    let mut text = String::new();
    for key in CONFIG.keys() {
        write_reference(&mut text, "", key, &Config::default());
        if key.path == "targets" {
            let none = crate::Target::default();
            TARGET.keys().for_each(|key| write_reference(&mut text, "targets[].", key, &none));
        }
    }
    text
}

fn write_reference<R>(text: &mut String, prefix: &str, key: &Key<R>, defaults: &R) {
    let default = match key.setting.write(defaults) {
        _ if !key.setting.is_built() => "; not in this build".to_owned(),
        Written::Scalar(value) if !value.starts_with('"') || prefix.is_empty() => {
            format!("; default: {value}")
        }
        _ if key.absent.is_empty() => String::new(),
        _ => format!("; default: {}", key.absent),
    };
    let (path, expected, meaning) = (key.path, key.setting.expected(), key.meaning);
    // Writing to a string does not fail.
    let _ = writeln!(text, "profiler.{prefix}{path}\n    {expected}{default}\n    {meaning}\n");
}

/// What a key is for, where it has been misunderstood.
pub(crate) fn help_on<R>(table: &Table<R>, path: &str) -> String {
    let meaning = table.keys().find(|key| key.path == path).map_or("", |key| key.meaning);
    format!("`{path}`: {meaning}")
}

/// All that is set in a mapping, without indentation.
pub(crate) fn written<R>(table: &'static Table<R>, root: &R) -> String {
    let mut text = String::new();
    write_table(&mut text, table, root, 0, Absent::LeftOut);
    text.truncate(text.trim_end().len());
    text
}

fn write_table<R>(text: &mut String, table: &'static Table<R>, root: &R, depth: usize, absent: Absent) {
    let mut section = Vec::new();
    for key in table.keys().filter(|key| key.setting.is_built()) {
        let written = key.setting.write(root);
        if written == Written::Absent && absent == Absent::LeftOut {
            continue;
        }
        let names: Vec<&str> = key.path.split('.').collect();
        let Some((name, parents)) = names.split_last() else { continue };
        open(text, &mut section, parents, depth);
        write_key(text, key, name, depth + parents.len(), written);
    }
}

/// Writes the headings of the sections that `parents` names and that are not open yet.
fn open(text: &mut String, open: &mut Vec<&'static str>, parents: &[&'static str], depth: usize) {
    let common = open.iter().zip(parents).take_while(|(a, b)| a == b).count();
    open.truncate(common);
    for parent in &parents[common..] {
        let _ = writeln!(text, "{}{parent}:", indent(depth + open.len()));
        open.push(parent);
    }
}

fn write_key<R>(text: &mut String, key: &Key<R>, name: &str, depth: usize, written: Written) {
    let indent = indent(depth);
    // Writing to a string does not fail.
    let _ = match written {
        Written::Absent if key.absent.is_empty() => writeln!(text, "{indent}# {name}: none"),
        Written::Absent => writeln!(text, "{indent}# {name}: {}", key.absent),
        Written::Scalar(value) => writeln!(text, "{indent}{name}: {value}"),
        Written::List(values) => {
            let _ = writeln!(text, "{indent}{name}:");
            let below = format!("\n{indent}    ");
            values.iter().try_for_each(|value| writeln!(text, "{indent}  - {}", value.replace('\n', &below)))
        }
        Written::Map(entries) => {
            let _ = writeln!(text, "{indent}{name}:");
            entries.iter().try_for_each(|(name, value)| writeln!(text, "{indent}  {name}: {value}"))
        }
    };
}

fn indent(depth: usize) -> String {
    "  ".repeat(depth)
}
