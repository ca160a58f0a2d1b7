//! A configuration as YAML.

use crate::Config;
use crate::keys::{KEYS, Key};
use crate::setting::Written;
use std::fmt::Write;

impl Config {
    /// The whole configuration as a file that is read as the same configuration: defaults are written out, and
    /// keys that are absent stand in a comment.
    pub fn show(&self) -> String {
        let mut text = String::from("profiler:\n");
        let mut section = Vec::new();
        for key in KEYS.iter().filter(|key| key.setting.is_built()) {
            let names: Vec<&str> = key.path.split('.').collect();
            let Some((name, parents)) = names.split_last() else { continue };
            open(&mut text, &mut section, parents);
            write_key(&mut text, key, name, parents.len() + 1, self);
        }
        text
    }
}

/// Every key with its type, its default and its meaning.
pub fn reference() -> String {
    let defaults = Config::default();
    let mut text = String::new();
    for key in KEYS {
        let default = match key.setting.write(&defaults) {
            _ if !key.setting.is_built() => "; not in this build".to_owned(),
            Written::Scalar(value) => format!("; default: {value}"),
            _ if key.absent.is_empty() => String::new(),
            _ => format!("; default: {}", key.absent),
        };
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "profiler.{}\n    {}{default}\n    {}\n",
            key.path,
            key.setting.expected(),
            key.meaning
        );
    }
    text
}

/// Writes the headings of the sections that `parents` names and that are not open yet.
fn open(text: &mut String, open: &mut Vec<&'static str>, parents: &[&'static str]) {
    let common = open.iter().zip(parents).take_while(|(a, b)| a == b).count();
    open.truncate(common);
    for parent in &parents[common..] {
        open.push(parent);
        let _ = writeln!(text, "{}{parent}:", indent(open.len()));
    }
}

fn write_key(text: &mut String, key: &Key, name: &str, depth: usize, config: &Config) {
    let indent = indent(depth);
    // Writing to a string does not fail.
    let _ = match key.setting.write(config) {
        Written::Absent if key.absent.is_empty() => writeln!(text, "{indent}# {name}: none"),
        Written::Absent => writeln!(text, "{indent}# {name}: {}", key.absent),
        Written::Scalar(value) => writeln!(text, "{indent}{name}: {value}"),
        Written::List(values) => {
            let _ = writeln!(text, "{indent}{name}:");
            values.iter().try_for_each(|value| writeln!(text, "{indent}  - {value}"))
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
