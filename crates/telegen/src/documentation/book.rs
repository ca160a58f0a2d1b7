//! The pages of the book, and what stands in them for programs to read.

use std::fs;
use std::path::{Path, PathBuf};

/// A page, or another file of the repository.
pub(super) struct Page {
    /// From the root of the repository.
    pub(super) name: String,
    pub(super) text: String,
}

/// A block between fences.
pub(super) struct Block {
    /// `docs/x.md:12`
    pub(super) place: String,
    pub(super) language: String,
    pub(super) text: String,
    /// What the comment right before it says: `fails`, or `example`, and a text.
    pub(super) comment: Option<(String, String)>,
    /// What is said of it right behind it in bold, and the rest of that line.
    pub(super) said: Vec<(String, String)>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A file of the repository.
pub(super) fn page(name: &str) -> Page {
    let text = fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    Page { name: name.to_owned(), text }
}

/// The files with this ending in a folder, and in those below it.
pub(super) fn pages_in(folder: &str, ending: &str) -> Vec<Page> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            found.extend(pages_in(&name, ending));
        } else if name.ends_with(ending) {
            found.push(page(&name));
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

/// All that people read.
pub(super) fn book() -> Vec<Page> {
    let mut pages = pages_in("docs", ".md");
    pages.push(page("README.md"));
    pages
}

impl Page {
    pub(super) fn blocks(&self) -> Vec<Block> {
        let lines: Vec<&str> = self.text.lines().collect();
        let (mut blocks, mut at) = (Vec::new(), 0);
        while at < lines.len() {
            let Some(language) = lines[at].strip_prefix("```") else {
                at += 1;
                continue;
            };
            let begin = at;
            let length =
                lines[begin + 1..].iter().position(|line| *line == "```").expect("fences are closed");
            at = begin + length + 2;
            blocks.push(Block {
                place: format!("{}:{}", self.name, begin + 1),
                language: language.to_owned(),
                text: lines[begin + 1..at - 1].iter().map(|line| format!("{line}\n")).collect(),
                comment: begin.checked_sub(1).and_then(|before| comment(lines[before])),
                said: lines[at..]
                    .iter()
                    .filter(|line| !line.is_empty())
                    .map_while(|line| line.strip_prefix("**")?.split_once(":** "))
                    .map(|(what, rest)| (what.to_owned(), rest.to_owned()))
                    .collect(),
            });
        }
        blocks
    }

    /// The rows of the first table below a heading, without its head, cell by cell.
    pub(super) fn table(&self, heading: &str) -> Vec<Vec<String>> {
        let below = self.text.lines().skip_while(|line| *line != heading);
        let rows = below.skip_while(|line| !line.starts_with('|')).skip(2);
        let cells = |row: &str| {
            let row = row.trim_matches('|');
            row.split('|').map(|cell| cell.trim().to_owned()).collect()
        };
        rows.take_while(|line| line.starts_with('|')).map(cells).collect()
    }

    /// Every word that begins so, as far as letters, digits and underscores go.
    pub(super) fn words_from(&self, beginning: &str) -> Vec<&str> {
        let end = |text: &str| text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        self.text
            .match_indices(beginning)
            .map(|(at, _)| {
                let word = &self.text[at..];
                &word[..end(word).unwrap_or(word.len())]
            })
            .collect()
    }
}

/// `<!-- fails: … -->`
fn comment(line: &str) -> Option<(String, String)> {
    let (what, rest) = line.strip_prefix("<!-- ")?.strip_suffix(" -->")?.split_once(": ")?;
    Some((what.to_owned(), rest.to_owned()))
}
