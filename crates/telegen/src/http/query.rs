//! Parameters of a request: each known, each at most once, each of the right kind.

use super::answer::Refusal;
use axum::http::StatusCode;
use std::borrow::Cow;
use telegen_config::nearest;

/// The most characters of what was written that are repeated in an answer.
const SHOWN: usize = 64;

/// The parameters of a request.
pub(super) struct Query<'a> {
    given: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    /// Takes a query apart; a parameter that is not known, or comes twice, is refused: what is passed over in silence looks
    /// as if it had been heard.
    pub(super) fn parse(query: Option<&'a str>, known: &[&str]) -> Result<Self, Refusal> {
        let mut given: Vec<(Cow<'a, str>, Cow<'a, str>)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            if !known.contains(&&*name) {
                return Err(unknown(&name, known));
            }
            if given.iter().any(|(before, _)| *before == name) {
                return Err(wrong(format!("parameter \"{name}\" is there twice")));
            }
            given.push((name, value));
        }
        Ok(Self { given })
    }

    /// A parameter that is `true` or `false`; `false` if it is not there.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        match self.given.iter().find(|(given, _)| given == name).map(|(_, value)| &**value) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => {
                Err(wrong(format!("parameter \"{name}\" must be true or false, but is \"{}\"", cut(other))))
            }
        }
    }
}

fn unknown(name: &str, known: &[&str]) -> Refusal {
    let help = match nearest(name, known.iter().copied()) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("there are {}", known.join(", ")),
    };
    wrong(format!("unknown parameter \"{}\": {help}", cut(name)))
}

fn wrong(message: String) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, message)
}

fn cut(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(query: &str) -> String {
        let read = Query::parse(Some(query), &["all", "explain"]).and_then(|query| query.flag("all"));
        read.unwrap_err().message().to_owned()
    }

    #[test]
    fn flags_are_true_or_false() {
        for (query, expected) in [
            (None, false),
            (Some(""), false),
            (Some("all=true"), true),
            (Some("explain=true&all=false"), false),
            (Some("%61ll=tru%65"), true),
        ] {
            assert_eq!(
                Query::parse(query, &["all", "explain"]).unwrap().flag("all").unwrap(),
                expected,
                "{query:?}"
            );
        }
    }

    #[test]
    fn everything_else_is_refused_with_what_would_be_right() {
        assert_eq!(refusal("al=true"), "unknown parameter \"al\": did you mean \"all\"?");
        assert_eq!(refusal("namespace=x"), "unknown parameter \"namespace\": there are all, explain");
        assert_eq!(refusal("all=true&all=true"), "parameter \"all\" is there twice");
        assert_eq!(refusal("all=1"), "parameter \"all\" must be true or false, but is \"1\"");
        assert_eq!(refusal("all"), "parameter \"all\" must be true or false, but is \"\"");
        assert!(refusal(&"x".repeat(10_000)).len() < 200);
    }
}
