//! Who of those that can reach `server.listen` is answered.

use super::super::answer::Refusal;
use super::super::host::is_by_address;
use super::token::Presented;
use super::token_file::{TokenFile, TokenFileError, Unusable};
use crate::access_metrics::{AccessMetrics, Rejection};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Instant;
use telegen_config::Server;

/// The names by which this machine may be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Names {
    All,
    /// Only what can be no web page's name.
    Addresses,
}

/// Who of those that can reach `server.listen` is answered.
#[derive(Clone)]
pub(crate) struct Gate {
    names: Names,
    tokens: Option<Arc<TokenFile>>,
    metrics: AccessMetrics,
}

impl Gate {
    /// As it is configured.
    pub(super) fn open(
        server: &Server,
        metrics: AccessMetrics,
        now: Instant,
    ) -> Result<Self, TokenFileError> {
        let names = if server.is_guarded() || server.insecure { Names::All } else { Names::Addresses };
        let tokens = server.token_file.as_deref().map(|path| TokenFile::open(path, now)).transpose()?;
        Ok(Self { names, tokens: tokens.map(Arc::new), metrics })
    }

    fn judge(&self, request: &Request) -> Result<(), Rejection> {
        if self.names == Names::Addresses && !is_by_address(request) {
            return Err(Rejection::Host);
        }
        match &self.tokens {
            Some(tokens) => judge_token(tokens, request.headers()),
            None => Ok(()),
        }
    }
}

fn judge_token(tokens: &TokenFile, headers: &HeaderMap) -> Result<(), Rejection> {
    let token = match Presented::of(headers) {
        Presented::None => return Err(Rejection::TokenMissing),
        Presented::Malformed => return Err(Rejection::TokenWrong),
        Presented::One(token) => token,
    };
    match tokens.knows(token, Instant::now()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Rejection::TokenWrong),
        Err(Unusable) => Err(Rejection::TokenFile),
    }
}

/// Lets through who may ask.
pub(in super::super) async fn admit(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    match gate.judge(&request) {
        Ok(()) => next.run(request).await,
        Err(rejection) => {
            gate.metrics.count(rejection);
            tracing::debug!(reason = rejection.name(), "a request has been refused");
            answer(rejection)
        }
    }
}

fn answer(rejection: Rejection) -> Response {
    let (status, message, challenge) = match rejection {
        Rejection::TokenMissing => (
            StatusCode::UNAUTHORIZED,
            "a token is needed: send `Authorization: Bearer` and one of server.token_file",
            Some("Bearer realm=\"telegen\""),
        ),
        Rejection::TokenWrong => (
            StatusCode::UNAUTHORIZED,
            "the token is none of those in server.token_file",
            Some("Bearer realm=\"telegen\", error=\"invalid_token\""),
        ),
        Rejection::TokenFile => (
            StatusCode::SERVICE_UNAVAILABLE,
            "server.token_file cannot be used, so that nobody is answered; the agent's log says why",
            None,
        ),
        _ => (
            StatusCode::FORBIDDEN,
            "ask by an IP address or as localhost: other names could be a web page's own",
            None,
        ),
    };
    let mut response = Refusal::new(status, message).into_response();
    if let Some(challenge) = challenge {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use std::fs;
    use telegen_config::Config;

    fn request(host: &str, token: Option<&str>) -> Request {
        let request = Request::builder().header("host", host);
        let authorization = token.map(|token| format!("Bearer {token}"));
        let request =
            authorization.into_iter().fold(request, |request, value| request.header("authorization", value));
        request.body(Body::empty()).unwrap()
    }

    fn open(server: &Server) -> Gate {
        Gate::open(server, AccessMetrics::default(), Instant::now()).unwrap()
    }

    #[test]
    fn names_are_taken_from_who_is_guarded_or_wants_it_so() {
        let server = Config::default().server;
        assert_eq!(open(&server).judge(&request("node-7", None)), Err(Rejection::Host));
        assert_eq!(open(&server).judge(&request("127.0.0.1", None)), Ok(()));
        let mut guarded = server.clone();
        guarded.tls.client_ca_file = Some("ca.pem".into());
        for server in [Server { insecure: true, ..server }, guarded] {
            assert_eq!(open(&server).judge(&request("node-7", None)), Ok(()));
        }
    }

    #[test]
    fn with_tokens_who_has_none_is_refused_and_told_how() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        fs::write(&file, "right").unwrap();
        let gate = open(&Server { token_file: Some(file), ..Config::default().server });
        assert_eq!(gate.judge(&request("node-7", Some("right"))), Ok(()));
        for (token, rejection, challenge) in [
            (None, Rejection::TokenMissing, "Bearer realm=\"telegen\""),
            (Some("wrong"), Rejection::TokenWrong, "Bearer realm=\"telegen\", error=\"invalid_token\""),
            (Some("right right"), Rejection::TokenWrong, "Bearer realm=\"telegen\", error=\"invalid_token\""),
        ] {
            assert_eq!(gate.judge(&request("127.0.0.1", token)), Err(rejection), "{token:?}");
            let response = answer(rejection);
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
            assert_eq!(response.headers()[header::WWW_AUTHENTICATE], challenge);
        }
        let response = answer(Rejection::TokenFile);
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().get(header::WWW_AUTHENTICATE).is_none());
    }
}
