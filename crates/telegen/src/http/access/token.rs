//! Bearer tokens (RFC 6750): those that are known, and the one that a request brings.

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

/// More than any rotation takes.
const MAX_TOKENS: usize = 16;

/// The tokens that are known, as digests: what is compared is of one length whatever was sent, and the tokens themselves are
/// in memory no longer than it takes to read them.
#[derive(PartialEq, Eq)]
pub(super) struct Tokens(Vec<[u8; 32]>);

/// Why a text holds no tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum TokensError {
    #[error("holds no token")]
    None,
    #[error("holds more than {MAX_TOKENS} tokens")]
    TooMany,
    #[error("has something else in line {0} than a token of printable ASCII characters without blanks")]
    Malformed(usize),
}

/// The token of a request.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum Presented<'a> {
    None,
    One(&'a [u8]),
    /// Something that can be no token, or more than one.
    Malformed,
}

impl Tokens {
    /// Reads tokens, one a line.
    pub(super) fn parse(text: &[u8]) -> Result<Self, TokensError> {
        let mut digests = Vec::new();
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let token = line.trim_ascii();
            if token.is_empty() {
                continue;
            }
            if !token.iter().all(u8::is_ascii_graphic) {
                return Err(TokensError::Malformed(at + 1));
            }
            if digests.len() == MAX_TOKENS {
                return Err(TokensError::TooMany);
            }
            digests.push(Sha256::digest(token).into());
        }
        if digests.is_empty() { Err(TokensError::None) } else { Ok(Self(digests)) }
    }

    /// Whether a token is one of these. How long that takes says nothing about them but their number.
    pub(super) fn know(&self, token: &[u8]) -> bool {
        let digest: [u8; 32] = Sha256::digest(token).into();
        let known = self.0.iter().fold(Choice::from(0), |known, one| known | one.ct_eq(&digest));
        known.into()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

impl<'a> Presented<'a> {
    /// The token of `Authorization: Bearer`.
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let (value, other) = (values.next(), values.next());
        let Some(value) = value else { return Self::None };
        if other.is_some() {
            return Self::Malformed;
        }
        let value = value.as_bytes().trim_ascii();
        let end = value.iter().position(u8::is_ascii_whitespace).unwrap_or(value.len());
        let (scheme, token) = value.split_at(end);
        if !scheme.eq_ignore_ascii_case(b"bearer") {
            return Self::None;
        }
        let token = token.trim_ascii_start();
        let whole = !token.is_empty() && token.iter().all(u8::is_ascii_graphic);
        if whole { Self::One(token) } else { Self::Malformed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn presented(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    #[test]
    fn the_token_is_what_follows_the_scheme() {
        for value in ["Bearer abc", "bearer abc", "BEARER   abc", " Bearer abc ", "Bearer\tabc"] {
            assert_eq!(Presented::of(&presented(&[value.as_bytes()])), Presented::One(b"abc"), "{value}");
        }
        let odd = "Bearer a-Z0._~+/==";
        assert_eq!(Presented::of(&presented(&[odd.as_bytes()])), Presented::One(b"a-Z0._~+/=="));
    }

    #[test]
    fn what_is_no_single_token_is_none() {
        for value in ["", "Basic YTpi", "abc", "Bearerabc", "Token abc", "Bearer:abc"] {
            assert_eq!(Presented::of(&presented(&[value.as_bytes()])), Presented::None, "{value}");
        }
        assert_eq!(Presented::of(&HeaderMap::new()), Presented::None);
        for values in [
            [b"Bearer".as_slice()].as_slice(),
            &[b"Bearer "],
            &[b"Bearer a b"],
            &[b"Bearer a, Bearer b"],
            &[b"Bearer \xe4"],
            &[b"Bearer a", b"Bearer a"],
            &[b"Basic YTpi", b"Bearer a"],
        ] {
            assert_eq!(Presented::of(&presented(values)), Presented::Malformed, "{values:?}");
        }
    }

    #[test]
    fn a_token_is_known_whole_or_not_at_all() {
        let tokens = Tokens::parse(b"first-token\r\n\n  second-token  \nthird").unwrap();
        assert_eq!(tokens.len(), 3);
        for token in ["first-token", "second-token", "third"] {
            assert!(tokens.know(token.as_bytes()), "{token}");
        }
        for token in ["", "first", "first-token\r", "first-tokeN", "third\n", "thirdd", "hird", "firs-token"]
        {
            assert!(!tokens.know(token.as_bytes()), "{token:?}");
        }
    }

    #[test]
    fn texts_without_tokens_are_refused() {
        for text in ["", "\n", " \r\n\t\n"] {
            assert_eq!(Tokens::parse(text.as_bytes()).err(), Some(TokensError::None), "{text:?}");
        }
        assert_eq!(Tokens::parse(b"good\nnot good\n").err(), Some(TokensError::Malformed(2)));
        assert_eq!(Tokens::parse(b"\0").err(), Some(TokensError::Malformed(1)));
        assert_eq!(Tokens::parse("tökén".as_bytes()).err(), Some(TokensError::Malformed(1)));
        assert!(Tokens::parse("t\n".repeat(MAX_TOKENS).as_bytes()).is_ok());
        assert_eq!(Tokens::parse("t\n".repeat(MAX_TOKENS + 1).as_bytes()).err(), Some(TokensError::TooMany));
    }
}
