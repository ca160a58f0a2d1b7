//! What is wrong with a configuration, and where.

use crate::source::Excerpt;
use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// The configuration can be used, but may not say what was meant.
    Warning,
}

/// One thing that is wrong with a configuration.
///
/// It is displayed as compilers do: the message, the place, the line with a caret, and what to do; several
/// lines that end without a line break. It may be printed to a terminal as it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    severity: Severity,
    message: String,
    /// What stands behind the caret.
    label: String,
    place: Place,
    help: Vec<String>,
}

/// Where something is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// In a file.
    Line(Box<Excerpt>),
    /// Somewhere that has no lines: a file as a whole, or the command line.
    Named(String),
    /// Nobody knows.
    Unknown,
}

/// All that is wrong with a configuration, in the order of the file; never empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    /// How many more there were than the list has room for.
    more: usize,
}

/// Takes diagnostics in, up to a bound: nobody reads the ten thousandth.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    errors: Vec<(usize, Diagnostic)>,
    warnings: Vec<(usize, Diagnostic)>,
    more: usize,
}

impl Diagnostic {
    pub(crate) fn new(severity: Severity, message: impl Into<String>, place: Place) -> Self {
        Self { severity, message: message.into(), label: String::new(), place, help: Vec::new() }
    }

    pub(crate) fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    pub(crate) fn with_help(mut self, help: impl IntoIterator<Item = String>) -> Self {
        self.help.extend(help);
        self
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// What is wrong, in one line and without the place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Line and column, both from 1 and the column in characters; `None` if it is nowhere in a file.
    pub fn position(&self) -> Option<(usize, usize)> {
        match &self.place {
            Place::Line(excerpt) => Some((excerpt.line(), excerpt.column())),
            Place::Named(_) | Place::Unknown => None,
        }
    }
}

impl Diagnostics {
    /// The bound of what is kept; the rest is only counted.
    pub const MAX: usize = 50;

    /// What is kept.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Diagnostic> {
        self.list.iter()
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self { list: vec![diagnostic], more: 0 }
    }
}

impl Collector {
    /// Takes in an error that belongs at this byte of the file. It is made only if there is room for it:
    /// finding the line is work for the whole file in front of it.
    pub(crate) fn error(&mut self, at: usize, make: impl FnOnce() -> Diagnostic) {
        if self.errors.len() < Diagnostics::MAX {
            self.errors.push((at, make()));
        } else {
            self.more += 1;
        }
    }

    /// Takes in a warning, as [`Collector::error`] does an error.
    pub(crate) fn warning(&mut self, at: usize, make: impl FnOnce() -> Diagnostic) {
        if self.warnings.len() < Diagnostics::MAX {
            self.warnings.push((at, make()));
        }
    }

    /// The warnings if there is no error, else all errors; both in the order of the file.
    pub(crate) fn finish(self) -> Result<Vec<Diagnostic>, Diagnostics> {
        if self.errors.is_empty() {
            return Ok(in_order(self.warnings));
        }
        Err(Diagnostics { list: in_order(self.errors), more: self.more })
    }
}

fn in_order(mut list: Vec<(usize, Diagnostic)>) -> Vec<Diagnostic> {
    list.sort_by_key(|(at, _)| *at);
    list.into_iter().map(|(_, diagnostic)| diagnostic).collect()
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.message)?;
        let margin = match &self.place {
            Place::Line(excerpt) => {
                excerpt.write(f, &self.label)?;
                excerpt.margin()
            }
            Place::Named(name) => {
                write!(f, "\n --> {name}")?;
                " ".to_owned()
            }
            Place::Unknown => " ".to_owned(),
        };
        self.help.iter().try_for_each(|help| write!(f, "\n{margin} = help: {help}"))
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, diagnostic) in self.list.iter().enumerate() {
            let separator = if number == 0 { "" } else { "\n\n" };
            write!(f, "{separator}{diagnostic}")?;
        }
        if self.more > 0 {
            write!(f, "\n\nerror: {} more errors are not shown", self.more)?;
        }
        Ok(())
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}
