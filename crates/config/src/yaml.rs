//! YAML as a tree in which everything knows its place.

use crate::diagnostic::{Collector, Diagnostic, Place, Severity};
use crate::source::{Source, Span, shown};
use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError, StrInput};
use std::borrow::Cow;
use std::collections::HashMap;

/// Nesting beyond this is no configuration; it bounds all recursion over a tree.
const DEEPEST: usize = 32;

/// A value and its place.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Node<'a> {
    pub(crate) span: Span,
    pub(crate) value: Value<'a>,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Value<'a> {
    Scalar(Scalar<'a>),
    List(Vec<Node<'a>>),
    Map(Vec<Entry<'a>>),
    /// Something that has been reported already and is to be passed over.
    Faulty,
}

/// A text or what the YAML 1.2 core schema makes of it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Scalar<'a> {
    pub(crate) text: Cow<'a, str>,
    /// Whether it stands without quotes, so that `true` is a boolean and `1` a number.
    plain: bool,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Entry<'a> {
    pub(crate) key: Cow<'a, str>,
    pub(crate) key_span: Span,
    pub(crate) value: Node<'a>,
}

/// What the YAML 1.2 core schema (chapter 10.3.2) makes of a scalar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ScalarKind {
    Null,
    Boolean,
    Integer,
    Number,
    Text,
}

impl Node<'_> {
    /// What it is, with its article.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.value {
            Value::Scalar(scalar) => match scalar.kind() {
                ScalarKind::Null => "nothing",
                ScalarKind::Boolean => "a boolean",
                ScalarKind::Integer => "an integer",
                ScalarKind::Number => "a number",
                ScalarKind::Text => "a string",
            },
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Faulty => "an error",
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.kind() == ScalarKind::Null)
    }
}

impl Scalar<'_> {
    pub(crate) fn kind(&self) -> ScalarKind {
        if self.plain { plain_kind(&self.text) } else { ScalarKind::Text }
    }
}

/// What a text is if it stands without quotes.
pub(crate) fn plain_kind(text: &str) -> ScalarKind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return ScalarKind::Null,
        "true" | "True" | "TRUE" | "false" | "False" | "FALSE" => return ScalarKind::Boolean,
        ".nan" | ".NaN" | ".NAN" => return ScalarKind::Number,
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let all = |digits: &str, radix| !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
    let prefixed = |prefix, radix| text.strip_prefix(prefix).is_some_and(|digits| all(digits, radix));
    if all(unsigned, 10) || prefixed("0o", 8) || prefixed("0x", 16) {
        return ScalarKind::Integer;
    }
    // Beside digits, Rust's notation of numbers has words that YAML does not have.
    let numeric = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.chars().any(|c| c.is_ascii_digit())
        && unsigned.parse::<f64>().is_ok();
    if numeric || matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        ScalarKind::Number
    } else {
        ScalarKind::Text
    }
}

/// The one document of a file, or `None` if the file is empty or, as `found` then says, no YAML.
pub(crate) fn parse<'a>(source: &Source<'a>, found: &mut Collector) -> Option<Node<'a>> {
    let options = granit_parser::options! {
        // Others in the same program may want them, and so bring them.
        emit_comments: false,
        emit_unresolved_aliases: true,
        emit_anchor_events: true,
        flow_nesting_limit: DEEPEST,
        block_nesting_limit: DEEPEST,
    };
    let parser = Parser::new_from_str_with_options(source.text, options);
    let mut builder = Builder { source, parser, found };
    match builder.document() {
        Ok(root) => root,
        Err(error) => {
            builder.syntax_error(&error);
            None
        }
    }
}

struct Builder<'s, 'a> {
    source: &'s Source<'a>,
    parser: Parser<'a, StrInput<'a>>,
    found: &'s mut Collector,
}

impl<'a> Builder<'_, 'a> {
    fn document(&mut self) -> Result<Option<Node<'a>>, ScanError> {
        let mut root = None;
        let mut documents = 0;
        while let Some((event, span)) = self.next()? {
            match event {
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents > 1 {
                        self.error(span, "a configuration is one YAML document, but here begins another", []);
                        break;
                    }
                }
                Event::StreamStart | Event::DocumentEnd | Event::StreamEnd => {}
                event => root = Some(self.node(event, span)?),
            }
        }
        Ok(root)
    }

    /// The next event that stands for content or structure.
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, ScanError> {
        while let Some(event) = self.parser.next_event() {
            let (event, span) = event?;
            if let Some(tag) = span.tag_span() {
                self.error(bytes(&tag), "YAML tags are not used here", [QUOTE.to_owned()]);
            }
            let span = bytes(&span);
            match event {
                Event::Anchor(..) => self.error(
                    span,
                    "YAML anchors are not used here",
                    [WRITE_OUT.to_owned(), QUOTE.to_owned()],
                ),
                event => return Ok(Some((event, span))),
            }
        }
        Ok(None)
    }

    fn node(&mut self, event: Event<'a>, span: Span) -> Result<Node<'a>, ScanError> {
        let (value, end) = match event {
            Event::Scalar(text, style, ..) => {
                (Value::Scalar(Scalar { text, plain: style == ScalarStyle::Plain }), span.end)
            }
            Event::SequenceStart(..) => self.list(span.end)?,
            Event::MappingStart(..) => self.map(span.end)?,
            Event::Alias(..) | Event::UnresolvedAlias(..) => {
                let text = self.source.text.get(span.start..span.end).unwrap_or("*");
                let message = format!("`{}` is a YAML alias, and these are not used here", shown(text));
                self.error(span, &message, [WRITE_OUT.to_owned(), QUOTE.to_owned()]);
                (Value::Faulty, span.end)
            }
            _ => (Value::Faulty, span.end),
        };
        Ok(Node { span: Span { start: span.start, end: end.max(span.start) }, value })
    }

    fn list(&mut self, mut end: usize) -> Result<(Value<'a>, usize), ScanError> {
        let mut list = Vec::new();
        while let Some((event, span)) = self.next()? {
            end = span.end;
            if event == Event::SequenceEnd {
                break;
            }
            list.push(self.node(event, span)?);
        }
        Ok((Value::List(list), end))
    }

    fn map(&mut self, mut end: usize) -> Result<(Value<'a>, usize), ScanError> {
        let mut entries: Vec<Entry<'a>> = Vec::new();
        let mut first: HashMap<Cow<'a, str>, Span> = HashMap::new();
        while let Some((event, span)) = self.next()? {
            end = span.end;
            if event == Event::MappingEnd {
                break;
            }
            let key = self.node(event, span)?;
            let Some((event, span)) = self.next()? else { break };
            let value = self.node(event, span)?;
            let key_span = key.span;
            let Some(key) = self.key(key) else { continue };
            if let Some(first) = first.get(&key) {
                self.duplicate(&key, key_span, *first);
                continue;
            }
            first.insert(key.clone(), key_span);
            entries.push(Entry { key, key_span, value });
        }
        Ok((Value::Map(entries), end))
    }

    /// The text of a key; anything but a text is reported.
    fn key(&mut self, node: Node<'a>) -> Option<Cow<'a, str>> {
        match node.value {
            Value::Scalar(scalar) if scalar.kind() != ScalarKind::Null => Some(scalar.text),
            Value::Faulty => None,
            _ => {
                self.error(
                    node.span,
                    &format!("a key is a string, but this is {}", node.describe()),
                    [QUOTE.into()],
                );
                None
            }
        }
    }

    fn duplicate(&mut self, key: &str, span: Span, first: Span) {
        let source = self.source;
        self.found.error(span.start, || {
            let help = format!("it is first set in line {}", source.excerpt(first).line());
            let message = format!("`{}` is set twice", shown(key));
            Diagnostic::new(Severity::Error, message, Place::Line(source.excerpt(span))).with_help([help])
        });
    }

    fn error(&mut self, span: Span, message: &str, help: impl IntoIterator<Item = String>) {
        let source = self.source;
        self.found.error(span.start, || {
            Diagnostic::new(Severity::Error, message, Place::Line(source.excerpt(span))).with_help(help)
        });
    }

    fn syntax_error(&mut self, error: &ScanError) {
        let at = error.marker().byte_offset().unwrap_or(self.source.text.len());
        let at = self.source.last_visible(at);
        let message = format!("this is not YAML: {}", syntax_message(error.kind()));
        self.error(Span { start: at, end: at + 1 }, &message, [syntax_help(error.kind()).to_owned()]);
    }
}

/// What most often is the reason for a value that is YAML's own syntax.
const QUOTE: &str = "a text with a character that means something in YAML, such as `*`, `[`, `{`, `!` or `&`, needs quotes: \"*java\"";

const WRITE_OUT: &str = "write the value out wherever it is needed";

/// What is wrong, in the parser's words where these can be understood.
fn syntax_message(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::MissingAnchorOrAliasName => "`*` or `&` without a name".into(),
        ErrorKind::SimpleKeyExpected => "this is neither a key with a colon nor a value".into(),
        ErrorKind::ExpectedBlockMappingKey => "a key is expected here, as far in as the ones before".into(),
        ErrorKind::TabInBlockIndentation | ErrorKind::TabNotAllowed => "a tab where none is allowed".into(),
        ErrorKind::RecursionLimitExceeded => "it is nested too deeply".into(),
        // Its messages escape what they quote from the file.
        kind => kind.to_string(),
    }
}

fn syntax_help(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabInPlainScalar
        | ErrorKind::TabAtBlockScalarStart => "indent by blanks: YAML does not allow tabs there",
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping
        | ErrorKind::MismatchedFlowCollectionEnd { .. }
        | ErrorKind::MisplacedFlowCollectionEnd => "look for a bracket or brace without its counterpart",
        ErrorKind::UnclosedQuotedScalar => "look for a quotation mark without its counterpart",
        ErrorKind::RecursionLimitExceeded => "no configuration is nested that deeply",
        ErrorKind::InvalidIndentation
        | ErrorKind::MappingValueNotAllowed
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::SimpleKeyExpected
        | ErrorKind::InvalidSimpleKey => {
            "write `key: value`, one a line, with a blank behind the colon, and keys of one section equally far in"
        }
        _ => QUOTE,
    }
}

fn bytes(span: &granit_parser::Span) -> Span {
    // A parser of a `&str` gives byte offsets for all its spans.
    let range = span.byte_range().unwrap_or_default();
    Span { start: range.start, end: range.end }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Option<Node<'_>>, String> {
        let mut found = Collector::default();
        let root = parse(&Source { name: "c.yaml", text }, &mut found);
        found.finish().map(|_| root).map_err(|errors| errors.to_string())
    }

    #[test]
    fn scalars_are_what_the_core_schema_says() {
        for (kind, texts) in [
            (ScalarKind::Null, &["", "~", "null"][..]),
            (ScalarKind::Boolean, &["true", "False"]),
            (ScalarKind::Integer, &["0", "-12", "+3", "0x1F", "0o17", "007"]),
            (ScalarKind::Number, &["1.5", ".5", "1e3", "-.inf", ".nan", "1."]),
            (
                ScalarKind::Text,
                &["yes", "on", "java", "inf", "nan", "infinity", "1_000", "10s", "0b1", "-", ".", "1.2.3"],
            ),
        ] {
            for text in texts {
                assert_eq!(plain_kind(text), kind, "{text:?}");
            }
        }
    }

    #[test]
    fn every_value_knows_its_place() {
        let text = "a:\n  - x\n  - \"y z\"\nb: {c: 1}\n";
        let Value::Map(entries) = parsed(text).unwrap().unwrap().value else { panic!("no mapping") };
        let slice = |span: Span| &text[span.start..span.end];
        assert_eq!(slice(entries[0].key_span), "a");
        let Value::List(list) = &entries[0].value.value else { panic!("no list") };
        assert_eq!(list.iter().map(|node| slice(node.span)).collect::<Vec<_>>(), ["x", "\"y z\""]);
        assert_eq!(slice(entries[1].value.span), "{c: 1}");
    }

    #[test]
    fn an_empty_file_has_no_root() {
        for text in ["", "\n\n", "# nothing\n"] {
            assert_eq!(parsed(text), Ok(None), "{text:?}");
        }
    }

    #[test]
    fn aliases_anchors_tags_and_further_documents_are_refused() {
        for text in [
            "a: &x 1\nb: *x\n",
            "a: *java\n",
            "a: !!str 1\n",
            "a: 1\n---\nb: 2\n",
            "? [a]\n: 1\n",
            "<<: *x\n",
        ] {
            assert!(parsed(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn nesting_has_a_bound() {
        for text in ["[".repeat(100_000), "- ".repeat(100_000), "? ".repeat(100_000), "{a: ".repeat(100_000)]
        {
            assert!(parsed(&text).is_err());
        }
    }
}
