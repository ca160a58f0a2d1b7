//! Flame graphs: one SVG that needs nothing else.
//!
//! The picture is whole without its script, as in `<img>`; opened by itself in a browser it takes the width of the
//! window, a click zooms in, and it can be searched. The widths are of samples. What is too narrow to be seen is left
//! out of the picture, not of its callers.

mod layout;
mod palette;
mod svg;

use crate::file_name::readable_time;
use crate::stack_tree::StackTree;
use layout::Layout;
use std::io::{self, Write};
use std::time::Duration;
use telegen_model::Profile;

/// A flame graph of a profile: callers at the bottom, each as wide as it has samples.
#[derive(Clone, Debug)]
pub struct FlameGraph<'a> {
    profile: &'a Profile,
    title: String,
}

impl<'a> FlameGraph<'a> {
    /// A flame graph of this profile.
    pub fn new(profile: &'a Profile) -> Self {
        Self { profile, title: "CPU flame graph".into() }
    }

    /// The same with another title.
    pub fn title(self, title: impl Into<String>) -> Self {
        Self { title: title.into(), ..self }
    }

    /// Writes it as SVG.
    pub fn write(&self, writer: impl Write) -> io::Result<()> {
        let tree = StackTree::new(self.profile);
        let layout = Layout::new(&tree);
        svg::write(writer, &tree, &layout, &self.title, &self.subtitle(&tree))
    }

    fn subtitle(&self, tree: &StackTree<'_>) -> String {
        let root = tree.node(StackTree::ROOT);
        let mut parts = vec![
            format!("{} samples", grouped(root.count)),
            format!("{} of CPU time", seconds(root.value)),
            format!("recorded for {}", seconds_of(self.profile.duration)),
        ];
        if self.profile.period_ns > 0 {
            parts.push(format!("{:.0} Hz per CPU", 1e9 / self.profile.period_ns as f64));
        }
        parts.push(readable_time(self.profile.start));
        parts.join(" · ")
    }
}

/// A number with a comma between thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Nanoseconds in the unit that people would take.
fn seconds(nanoseconds: u64) -> String {
    seconds_of(Duration::from_nanos(nanoseconds))
}

fn seconds_of(duration: Duration) -> String {
    match duration.as_secs_f64() {
        s if s < 0.001 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 100.0 => format!("{s:.2} s"),
        s => format!("{} s", grouped(s.round() as u64)),
    }
}

#[cfg(test)]
mod tests;
