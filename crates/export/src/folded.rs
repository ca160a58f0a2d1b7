//! Folded stacks: `process;entry;…;leaf count`, one stack a line.
//!
//! The format is that of stackcollapse-perf.pl and flamegraph.pl, which has no way to write a `;` or a line break in a
//! name: names are written as [`Printable`](crate::Printable) shows them, and `;` as `\x3b`. Kernel functions bear the
//! suffix `_[k]`, by which those tools tell them from others. The count is of samples.

use crate::printable::write_char;
use crate::stack_tree::{FrameKind, NodeId, StackTree, Weight};
use std::fmt::{self, Write as _};
use std::io::{self, Write};
use telegen_model::Profile;

/// What stands for a name that is empty, and for a sample without any frame.
const NO_NAME: &str = "[unknown]";

/// Writes a profile as folded stacks: each stack once, the entry point first, sorted.
pub fn write_folded(profile: &Profile, writer: impl Write) -> io::Result<()> {
    write_tree(&StackTree::of_profile(profile), writer, |own, to| write!(to, "{}", own.count))
}

/// Writes each stack of a tree that has a weight of its own, and the weight as `write_weight` does.
pub(crate) fn write_tree<W: Weight>(
    tree: &StackTree<'_, W>,
    mut writer: impl Write,
    write_weight: impl Fn(W, &mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut line = String::new();
    // How long the line is with each caller of what is being written.
    let mut lengths: Vec<usize> = Vec::new();
    for step in tree.walk() {
        lengths.truncate(step.depth);
        line.truncate(lengths.last().copied().unwrap_or(0));
        if step.caller.is_some() {
            push_frame(&mut line, tree, step.node).expect("a String takes everything");
        }
        lengths.push(line.len());
        let own = tree.node(step.node).own;
        if own != W::default() {
            write!(writer, "{} ", if line.is_empty() { NO_NAME } else { &line })?;
            write_weight(own, &mut writer)?;
            writeln!(writer)?;
        }
    }
    Ok(())
}

fn push_frame<W: Weight>(line: &mut String, tree: &StackTree<'_, W>, id: NodeId) -> fmt::Result {
    if !line.is_empty() {
        line.push(';');
    }
    let name = tree.name(id);
    for c in if name.is_empty() { NO_NAME } else { name }.chars() {
        if c == ';' {
            line.push_str("\\x3b");
        } else {
            write_char(c, line)?;
        }
    }
    if tree.node(id).kind == FrameKind::Kernel { line.write_str("_[k]") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Printable;
    use crate::sample_profile::{Stacks, any_profile};
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use telegen_model::{LabelValue, LocationKind, ProfileBuilder, ProfileKind};

    const PROCESS: &str = "process.executable.name";

    fn folded(profile: &Profile) -> String {
        let mut bytes = Vec::new();
        write_folded(profile, &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_entry_point_comes_first_and_equal_stacks_are_one_line() {
        let profile = Stacks::new()
            .add("java", "main;k:sys_read", 3)
            .add("app", "main;work<int>;m:[truncated]", 2)
            .add_in_thread("java", 7, "main;k:sys_read", 4)
            .add("app", "main", 1)
            .finish();
        let lines = ["app;main 1", "app;main;work<int>;[truncated] 2", "java;main;sys_read_[k] 7"];
        assert_eq!(folded(&profile), lines.join("\n") + "\n");
    }

    #[test]
    fn names_break_neither_lines_nor_stacks_nor_terminals() {
        let mut builder = ProfileBuilder::new(ProfileKind::Cpu, std::time::UNIX_EPOCH, 1);
        let frame = builder.marker("a;b\nc \u{1b}[31m");
        let stack = builder.stack(vec![frame]);
        let labels = builder.label_set([]);
        builder.add(stack, labels, 5, 5);
        assert_eq!(folded(&builder.finish(std::time::Duration::ZERO)), "a\\x3bb\\nc \\x1b[31m 5\n");
    }

    #[test]
    fn a_sample_without_frames_still_counts() {
        let mut builder = ProfileBuilder::new(ProfileKind::Cpu, std::time::UNIX_EPOCH, 1);
        let (stack, labels) = (builder.stack(vec![]), builder.label_set([]));
        builder.add(stack, labels, 5, 5);
        assert_eq!(folded(&builder.finish(std::time::Duration::ZERO)), "[unknown] 5\n");
    }

    /// The same by brute force.
    fn stacks_of(profile: &Profile) -> BTreeMap<String, u64> {
        let mut stacks = BTreeMap::new();
        for sample in profile.samples.iter().filter(|sample| sample.count > 0) {
            let mut frames = Vec::new();
            for (key, value) in &profile.label_sets[sample.labels.0 as usize].0 {
                if let (PROCESS, LabelValue::Text(text)) = (profile.strings.get(*key), value) {
                    frames.push((profile.strings.get(*text), ""));
                }
            }
            for id in profile.stacks[sample.stack.0 as usize].iter().rev() {
                let location = &profile.locations[id.0 as usize];
                let suffix = if location.kind == LocationKind::Kernel { "_[k]" } else { "" };
                for line in location.lines.iter().rev() {
                    let function = &profile.functions[line.function.0 as usize];
                    frames.push((profile.strings.get(function.name), suffix));
                }
            }
            let named = frames.iter().map(|(name, suffix)| {
                let name = if name.is_empty() { NO_NAME } else { name };
                Printable(name).to_string().replace(';', "\\x3b") + suffix
            });
            let stack = named.collect::<Vec<_>>().join(";");
            *stacks.entry(if stack.is_empty() { NO_NAME.into() } else { stack }).or_default() += sample.count;
        }
        stacks
    }

    proptest! {
        #[test]
        fn every_sample_is_in_the_line_of_its_stack(profile in any_profile()) {
            let text = folded(&profile);
            let mut stacks = BTreeMap::new();
            for line in text.split_terminator('\n') {
                let (stack, count) = line.rsplit_once(' ').expect("a count");
                prop_assert!(!stack.chars().any(char::is_control));
                *stacks.entry(stack.to_owned()).or_default() += count.parse::<u64>().expect("a count");
            }
            prop_assert_eq!(&stacks, &stacks_of(&profile));
            prop_assert_eq!(stacks.values().sum::<u64>(), profile.total_count());
        }
    }
}
