//! A flame graph's boxes, as SVG.

use super::layout::{Layout, Placed, WIDTH_PX};
use super::{grouped, palette, seconds};
use crate::Printable;
use crate::stack_tree::{FrameKind, StackTree};
use std::fmt::{self, Display, Write as _};
use std::io::{self, Write};

// script.js draws anew what is here, and so has these numbers, too.
const ROW_PX: f64 = 18.0;
const MARGIN_PX: f64 = 10.0;
/// Width of a character of the font that style.css asks for: 0.602 of its size.
const CHAR_PX: f64 = 7.23;
/// Room between a box's edge and its text.
const PADDING_PX: f64 = 4.0;

/// Title, subtitle and legend.
const HEADER_PX: f64 = 64.0;
/// What the pointer is on.
const FOOTER_PX: f64 = 30.0;
/// Longest title that is shown whole, in characters.
const MAX_TITLE_CHARS: usize = 90;

/// Writes a flame graph.
pub(super) fn write(
    writer: impl Write,
    tree: &StackTree<'_>,
    layout: &Layout,
    title: &str,
    subtitle: &str,
) -> io::Result<()> {
    let mut to = io::BufWriter::new(writer);
    let height = HEADER_PX + f64::from(layout.rows) * ROW_PX + FOOTER_PX;
    let title = Xml(&cut(&Printable(title).to_string(), MAX_TITLE_CHARS)).to_string();
    write_head(&mut to, height, &title, &Xml(subtitle))?;
    if layout.total == 0 {
        writeln!(to, r#"<text class="note" x="{MARGIN_PX}" y="{}">No samples.</text>"#, HEADER_PX + 13.0)?;
    } else {
        for placed in &layout.boxes {
            write_box(&mut to, tree, layout, placed)?;
        }
    }
    let standing = if layout.too_deep { "The deepest stacks are cut at the top." } else { "" };
    let baseline = height - 11.0;
    writeln!(to, r#"<text class="note details" x="{MARGIN_PX}" y="{baseline}">{standing}</text>"#)?;
    writeln!(to, "<script><![CDATA[\n{}]]></script>\n</svg>", include_str!("script.js"))?;
    to.flush()
}

fn write_head(to: &mut impl Write, height: f64, title: &str, subtitle: &dyn Display) -> io::Result<()> {
    let width = WIDTH_PX + 2.0 * MARGIN_PX;
    let right = width - MARGIN_PX;
    let style = include_str!("style.css");
    write!(
        to,
        r#"<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">
<title>{title}</title>
<style>
{style}</style>
<rect class="back" width="100%" height="100%"/>
<text class="title" x="{MARGIN_PX}" y="26">{title}</text>
<text class="note" x="{MARGIN_PX}" y="46">{subtitle}</text>
<g class="right" transform="translate({right},0)">
<text class="tool search off" x="-6" y="26" text-anchor="end">Search</text>
<text class="tool clear off" x="-62" y="26" text-anchor="end">Clear</text>
<text class="tool reset off" x="-108" y="26" text-anchor="end">Reset zoom</text>
<text class="note found" x="-196" y="26" text-anchor="end"></text>
"#
    )?;
    for (x, class, name) in [(-210, "u1", "program"), (-133, "k1", "kernel"), (-66, "m", "marker")] {
        let text = x + 16;
        writeln!(to, r#"<rect class="{class}" x="{x}" y="36" width="11" height="11" rx="2"/>"#)?;
        writeln!(to, r#"<text class="note" x="{text}" y="46">{name}</text>"#)?;
    }
    writeln!(to, "</g>")
}

fn write_box(to: &mut impl Write, tree: &StackTree<'_>, layout: &Layout, placed: &Placed) -> io::Result<()> {
    let node = tree.node(placed.node);
    let name = match tree.name(placed.node) {
        _ if node.kind == FrameKind::Root => "all".into(),
        "" => "[unknown]".into(),
        name => Printable(name).to_string(),
    };
    let scale = WIDTH_PX / layout.total as f64;
    let (x, width) = (MARGIN_PX + placed.x as f64 * scale, placed.width as f64 * scale);
    let y = HEADER_PX + f64::from(layout.rows - 1 - placed.row) * ROW_PX;
    let percent = placed.width as f64 * 100.0 / layout.total as f64;
    let (samples, time) = (grouped(placed.width), seconds(node.value));
    let Placed { x: data_x, width: data_width, row, .. } = placed;
    // Room between neighbours, where there is room.
    let inner = if width > 2.0 { width - 0.6 } else { width * 0.8 };
    let class = palette::class(node.kind, tree.name(placed.node));
    write!(
        to,
        r#"<g class="f" data-x="{data_x}" data-w="{data_width}" data-r="{row}"><title>{}
{samples} samples, {percent:.2} %, {time}</title><rect class="{class}" x="{x:.2}" y="{y}" width="{inner:.2}" height="{}" rx="2"/>"#,
        Xml(&name),
        ROW_PX - 1.0,
    )?;
    let room = (width - 2.0 * PADDING_PX) / CHAR_PX;
    if room >= 4.0 {
        let (x, y) = (x + PADDING_PX, y + 13.0);
        write!(to, r#"<text x="{x:.2}" y="{y}">{}</text>"#, Xml(&cut(&name, room as usize)))?;
    }
    writeln!(to, "</g>")
}

/// As much of a text as fits into so many cells, with an ellipsis if that is not all.
fn cut(text: &str, cells: usize) -> String {
    if text.chars().map(cells_of).sum::<usize>() <= cells {
        return text.into();
    }
    let mut used = 0;
    let fits = |c: &char| {
        used += cells_of(*c);
        used < cells
    };
    let mut cut: String = text.chars().take_while(fits).collect();
    cut.push('…');
    cut
}

/// Characters from the Hangul block on are mostly two cells wide. It is good enough to keep a text within its box.
fn cells_of(c: char) -> usize {
    if c >= '\u{1100}' { 2 } else { 1 }
}

/// Text between tags. [`Printable`] has taken out the characters that XML 1.0 has no way to write.
struct Xml<'a>(&'a str);

impl Display for Xml<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| match c {
            '&' => f.write_str("&amp;"),
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            c => f.write_char(c),
        })
    }
}
