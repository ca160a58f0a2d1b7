//! From a text to the requirements of a selector.

use super::{Requirement, Selector, SelectorError, Test};

/// Labels that a part of a name may have: a key behind its prefix, or a value.
const LONGEST_NAME: usize = 63;
const LONGEST_PREFIX: usize = 253;

/// Reads requirements with commas between.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, SelectorError> {
    if text.len() > Selector::MAX_BYTES {
        let message = format!("a selector may have {} bytes", Selector::MAX_BYTES);
        return Err(SelectorError { at: 0, message });
    }
    let mut parser = Parser { text, at: 0 };
    let mut requirements = vec![parser.requirement()?];
    while parser.takes(',') {
        requirements.push(parser.requirement()?);
    }
    match parser.rest() {
        "" => Ok(requirements),
        _ => Err(parser.expected("a comma or the end")),
    }
}

/// Whether a text can be the key of a label.
pub(super) fn check_key(key: &str) -> Result<(), String> {
    let (prefix, name) = key.split_once('/').map_or((None, key), |(prefix, name)| (Some(prefix), name));
    let dns = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let subdomain = |prefix: &str| {
        (1..=LONGEST_PREFIX).contains(&prefix.len())
            && prefix.split('.').all(|part| is_name(part, dns, b"-", usize::MAX))
    };
    if !prefix.is_none_or(subdomain) || !is_name(name, |c| c.is_ascii_alphanumeric(), b"-_.", LONGEST_NAME) {
        return Err(format!(
            "{key:?} is not the key of a label: letters, digits, `-`, `_` and `.`, at most {LONGEST_NAME}, perhaps \
             behind a domain and a slash"
        ));
    }
    Ok(())
}

/// Whether a text can be the value of a label.
pub(super) fn check_value(value: &str) -> Result<(), String> {
    if value.is_empty() || is_name(value, |c| c.is_ascii_alphanumeric(), b"-_.", LONGEST_NAME) {
        return Ok(());
    }
    Err(format!(
        "{value:?} is not the value of a label: letters, digits, `-`, `_` and `.`, at most {LONGEST_NAME}, the first \
         and the last a letter or digit"
    ))
}

/// Whether a text begins and ends with an outer character and has these or inner ones between.
fn is_name(text: &str, outer: impl Fn(u8) -> bool, inner: &[u8], longest: usize) -> bool {
    let bytes = text.as_bytes();
    let (Some(&first), Some(&last)) = (bytes.first(), bytes.last()) else { return false };
    bytes.len() <= longest
        && outer(first)
        && outer(last)
        && bytes.iter().all(|&byte| outer(byte) || inner.contains(&byte))
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    /// Takes a character, and blanks around it, if it comes next.
    fn takes(&mut self, c: char) -> bool {
        self.skip_blanks();
        let is_next = self.rest().starts_with(c);
        if is_next {
            self.at += c.len_utf8();
            self.skip_blanks();
        }
        is_next
    }

    /// What comes before the next blank or sign, which may be nothing.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let is_end =
            |c: char| matches!(c, ' ' | '\t' | '\r' | '\n' | ',' | '=' | '!' | '(' | ')' | '<' | '>');
        let word = &rest[..rest.find(is_end).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn requirement(&mut self) -> Result<Requirement, SelectorError> {
        let absent = self.takes('!');
        self.skip_blanks();
        let start = self.at;
        let key = self.word();
        if key.is_empty() {
            return Err(self.expected("the key of a label"));
        }
        check_key(key).map_err(|message| SelectorError { at: start, message })?;
        let test = if absent { Test::Absent } else { self.test()? };
        Ok(Requirement { key: key.into(), test })
    }

    fn test(&mut self) -> Result<Test, SelectorError> {
        self.skip_blanks();
        let start = self.at;
        if self.takes('=') {
            // Two mean the same as one.
            if self.rest().starts_with('=') && self.text[..self.at].ends_with('=') {
                self.takes('=');
            }
            return Ok(Test::In(vec![self.value()?]));
        }
        if self.rest().starts_with("!=") {
            self.at += 2;
            self.skip_blanks();
            return Ok(Test::NotIn(vec![self.value()?]));
        }
        if self.rest().starts_with(['<', '>']) {
            return Err(SelectorError {
                at: start,
                message: "labels of pods are not compared as numbers".into(),
            });
        }
        match self.word() {
            "" => Ok(Test::Exists),
            "in" => Ok(Test::In(self.values()?)),
            "notin" => Ok(Test::NotIn(self.values()?)),
            _ => {
                self.at = start;
                Err(self.expected("`=`, `==`, `!=`, `in (…)`, `notin (…)`, a comma or the end"))
            }
        }
    }

    fn values(&mut self) -> Result<Vec<Box<str>>, SelectorError> {
        if !self.takes('(') {
            return Err(self.expected("values between parentheses"));
        }
        if self.rest().starts_with(')') {
            return Err(self.expected("a value"));
        }
        let mut values = vec![self.value()?];
        while self.takes(',') {
            values.push(self.value()?);
        }
        if !self.takes(')') {
            return Err(self.expected("a comma or `)`"));
        }
        Ok(values)
    }

    fn value(&mut self) -> Result<Box<str>, SelectorError> {
        let start = self.at;
        let value = self.word();
        check_value(value).map_err(|message| SelectorError { at: start, message })?;
        Ok(value.into())
    }

    fn expected(&self, what: &str) -> SelectorError {
        let found = match self.rest().chars().next() {
            Some(c) => format!("{c:?}"),
            None => "the end".to_owned(),
        };
        SelectorError { at: self.at, message: format!("expected {what}, found {found}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_are_of_no_consequence() {
        let parse = |text: &str| Selector::parse(text).map_err(|error| error.to_string());
        assert_eq!(
            parse(" app = web , tier  in ( a , b ) , ! canary "),
            parse("app=web,tier in (a,b),!canary")
        );
        assert_eq!(parse("a==b"), parse("a=b"));
        assert!(parse("a= =b").is_err());
    }

    #[test]
    fn words_of_the_grammar_can_be_keys_and_values() {
        for text in ["in in (in)", "notin", "in=notin", "!in"] {
            assert!(Selector::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, at, says) in [
            ("", 0, "expected the key of a label, found the end"),
            ("app=web,", 8, "expected the key"),
            ("app=web tier=a", 8, "expected a comma or the end"),
            ("tier in a", 8, "expected values between parentheses"),
            ("tier in ()", 9, "expected a value"),
            ("tier in (a", 10, "expected a comma or `)`"),
            ("app web", 4, "expected `=`"),
            ("replicas>3", 8, "not compared"),
            ("=x", 0, "expected the key"),
            ("-a=x", 0, "not the key of a label"),
            ("app=a/b", 4, "not the value of a label"),
            ("A.B/x=1", 0, "not the key of a label"),
            ("!a=b", 2, "expected a comma or the end"),
        ] {
            let error = Selector::parse(text).expect_err(text);
            assert!(error.at == at && error.message.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn keys_and_values_have_the_bounds_of_kubernetes() {
        let long = "a".repeat(63);
        assert!(check_key(&long).is_ok() && check_value(&long).is_ok());
        assert!(check_key(&format!("{long}a")).is_err() && check_value(&format!("{long}a")).is_err());
        assert!(check_key("app.kubernetes.io/name").is_ok() && check_key("a/b/c").is_err());
        assert!(check_key("/a").is_err() && check_key("a/").is_err() && check_key("a..b/c").is_err());
        assert!(check_value("").is_ok() && check_value("a-").is_err() && check_value(".a").is_err());
    }

    #[test]
    fn so_many_bytes_and_no_more() {
        let longest = "a,".repeat(Selector::MAX_BYTES / 2 - 1) + "ab";
        assert_eq!(longest.len(), 16_384);
        assert!(Selector::parse(&longest).is_ok());
        let error = Selector::parse(&(longest + "c")).expect_err("one too many");
        assert_eq!(error.to_string(), "a selector may have 16384 bytes (at byte 0)");
    }
}
