//! Answers on their way out: headers as servers send them, chunks, compression, and what goes wrong.

use crate::body::{Body, Pieces, Received, channel};
use crate::clock::Clock;
use crate::fault::Fault;
use crate::ledger::Line;
use crate::random;
use crate::status::Status;
use crate::watch::cut;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use std::io::Write;
use std::time::Duration;

/// Bodies up to that size have a `Content-Length`, as net/http knows theirs when the handler is done.
const WHOLE_BYTES: usize = 2048;
/// What is larger is sent in chunks of that.
const CHUNK_BYTES: usize = 16 * 1024;
/// Servers compress what is larger, for those who take it (`APIResponseCompression`).
const COMPRESSED_BYTES: usize = 128 * 1024;
const FILLING: [u8; CHUNK_BYTES] = [b'x'; CHUNK_BYTES];

/// An answer before it is sent.
pub(crate) struct Answer {
    pub(crate) status: u16,
    content_type: &'static str,
    retry_after_s: Option<u64>,
    content: Content,
}

enum Content {
    Text(String),
    Stream(Received),
}

impl Answer {
    pub(crate) fn json(text: String) -> Self {
        Self {
            status: 200,
            content_type: "application/json",
            retry_after_s: None,
            content: Content::Text(text),
        }
    }

    pub(crate) fn plain(status: u16, text: &str) -> Self {
        let content = Content::Text(text.to_owned());
        Self { status, content_type: "text/plain; charset=utf-8", retry_after_s: None, content }
    }

    pub(crate) fn stream(received: Received) -> Self {
        let content = Content::Stream(received);
        Self { status: 200, content_type: "application/json", retry_after_s: None, content }
    }

    /// What `net/http` says of paths that nobody serves: not even a `Status`.
    pub(crate) fn no_page() -> Self {
        Self::plain(404, "404 page not found\n")
    }

    /// The answer that a fault is by itself, if it is one.
    pub(crate) fn failed(fault: &Fault) -> Option<Self> {
        match fault {
            Fault::TooManyRequests { retry_after_s } => {
                let answer = Self::plain(429, "Too many requests, please try again later.\n");
                Some(Self { retry_after_s: Some(*retry_after_s), ..answer })
            }
            Fault::InternalError => Some(Status::unknown("etcdserver: request timed out").into()),
            Fault::Unavailable => Some(Status::unavailable().into()),
            Fault::BadGateway => {
                let page = "<html><body><h1>503 Service Unavailable</h1>\nNo server is available to handle \
                            this request.\n</body></html>\n";
                Some(Self { content_type: "text/html", ..Self::plain(503, page) })
            }
            _ => None,
        }
    }

    /// The response as it goes to the connection.
    pub(crate) fn send(
        self,
        fault: Option<Fault>,
        takes_gzip: Compressed,
        clock: &Clock,
        line: &Line,
    ) -> Response<Body> {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::from_u16(self.status).expect("three digits");
        let headers = response.headers_mut();
        let mut header = |name: &'static str, value: &str| {
            let value = HeaderValue::from_str(value).expect("visible ASCII");
            headers.insert(HeaderName::from_static(name), value);
        };
        header("audit-id", &random::uid());
        header("cache-control", "no-cache, private");
        header("content-type", self.content_type);
        header("date", &clock.http_date());
        header("x-kubernetes-pf-flowschema-uid", &random::uid());
        header("x-kubernetes-pf-prioritylevel-uid", &random::uid());
        if let Some(seconds) = self.retry_after_s {
            header("retry-after", &seconds.to_string());
        }
        let sent_bytes = std::sync::Arc::clone(&line.sent_bytes);
        let body = match (self.content, fault) {
            (content, Some(fault)) => {
                let (sink, received) = channel();
                tokio::spawn(spoil(fault, content.received(), sink));
                Body::pieces(received, sent_bytes)
            }
            (Content::Stream(received), None) => Body::pieces(received, sent_bytes),
            (Content::Text(text), None)
                if text.len() > COMPRESSED_BYTES && takes_gzip == Compressed::Taken =>
            {
                header("content-encoding", "gzip");
                header("vary", "Accept-Encoding");
                Body::pieces(in_chunks(Bytes::from(compress(&text))), sent_bytes)
            }
            (Content::Text(text), None) if text.len() > WHOLE_BYTES => {
                Body::pieces(in_chunks(Bytes::from(text)), sent_bytes)
            }
            (Content::Text(text), None) => Body::whole(text, sent_bytes),
        };
        response.map(|()| body)
    }
}

/// Whether a client takes compressed bodies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compressed {
    Taken,
    NotTaken,
}

impl Compressed {
    pub(crate) fn read(accept_encoding: Option<&str>) -> Self {
        let gzip = |part: &str| part.split(';').next().is_some_and(|name| name.trim() == "gzip");
        match accept_encoding.is_some_and(|text| text.split(',').any(gzip)) {
            true => Self::Taken,
            false => Self::NotTaken,
        }
    }
}

impl From<Status> for Answer {
    fn from(status: Status) -> Self {
        Self {
            status: status.code,
            content_type: "application/json",
            retry_after_s: status.retry_after(),
            content: Content::Text(status.json() + "\n"),
        }
    }
}

impl Content {
    fn received(self) -> Received {
        match self {
            Self::Text(text) => in_chunks(Bytes::from(text)),
            Self::Stream(received) => received,
        }
    }
}

fn in_chunks(mut bytes: Bytes) -> Received {
    let (pieces, received) = channel();
    tokio::spawn(async move {
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(CHUNK_BYTES));
            if pieces.send(Ok(piece)).await.is_err() {
                return;
            }
        }
    });
    received
}

fn compress(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(4));
    encoder.write_all(text.as_bytes()).expect("a vector takes all");
    encoder.finish().expect("a vector takes all")
}

/// Passes a body on, with something wrong.
async fn spoil(fault: Fault, mut source: Received, sink: Pieces) {
    match fault {
        Fault::Slow { bytes, every } => dribble(bytes, every, source, &sink).await,
        Fault::HangAfter { bytes } => {
            if forward(bytes, &mut source, &sink).await {
                sink.closed().await;
            }
        }
        Fault::CutAfter { bytes } => {
            if forward(bytes, &mut source, &sink).await {
                cut(&sink).await;
            }
        }
        Fault::EndAfter { bytes } => {
            forward(bytes, &mut source, &sink).await;
        }
        Fault::MalformedJson => {
            // Of a watch the first piece is the first line; a list is in pieces for its size only.
            if let Some(Ok(piece)) = source.recv().await {
                let broken: Vec<u8> =
                    piece.iter().map(|byte| if *byte == b':' { b';' } else { *byte }).collect();
                if sink.send(Ok(Bytes::from(broken))).await.is_ok() {
                    forward(u64::MAX, &mut source, &sink).await;
                }
            }
        }
        Fault::Oversized { bytes } => {
            if let Some(Ok(piece)) = source.recv().await
                && swell(bytes, &piece, &sink).await.is_ok()
            {
                forward(u64::MAX, &mut source, &sink).await;
            }
        }
        // These are answers, or none at all.
        Fault::TooManyRequests { .. }
        | Fault::InternalError
        | Fault::Unavailable
        | Fault::BadGateway
        | Fault::Hang => {
            forward(u64::MAX, &mut source, &sink).await;
        }
    }
}

/// Passes on so many bytes; whether there are that many and the client is still there.
async fn forward(mut bytes: u64, source: &mut Received, sink: &Pieces) -> bool {
    while bytes > 0 {
        let piece = tokio::select! {
            piece = source.recv() => piece,
            () = sink.closed() => return false,
        };
        let Some(Ok(mut piece)) = piece else { break };
        piece.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
        bytes -= piece.len() as u64;
        if sink.send(Ok(piece)).await.is_err() {
            return false;
        }
    }
    true
}

async fn dribble(bytes: usize, every: Duration, mut source: Received, sink: &Pieces) {
    loop {
        let piece = tokio::select! {
            piece = source.recv() => piece,
            () = sink.closed() => return,
        };
        let Some(Ok(mut piece)) = piece else { return };
        while !piece.is_empty() {
            let drop = piece.split_to(piece.len().min(bytes.max(1)));
            if sink.send(Ok(drop)).await.is_err() {
                return;
            }
            tokio::time::sleep(every).await;
        }
    }
}

/// Puts a field of so many bytes before all others.
async fn swell(bytes: u64, piece: &Bytes, sink: &Pieces) -> Result<(), ()> {
    let start = piece.iter().position(|byte| *byte == b'{').map_or(0, |place| place + 1);
    let send = async |part: Bytes| sink.send(Ok(part)).await.map_err(|_| ());
    send(piece.slice(..start)).await?;
    send(Bytes::from_static(br#""padding":""#)).await?;
    let mut left = bytes;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        send(Bytes::from_static(&FILLING).slice(..part)).await?;
        if bytes != u64::MAX {
            left -= part as u64;
        }
    }
    send(Bytes::from_static(br#"","#)).await?;
    send(piece.slice(start..)).await
}
