//! Selectors of pods by their labels, as Kubernetes writes them: `app=web,tier in (a,b),!canary`.

mod parser;

use std::collections::BTreeMap;
use std::fmt;

/// What is wrong with a text that should be a selector.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{message} (at byte {at})")]
pub struct SelectorError {
    /// The byte of the text at which it is wrong, from 0; its length if something is missing there.
    pub at: usize,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// A selector of pods by their labels: requirements, all of which must hold.
///
/// The grammar, the limits and the meaning are those of Kubernetes (`k8s.io/apimachinery/pkg/labels`), but for `in ()`,
/// which is an error here and means the empty value there, and for `>` and `<`, which compare numbers and are used for
/// nodes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

/// One of the requirements.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Requirement {
    key: Box<str>,
    test: Test,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Test {
    /// `key`
    Exists,
    /// `!key`
    Absent,
    /// `key=value`, `key==value`, `key in (value, …)`
    In(Vec<Box<str>>),
    /// `key!=value`, `key notin (value, …)`: holds, too, if there is no such label.
    NotIn(Vec<Box<str>>),
}

/// The labels of a pod.
pub type PodLabels = BTreeMap<Box<str>, Box<str>>;

impl Selector {
    /// Bytes that a selector may have.
    pub const MAX_BYTES: usize = 16 << 10;

    /// Reads a selector: requirements with commas between. An empty text is none.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        Ok(Self { requirements: parser::parse(text)? })
    }

    /// The selector of pods that have all of these labels.
    pub(crate) fn of_labels(labels: &[(String, String)]) -> Result<Self, String> {
        let requirement = |(key, value): &(String, String)| {
            parser::check_key(key)?;
            parser::check_value(value)?;
            Ok(Requirement { key: key.as_str().into(), test: Test::In(vec![value.as_str().into()]) })
        };
        Ok(Self { requirements: labels.iter().map(requirement).collect::<Result<_, String>>()? })
    }

    /// Whether a pod with these labels is selected.
    pub fn matches(&self, labels: &PodLabels) -> bool {
        self.failing(labels).next().is_none()
    }

    /// The requirements that do not hold.
    pub(crate) fn failing<'a>(&'a self, labels: &'a PodLabels) -> impl Iterator<Item = &'a Requirement> {
        self.requirements.iter().filter(|requirement| !requirement.holds(labels))
    }
}

impl Requirement {
    fn holds(&self, labels: &PodLabels) -> bool {
        let value = labels.get(&self.key);
        match &self.test {
            Test::Exists => value.is_some(),
            Test::Absent => value.is_none(),
            Test::In(values) => value.is_some_and(|value| values.contains(value)),
            Test::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
        }
    }

    /// The label that it is about.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }
}

/// As [`Selector::parse`] reads it.
impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.test {
            Test::Exists => write!(f, "{key}"),
            Test::Absent => write!(f, "!{key}"),
            Test::In(values) if values.len() == 1 => write!(f, "{key}={}", values[0]),
            Test::NotIn(values) if values.len() == 1 => write!(f, "{key}!={}", values[0]),
            Test::In(values) => write!(f, "{key} in ({})", values.join(",")),
            Test::NotIn(values) => write!(f, "{key} notin ({})", values.join(",")),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.requirements.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn labels(pairs: &[(&str, &str)]) -> PodLabels {
        pairs.iter().map(|&(key, value)| (key.into(), value.into())).collect()
    }

    #[test]
    fn requirements_mean_what_they_mean_to_kubernetes() {
        let pod = labels(&[("app", "web"), ("tier", "a"), ("empty", "")]);
        for (selector, selected) in [
            ("app=web", true),
            ("app==web", true),
            ("app=db", false),
            ("app!=db", true),
            ("app!=web", false),
            ("none!=x", true),
            ("none=x", false),
            ("app", true),
            ("none", false),
            ("!none", true),
            ("!app", false),
            ("tier in (a,b)", true),
            ("tier in (c)", false),
            ("none in (a)", false),
            ("tier notin (a,b)", false),
            ("tier notin (c)", true),
            ("none notin (a)", true),
            ("empty=", true),
            ("app=", false),
            ("empty in (,x)", true),
            ("app=web,tier in (a,b),!canary", true),
            ("app=web,tier in (a,b),!tier", false),
        ] {
            let parsed = Selector::parse(selector).unwrap_or_else(|error| panic!("{selector}: {error}"));
            assert_eq!(parsed.matches(&pod), selected, "{selector}");
        }
    }

    #[test]
    fn what_was_read_is_shown_as_it_is_written() {
        for text in ["a", "!a", "a=b", "a=", "a!=b", "a in (b,c)", "a notin (b,c)", "a=b,!c,d notin (e,f)"] {
            let shown = Selector::parse(text).map(|selector| selector.to_string());
            assert_eq!(shown.as_deref(), Ok(text));
        }
        assert_eq!(Selector::parse("a in (b)").map(|selector| selector.to_string()).as_deref(), Ok("a=b"));
        let about: Vec<_> = Selector::parse("a/b=c,!d").expect("a selector").requirements;
        assert_eq!(about.iter().map(Requirement::key).collect::<Vec<_>>(), ["a/b", "d"]);
    }

    #[test]
    fn a_map_is_all_of_its_labels() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let selector = Selector::of_labels(&[pair("app", "web"), pair("tier", "a")]).unwrap();
        assert!(selector.matches(&labels(&[("app", "web"), ("tier", "a"), ("more", "x")])));
        assert!(!selector.matches(&labels(&[("app", "web")])));
        assert!(Selector::of_labels(&[pair("a b", "x")]).is_err());
        assert!(Selector::of_labels(&[pair("a", "x y")]).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_a_selector_or_an_error(text in "[ -~é]{0,40}|[a-c!=,() ]{0,24}(in|notin)?[a-c(), ]{0,12}") {
            match Selector::parse(&text) {
                Ok(selector) => {
                    let written = selector.to_string();
                    prop_assert_eq!(Selector::parse(&written).ok(), Some(selector), "{}", written);
                }
                Err(error) => prop_assert!(text.is_char_boundary(error.at), "{text:?}: {error}"),
            }
        }
    }
}
