//! Flame graphs: a picture that needs nothing else, or a page with more ways to look around.
//!
//! The SVG is whole without its script, as in `<img>`; opened by itself in a browser it takes the width of the window,
//! a click zooms in, and it can be searched. The page has more frames than a picture can hold. What is too narrow to be
//! seen is left out of either, not of its callers.

mod layout;
mod markup;
mod page;
mod palette;
mod scale;
mod svg;

use crate::Printable;
use crate::comparison::{Change, Comparison};
use crate::file_name::readable_time;
use crate::quantity::{Quantity, grouped};
use crate::stack_tree::{FrameKind, NodeId, StackTree, Ticks, Weight};
use scale::{ChangeScale, Scale, TickScale};
use std::io::{self, Write};
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
    pub fn write_svg(&self, writer: impl Write) -> io::Result<()> {
        self.draw(|picture| svg::write(picture, writer))
    }

    /// Writes it as a page of HTML.
    pub fn write_html(&self, writer: impl Write) -> io::Result<()> {
        self.draw(|picture| page::write(picture, writer))
    }

    fn draw<T>(&self, draw: impl FnOnce(&Picture<'_, Ticks, TickScale>) -> T) -> T {
        let tree = StackTree::of_profile(self.profile);
        let scale = TickScale { whole: tree.whole(), unit: self.profile.kind.unit() };
        let (title, subtitle) = (self.title.clone(), self.subtitle(tree.whole()));
        draw(&Picture { tree: &tree, scale, title, subtitle })
    }

    fn subtitle(&self, whole: Ticks) -> String {
        let mut parts = vec![
            format!("{} samples", grouped(whole.count)),
            format!("{} of CPU time", Quantity { value: whole.value, unit: self.profile.kind.unit() }),
            format!("recorded for {}", Quantity::of_time(self.profile.duration)),
        ];
        if self.profile.period_ns > 0 {
            parts.push(format!("{:.0} Hz per CPU", 1e9 / self.profile.period_ns as f64));
        }
        parts.push(readable_time(self.profile.start));
        parts.join(" · ")
    }
}

/// Writes a flame graph of two profiles as SVG.
pub(crate) fn write_comparison_svg(comparison: &Comparison, writer: impl Write) -> io::Result<()> {
    svg::write(&picture_of(comparison), writer)
}

/// Writes a flame graph of two profiles as a page of HTML.
pub(crate) fn write_comparison_html(comparison: &Comparison, writer: impl Write) -> io::Result<()> {
    page::write(&picture_of(comparison), writer)
}

fn picture_of(comparison: &Comparison) -> Picture<'_, Change, ChangeScale<'_>> {
    let sample_type = comparison.sample_type();
    let scale = ChangeScale { whole: comparison.whole(), unit: &sample_type.unit };
    let title = format!("What has changed: {}", sample_type.kind);
    let subtitle = Printable(&comparison.to_string()).to_string();
    Picture { tree: comparison.tree(), scale, title, subtitle }
}

/// What is to be drawn.
struct Picture<'a, W, S> {
    tree: &'a StackTree<'a, W>,
    scale: S,
    title: String,
    /// Fit to be shown.
    subtitle: String,
}

impl<W: Weight, S: Scale<W>> Picture<'_, W, S> {
    /// A node's name, fit to be shown.
    fn shown_name(&self, node: NodeId) -> String {
        match self.tree.name(node) {
            _ if self.tree.node(node).kind == FrameKind::Root => "all".into(),
            "" => "[unknown]".into(),
            name => Printable(name).to_string(),
        }
    }
}

#[cfg(test)]
mod tests;
