//! A client that asks one question and takes one answer.

use anyhow::{Context, Result, ensure};
use std::io::{BufRead, BufReader, Read, Write};
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

const LIMIT: Duration = Duration::from_secs(10);

/// `GET path` over HTTP/1.0, so that the answer is never chunked and ends with the connection.
///
/// # Errors
///
/// If nobody listens, or the answer is not HTTP.
pub fn http_get(address: SocketAddr, path: &str) -> Result<Response> {
    http_ask(address, &format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n"))
}

/// Sends a request as it is written; the connection must end with the answer.
///
/// # Errors
///
/// If nobody listens, or the answer is not HTTP.
pub fn http_ask(address: SocketAddr, request: &str) -> Result<Response> {
    let mut stream = connect(address)?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse(&String::from_utf8_lossy(&answer))
        .with_context(|| format!("no HTTP answer from {address} to {request}"))
}

fn connect(address: SocketAddr) -> Result<TcpStream> {
    let stream =
        TcpStream::connect_timeout(&address, LIMIT).with_context(|| format!("nobody at {address}"))?;
    stream.set_read_timeout(Some(LIMIT))?;
    Ok(stream)
}

/// An answer that comes line by line, as long as it is not dropped.
#[derive(Debug)]
pub struct HttpLines {
    reader: BufReader<TcpStream>,
}

impl HttpLines {
    /// `GET path`, of whose answer the header has come when this returns.
    ///
    /// # Errors
    ///
    /// If the answer is not 200.
    pub fn get(address: SocketAddr, path: &str) -> Result<Self> {
        let mut stream = connect(address)?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
        let mut lines = Self { reader: BufReader::new(stream) };
        let status = lines.line()?;
        ensure!(status.starts_with("HTTP/1.0 200 "), "{path}: {status}");
        while !lines.line()?.is_empty() {}
        Ok(lines)
    }

    /// The next line, without its end.
    ///
    /// # Errors
    ///
    /// If the answer has ended, or nothing comes for too long.
    pub fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.reader.read_line(&mut line).context("no further line")?;
        let line = line.strip_suffix('\n').context("the answer has ended")?;
        Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
    }
}

pub(crate) fn parse(answer: &str) -> Option<Response> {
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
