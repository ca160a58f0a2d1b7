//! A client that asks one question and takes one answer.

use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// An answer.
#[derive(Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header lines.
    pub headers: String,
    /// The body; what is not UTF-8 is replaced.
    pub body: String,
}

/// `GET path` over HTTP/1.0, so that the answer is never chunked and ends with the connection.
///
/// # Errors
///
/// If nobody listens, or the answer is not HTTP.
pub fn http_get(address: SocketAddr, path: &str) -> Result<Response> {
    let limit = Duration::from_secs(10);
    let mut stream =
        TcpStream::connect_timeout(&address, limit).with_context(|| format!("nobody at {address}"))?;
    stream.set_read_timeout(Some(limit))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse(&String::from_utf8_lossy(&answer)).with_context(|| format!("no HTTP answer from {address}{path}"))
}

fn parse(answer: &str) -> Option<Response> {
    let (headers, body) = answer.split_once("\r\n\r\n")?;
    let status = headers.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Response { status, headers: headers.to_owned(), body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_and_a_body() {
        let response = parse("HTTP/1.0 503 Service Unavailable\r\nA: b\r\n\r\nnot yet\r\n\r\n").unwrap();
        assert_eq!((response.status, &*response.body), (503, "not yet\r\n\r\n"));
        assert!(parse("SSH-2.0").is_none());
    }
}
