//! A flame graph as a page of HTML: one file, which fetches nothing and runs nothing but its own script.

use super::Picture;
use super::layout::{Layout, Limits, Placed};
use super::markup::Markup;
use super::scale::Scale;
use crate::Printable;
use crate::stack_tree::Weight;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::{self, Write};

/// The page can zoom in on what the whole has no room for. So many boxes a browser still searches at once.
const LIMITS: Limits = Limits { min_share: 0.0, boxes: 300_000 };

const SCRIPT: &str = include_str!("page.js");

pub(super) fn write<W: Weight, S: Scale<W>>(
    picture: &Picture<'_, W, S>,
    writer: impl Write,
) -> io::Result<()> {
    let mut to = io::BufWriter::new(writer);
    let title = Printable(&picture.title).to_string();
    let (title, subtitle) = (Markup(&title), Markup(&picture.subtitle));
    let style = concat!(include_str!("palette.css"), include_str!("page.css"));
    let (style_hash, script_hash) = (hash(style), hash(SCRIPT));
    write!(
        to,
        r#"<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-{style_hash}'; script-src 'sha256-{script_hash}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p>{subtitle}</p>
<p class="legend">"#
    )?;
    for (class, name) in S::LEGEND {
        write!(to, r#"<span><i class="{class}"></i>{name}</span>"#)?;
    }
    write!(
        to,
        r#"</p>
<div class="tools">
<input type="search" id="search" placeholder="Search: a regular expression ( / )" aria-label="Search" spellcheck="false">
<output id="found" for="search"></output>
<button type="button" id="reset" hidden>Reset zoom (Esc)</button>
<button type="button" id="turn" aria-pressed="false">Upside down</button>
</div>
</header>
<main id="graph" tabindex="0" role="application" aria-label="Flame graph: arrow keys move, Enter zooms" aria-describedby="details"></main>
<p id="details" role="status"></p>
<noscript>This page draws the graph with a script of its own, which this browser does not run.</noscript>
<script type="application/json" id="data">"#
    )?;
    serde_json::to_writer(InScript(&mut to), &Data::new(picture))?;
    write!(to, "</script>\n<script>{SCRIPT}</script>\n</body>\n</html>\n")?;
    to.flush()
}

/// What a policy knows a text by.
fn hash(text: &str) -> String {
    BASE64_STANDARD.encode(Sha256::digest(text))
}

/// What the script draws: of each box, callers first.
#[derive(Serialize)]
struct Data {
    scale: &'static str,
    unit: String,
    /// The numbers of the whole.
    whole: [u64; 2],
    width: u64,
    too_deep: bool,
    names: Vec<String>,
    classes: Vec<String>,
    /// Index into `names`.
    name: Vec<u32>,
    /// Index into `classes`.
    class: Vec<u32>,
    row: Vec<u32>,
    x: Vec<u64>,
    w: Vec<u64>,
    /// Numbers of this box and all above it, two of each.
    total: Vec<u64>,
    /// Numbers of this box itself, two of each.
    own: Vec<u64>,
}

impl Data {
    fn new<W: Weight, S: Scale<W>>(picture: &Picture<'_, W, S>) -> Self {
        let Picture { tree, scale, .. } = picture;
        let layout = Layout::new(tree, |weight| scale.width(weight), &LIMITS);
        let (mut names, mut classes) = (Index::default(), Index::default());
        let place = |placed: &Placed| (placed.node, tree.node(placed.node));
        let boxes = || layout.boxes.iter().map(place);
        Self {
            scale: S::NAME,
            unit: Printable(scale.unit()).to_string(),
            whole: scale.numbers(tree.whole()),
            width: layout.total,
            too_deep: layout.too_deep,
            name: boxes().map(|(id, _)| names.of(picture.shown_name(id))).collect(),
            class: boxes()
                .map(|(id, node)| classes.of(scale.class(node.total, node.kind, tree.name(id))))
                .collect(),
            row: layout.boxes.iter().map(|placed| placed.row).collect(),
            x: layout.boxes.iter().map(|placed| placed.x).collect(),
            w: layout.boxes.iter().map(|placed| placed.width).collect(),
            total: boxes().flat_map(|(_, node)| scale.numbers(node.total)).collect(),
            own: boxes().flat_map(|(_, node)| scale.numbers(node.own)).collect(),
            names: names.strings,
            classes: classes.strings,
        }
    }
}

/// Strings, each once.
#[derive(Default)]
struct Index {
    strings: Vec<String>,
    ids: HashMap<String, u32>,
}

impl Index {
    fn of(&mut self, string: String) -> u32 {
        *self.ids.entry(string).or_insert_with_key(|string| {
            self.strings.push(string.clone());
            u32::try_from(self.strings.len() - 1).expect("no more than there are boxes")
        })
    }
}

/// JSON in a script element, which ends at the first `</script`, wherever that stands. A `<` can only be part of a
/// string there, and strings can spell it otherwise.
struct InScript<W>(W);

impl<W: Write> Write for InScript<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|&byte| byte == b'<') {
            match piece.strip_suffix(b"<") {
                Some(before) => {
                    self.0.write_all(before)?;
                    self.0.write_all(b"\\u003c")?;
                }
                None => self.0.write_all(piece)?,
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
