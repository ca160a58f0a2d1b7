//! `telegen diff`: two profiles side by side.

use crate::failure::{Failure, Status};
use crate::output::{print, shown};
use std::io::{self, Write};
use std::path::PathBuf;
use telegen_export::{Comparison, Existing, Format, OutputFile, PprofFile};

/// What to compare, and where the result goes.
pub(crate) struct DiffOptions {
    pub(crate) before: PathBuf,
    pub(crate) after: PathBuf,
    pub(crate) destination: Destination,
    pub(crate) existing: Existing,
}

/// Where a comparison goes.
pub(crate) enum Destination {
    /// A table to standard output.
    Table,
    /// All of it to standard output.
    Stdout(DiffFormat),
    /// All of it to files, and a table to standard output.
    Files(Vec<(PathBuf, DiffFormat)>),
}

/// A format that a comparison can have: all but pprof, which has no second value for a sample.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DiffFormat {
    Folded,
    Svg,
    Html,
    Json,
}

impl TryFrom<Format> for DiffFormat {
    type Error = Failure;

    fn try_from(format: Format) -> Result<Self, Failure> {
        match format {
            Format::Folded => Ok(Self::Folded),
            Format::Svg => Ok(Self::Svg),
            Format::Html => Ok(Self::Html),
            Format::Json => Ok(Self::Json),
            other => Err(Failure::message(
                Status::Usage,
                format!(
                    "a comparison cannot be written as {other}: folded, svg, html and json can hold both sides"
                ),
            )),
        }
    }
}

impl DiffFormat {
    fn name(self) -> &'static str {
        match self {
            Self::Folded => Format::Folded.name(),
            Self::Svg => Format::Svg.name(),
            Self::Html => Format::Html.name(),
            Self::Json => Format::Json.name(),
        }
    }

    fn write(self, comparison: &Comparison, writer: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Folded => comparison.write_folded(writer),
            Self::Svg => comparison.write_svg(writer),
            Self::Html => comparison.write_html(writer),
            Self::Json => comparison.write_json(writer),
        }
    }
}

const TOP_FUNCTIONS: usize = 20;

/// Compares two files.
pub(crate) fn run(options: DiffOptions) -> Result<(), Failure> {
    let failed = |error: telegen_export::Error| {
        let exists = matches!(error, telegen_export::Error::Exists { .. });
        let hint = if exists { " (--force overwrites it)" } else { "" };
        Failure::message(Status::Failed, format!("{error}{hint}"))
    };
    let files = match &options.destination {
        Destination::Files(files) => files.as_slice(),
        Destination::Table | Destination::Stdout(_) => &[],
    };
    let outputs = files
        .iter()
        .map(|(path, format)| Ok((OutputFile::prepare(path, options.existing)?, *format)))
        .collect::<Result<Vec<_>, telegen_export::Error>>()
        .map_err(failed)?;
    let before = PprofFile::open(&options.before).map_err(failed)?;
    let after = PprofFile::open(&options.after).map_err(failed)?;
    let comparison = Comparison::new(&before, &after).map_err(failed)?;
    for (output, format) in outputs {
        output.write(|writer| format.write(&comparison, writer)).map_err(failed)?;
    }
    let mut text = Vec::new();
    let written = match options.destination {
        Destination::Stdout(format) => format.write(&comparison, &mut text),
        Destination::Table | Destination::Files(_) => write_table(&comparison, files, &mut text),
    };
    written
        .and_then(|()| print(&String::from_utf8_lossy(&text)))
        .map_err(|error| Failure::new(Status::Failed, error))
}

fn write_table(
    comparison: &Comparison,
    files: &[(PathBuf, DiffFormat)],
    to: &mut dyn Write,
) -> io::Result<()> {
    writeln!(to, "{}: {comparison}\n", shown(&comparison.sample_type().kind))?;
    write!(to, "{}", comparison.functions(TOP_FUNCTIONS))?;
    for (path, format) in files {
        writeln!(to, "\n{}: {}", format.name(), shown(&path.to_string_lossy()))?;
    }
    Ok(())
}
