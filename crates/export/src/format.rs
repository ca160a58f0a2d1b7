//! The file formats there are.

use crate::{Error, FlameGraph, write_folded, write_json, write_pprof};
use std::fmt;
use std::io::{self, Write};
use std::path::Path;
use std::str::FromStr;
use telegen_model::Profile;

/// A file format for profiles.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Format {
    /// Gzipped pprof, for `go tool pprof` and all that understands it.
    Pprof,
    /// One stack a line, as flamegraph.pl, speedscope and others read it.
    Folded,
    /// A flame graph, as a picture.
    Svg,
    /// A flame graph, as a page.
    Html,
    /// All there is, for programs without a reader of pprof.
    Json,
}

/// Endings, and what they mean; the first of a format is the one that its files get.
const ENDINGS: [(&str, Format); 6] = [
    (".pb.gz", Format::Pprof),
    (".pprof", Format::Pprof),
    (".folded", Format::Folded),
    (".svg", Format::Svg),
    (".html", Format::Html),
    (".json", Format::Json),
];

impl Format {
    /// All formats.
    pub const ALL: [Self; 5] = [Self::Pprof, Self::Folded, Self::Svg, Self::Html, Self::Json];

    /// The name that [`Format::from_str`] takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pprof => "pprof",
            Self::Folded => "folded",
            Self::Svg => "svg",
            Self::Html => "html",
            Self::Json => "json",
        }
    }

    /// The ending of its files, dot included.
    pub fn ending(self) -> &'static str {
        match self {
            Self::Pprof => ".pb.gz",
            Self::Folded => ".folded",
            Self::Svg => ".svg",
            Self::Html => ".html",
            Self::Json => ".json",
        }
    }

    /// The format that a file's ending means.
    pub fn from_path(path: &Path) -> Result<Self, Error> {
        let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase());
        let found =
            ENDINGS.iter().find(|(ending, _)| name.as_deref().is_some_and(|name| name.ends_with(ending)));
        found.map(|(_, format)| *format).ok_or_else(|| Error::UnknownEnding { path: path.into() })
    }

    /// Writes a profile in this format.
    pub fn write(self, profile: &Profile, writer: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Pprof => write_pprof(profile, writer),
            Self::Folded => write_folded(profile, writer),
            Self::Svg => FlameGraph::new(profile).write_svg(writer),
            Self::Html => FlameGraph::new(profile).write_html(writer),
            Self::Json => write_json(profile, writer),
        }
    }

    pub(crate) fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    pub(crate) fn endings() -> String {
        ENDINGS.map(|(ending, _)| ending).join(", ")
    }
}

impl FromStr for Format {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        let found = Self::ALL.into_iter().find(|format| format.name() == name);
        found.ok_or_else(|| Error::UnknownFormat { name: name.into() })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_is_known_by_its_name_and_by_its_ending() {
        for format in Format::ALL {
            assert_eq!(format.name().parse::<Format>().unwrap(), format);
            let path = format!("some.dir/a{}", format.ending());
            assert_eq!(Format::from_path(Path::new(&path)).unwrap(), format);
        }
        assert_eq!(Format::from_path(Path::new("A.SVG")).unwrap(), Format::Svg);
        assert_eq!(Format::from_path(Path::new("a.pprof")).unwrap(), Format::Pprof);
    }

    #[test]
    fn what_is_not_known_is_answered_with_what_is() {
        for path in ["a.txt", "a.gz", "a", "", "x.svg/a"] {
            let error = Format::from_path(Path::new(path)).unwrap_err().to_string();
            assert!(
                error.contains(".pb.gz, .pprof, .folded, .svg, .html, .json") && error.contains(path),
                "{error}"
            );
        }
        let error = "text".parse::<Format>().unwrap_err().to_string();
        assert_eq!(error, "unknown format \"text\": known are pprof, folded, svg, html, json");
    }
}
