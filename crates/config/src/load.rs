//! From a file, or its bytes, to a configuration.

use crate::check::check;
use crate::diagnostic::{Collector, Diagnostic, Place, Severity};
use crate::source::{Source, Span};
use crate::{Config, Error, Rules, Sources, yaml};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Files that are larger than this are refused: a ConfigMap cannot hold more either.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// A configuration, and what is to be said about it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// What is likely not meant so.
    pub warnings: Vec<Diagnostic>,
    /// Where each key was set.
    pub sources: Sources,
}

impl Loaded {
    /// Puts rules from the command line over those of the file: includes replace all includes, named targets among
    /// them; exclusions are added.
    pub fn override_rules(&mut self, flags: &Rules) {
        let config = &mut self.config;
        if flags.has_includes() {
            config.drop_includes();
        }
        config.rules = config.rules.overridden(flags);
        self.sources.override_by(flags);
    }
}

/// Reads a configuration file.
///
/// # Errors
///
/// [`Error::Read`] if it cannot be read, [`Error::Invalid`] with everything that is wrong with it if it can.
pub fn load(path: &Path) -> Result<Loaded, Error> {
    let read = || {
        let mut bytes = Vec::new();
        // One byte more than is accepted, so that a file that is too large is known to be.
        File::open(path)?.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|source| Error::Read { path: path.to_owned(), source })?;
    parse(&path.display().to_string(), &bytes)
}

/// Reads the bytes of a configuration file; `name` is what messages call it.
///
/// # Errors
///
/// [`Error::Invalid`] with everything that is wrong.
pub fn parse(name: &str, bytes: &[u8]) -> Result<Loaded, Error> {
    let text = text(name, bytes)?;
    let source = Source { name, text };
    let mut found = Collector::default();
    let root = yaml::parse(&source, &mut found);
    let checked = check(&source, root.as_ref(), found).map_err(Error::Invalid)?;
    let sources = Sources::new(&source, checked.spans);
    Ok(Loaded { config: checked.config, warnings: checked.warnings, sources })
}

/// The text of a file without a byte-order mark.
fn text<'a>(name: &str, bytes: &'a [u8]) -> Result<&'a str, Error> {
    if bytes.len() > MAX_FILE_BYTES {
        let most = MAX_FILE_BYTES >> 10;
        let message = format!("a configuration has at most {most} KiB, but this has more");
        return Err(invalid(message, Place::Named(name.to_owned())));
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        let message = "a configuration is UTF-8, but this is UTF-16";
        return Err(invalid(message, Place::Named(name.to_owned())));
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => Err(not_utf8(name, bytes, error.valid_up_to())),
    }
}

fn not_utf8(name: &str, bytes: &[u8], at: usize) -> Error {
    let text = String::from_utf8_lossy(bytes);
    // What stands before the bad byte is valid, so that it is as long in `text`.
    let place = Place::Line(Source { name, text: &text }.excerpt(Span { start: at, end: at + 1 }));
    invalid(format!("a configuration is UTF-8, but the byte 0x{:02x} is not", bytes[at]), place)
}

fn invalid(message: impl Into<String>, place: Place) -> Error {
    Error::Invalid(Diagnostic::new(Severity::Error, message, place).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = load(Path::new("/nonexistent/c.yaml")).unwrap_err();
        assert!(matches!(&error, Error::Read { source, .. } if source.kind() == io::ErrorKind::NotFound));
        assert!(error.to_string().contains("/nonexistent/c.yaml"), "{error}");
    }

    #[test]
    fn a_directory_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        assert!(matches!(load(directory.path()), Err(Error::Read { .. })));
    }

    #[test]
    fn a_device_without_an_end_is_too_large() {
        let error = load(Path::new("/dev/zero")).unwrap_err().to_string();
        assert!(error.contains("1024 KiB") && error.contains("/dev/zero"), "{error}");
    }

    #[test]
    fn a_file_is_read_as_its_bytes_are() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "profiler: {enabled: false}\n").unwrap();
        assert!(!load(file.path()).unwrap().config.enabled);
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_and_takes_no_column() {
        let error = parse("c.yaml", b"\xef\xbb\xbfprofilr: {}\n").unwrap_err().to_string();
        assert!(error.contains("c.yaml:1:1"), "{error}");
        assert!(parse("c.yaml", b"\xef\xbb\xbfprofiler: {}\n").is_ok());
        assert!(parse("c.yaml", b"\xff\xfep\0").unwrap_err().to_string().contains("UTF-16"));
    }
}
