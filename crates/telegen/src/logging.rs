//! One line per event on standard error: the promised text format, or JSON.

use std::fmt::{self, Write};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum LogFormat {
    /// `[INFO] message, key="text", key=1`
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging to standard error. Later calls have no effect.
pub(crate) fn start(level: Level, format: LogFormat) {
    // What libraries have to say of their own is said again, in our words, by who uses them.
    let filter = EnvFilter::new(format!("off,telegen={level}"));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false);
    // Fails only if a subscriber is installed already, which then goes on.
    let _ = match format {
        LogFormat::Text => tracing::subscriber::set_global_default(builder.event_format(Line).finish()),
        LogFormat::Json => {
            tracing::subscriber::set_global_default(builder.json().flatten_event(true).finish())
        }
    };
}

/// `[LEVEL] message, key="text", key=1`
struct Line;

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        writeln!(writer, "[{}] {}{}", event.metadata().level(), fields.message, fields.rest)
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message.push_str(&escape(value)),
            name => drop(write!(self.rest, ", {name}={value:?}")),
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "message" => self.message.push_str(&escape(&format!("{value:?}"))),
            name => {
                // Numbers and booleans stand as they are; whatever else is displayed goes between quotes.
                let text = format!("{value:?}");
                let bare = text == "true" || text == "false" || text.parse::<f64>().is_ok();
                // Writing to a string does not fail.
                let _ = if bare {
                    write!(self.rest, ", {name}={text}")
                } else {
                    write!(self.rest, ", {name}={text:?}")
                };
            }
        }
    }
}

/// Keeps what a process calls itself from moving the terminal's cursor or beginning a line of its own.
fn escape(text: &str) -> String {
    text.chars()
        .flat_map(|c| if c.is_control() { Escaped::Hex(c.escape_default()) } else { Escaped::Plain(Some(c)) })
        .collect()
}

enum Escaped {
    Plain(Option<char>),
    Hex(std::char::EscapeDefault),
}

impl Iterator for Escaped {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        match self {
            Escaped::Plain(c) => c.take(),
            Escaped::Hex(escape) => escape.next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn line(log: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .event_format(Line)
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn the_promised_lines_look_as_promised() {
        assert_eq!(
            line(|| tracing::info!(
                summary = "Active filters: ProcessNames=[java], ExcludeNamespaces=[kube-system]",
                "initialized process filter"
            )),
            "[INFO] initialized process filter, summary=\"Active filters: ProcessNames=[java], ExcludeNamespaces=[kube-system]\"\n"
        );
        assert_eq!(
            line(|| tracing::info!(
                total_scanned = 243,
                matched = 12,
                has_filters = true,
                "filtered processes for profiling"
            )),
            "[INFO] filtered processes for profiling, total_scanned=243, matched=12, has_filters=true\n"
        );
    }

    #[test]
    fn hostile_names_stay_on_their_line() {
        let name = "x\u{1b}[31m\nfake";
        let text = line(|| tracing::warn!(name, error = %name, "hello {name}"));
        assert_eq!(text.matches('\n').count(), 1);
        assert!(!text.contains('\u{1b}'));
    }
}
