//! A flame graph's boxes, as SVG.

use super::Picture;
use super::layout::{Layout, Limits, Placed};
use super::markup::Markup;
use super::scale::Scale;
use crate::Printable;
use crate::stack_tree::Weight;
use std::io::{self, Write};

/// Width of the boxes' area, in pixels, while no script has made it another.
const WIDTH_PX: f64 = 1180.0;
/// Boxes of less than 0.3 px would not be seen; with more than so many no browser shows the picture.
const LIMITS: Limits = Limits { min_share: 0.3 / WIDTH_PX, boxes: 40_000 };
// svg.js draws anew what is here, and so has these numbers, too.
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
/// Where the colours are explained, from the right.
const LEGEND_X: [i32; 3] = [-230, -145, -70];

/// Writes a flame graph.
pub(super) fn write<W: Weight, S: Scale<W>>(
    picture: &Picture<'_, W, S>,
    writer: impl Write,
) -> io::Result<()> {
    let mut to = io::BufWriter::new(writer);
    let layout = Layout::new(picture.tree, |weight| picture.scale.width(weight), &LIMITS);
    let height = HEADER_PX + f64::from(layout.rows) * ROW_PX + FOOTER_PX;
    write_head(&mut to, height, picture)?;
    if layout.total == 0 {
        writeln!(to, r#"<text class="note" x="{MARGIN_PX}" y="{}">No samples.</text>"#, HEADER_PX + 13.0)?;
    } else {
        for placed in &layout.boxes {
            write_box(&mut to, picture, &layout, placed)?;
        }
    }
    let standing = if layout.too_deep { "The deepest stacks are cut at the top." } else { "" };
    let baseline = height - 11.0;
    writeln!(to, r#"<text class="note details" x="{MARGIN_PX}" y="{baseline}">{standing}</text>"#)?;
    writeln!(to, "<script><![CDATA[\n{}]]></script>\n</svg>", include_str!("svg.js"))?;
    to.flush()
}

fn write_head<W: Weight, S: Scale<W>>(
    to: &mut impl Write,
    height: f64,
    picture: &Picture<'_, W, S>,
) -> io::Result<()> {
    let width = WIDTH_PX + 2.0 * MARGIN_PX;
    let right = width - MARGIN_PX;
    let title = Printable(&picture.title).to_string();
    let (title, subtitle) = (Markup(&cut(&title, MAX_TITLE_CHARS)).to_string(), Markup(&picture.subtitle));
    let (style, palette) = (include_str!("svg.css"), include_str!("palette.css"));
    write!(
        to,
        r#"<?xml version="1.0" encoding="UTF-8"?>
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">
<title>{title}</title>
<style>
{palette}{style}</style>
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
    for ((class, name), x) in S::LEGEND.iter().zip(LEGEND_X) {
        let text = x + 16;
        writeln!(to, r#"<rect class="{class}" x="{x}" y="36" width="11" height="11" rx="2"/>"#)?;
        writeln!(to, r#"<text class="note" x="{text}" y="46">{name}</text>"#)?;
    }
    writeln!(to, "</g>")
}

fn write_box<W: Weight, S: Scale<W>>(
    to: &mut impl Write,
    picture: &Picture<'_, W, S>,
    layout: &Layout,
    placed: &Placed,
) -> io::Result<()> {
    let node = picture.tree.node(placed.node);
    let name = picture.shown_name(placed.node);
    let scale = WIDTH_PX / layout.total as f64;
    let (x, width) = (MARGIN_PX + placed.x as f64 * scale, placed.width as f64 * scale);
    let y = HEADER_PX + f64::from(layout.rows - 1 - placed.row) * ROW_PX;
    let about = picture.scale.about(node.total);
    let Placed { x: data_x, width: data_width, row, .. } = placed;
    // Room between neighbours, where there is room.
    let inner = if width > 2.0 { width - 0.6 } else { width * 0.8 };
    let class = picture.scale.class(node.total, node.kind, picture.tree.name(placed.node));
    write!(
        to,
        r#"<g class="f" data-x="{data_x}" data-w="{data_width}" data-r="{row}"><title>{}
{}</title><rect class="{class}" x="{x:.2}" y="{y}" width="{inner:.2}" height="{}" rx="2"/>"#,
        Markup(&name),
        Markup(&about),
        ROW_PX - 1.0,
    )?;
    let room = (width - 2.0 * PADDING_PX) / CHAR_PX;
    if room >= 4.0 {
        let (x, y) = (x + PADDING_PX, y + 13.0);
        write!(to, r#"<text x="{x:.2}" y="{y}">{}</text>"#, Markup(&cut(&name, room as usize)))?;
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
