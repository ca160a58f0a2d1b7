//! Answers, read with a bound on their size and their time.

use crate::Error;
use crate::object::StatusObject;
use crate::status::Figures;
use bytes::{Buf, Bytes, BytesMut};
use http::header::{ACCEPT, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube_client::Client;
use kube_client::client::Body;
use serde::de::DeserializeSeed;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// No list is larger: 5,000 pods of 10 KiB are 50 MiB.
const MAX_ANSWER_BYTES: u64 = 1 << 30;
/// No object is larger: etcd's limit is 1.5 MiB, and JSON is somewhat longer than what is stored.
const MAX_LINE_BYTES: usize = 8 << 20;
/// What a server has to say about an error.
const MAX_STATUS_BYTES: usize = 64 << 10;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two pieces of an answer.
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);
/// Pieces that wait to be parsed.
const QUEUE: usize = 4;
/// What is parsed at a time.
const BUFFER: usize = 32 << 10;

/// JSON as the API has it.
pub(crate) const JSON: &str = "application/json";
/// An object's metadata only.
pub(crate) const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";

/// Asks, and waits for an answer to begin that is not an error.
pub(crate) async fn ask(
    client: &Client,
    what: &'static str,
    path: &str,
    accept: &'static str,
) -> Result<Response<Body>, Error> {
    let request = Request::get(path)
        .header(ACCEPT, accept)
        .body(Body::empty())
        .map_err(|error| Error::connection(what, &error))?;
    let answer = timeout(ANSWER_TIMEOUT, client.send(request)).await;
    let answer = answer.map_err(|_| Error::TimedOut { what, after: ANSWER_TIMEOUT })?;
    let answer = answer.map_err(|error| Error::connection(what, &error))?;
    if answer.status().is_success() { Ok(answer) } else { Err(refusal(what, answer).await) }
}

/// What a server says instead of an answer.
async fn refusal(what: &'static str, answer: Response<Body>) -> Error {
    let status = answer.status();
    let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let mut text = Vec::new();
    let mut body = answer.into_body();
    // An error within an error leaves what has come so far.
    while let Ok(Some(Ok(frame))) = timeout(PIECE_TIMEOUT, body.frame()).await {
        text.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        if text.len() > MAX_STATUS_BYTES {
            break;
        }
    }
    let message = match serde_json::from_slice::<StatusObject>(&text) {
        Ok(object) if !object.message.is_empty() => object.message.into(),
        _ => String::from_utf8_lossy(&text[..text.len().min(200)]).trim().to_owned(),
    };
    if status == StatusCode::GONE {
        return Error::Expired;
    }
    Error::Refused {
        what,
        status: status.as_u16(),
        message,
        retry_after: retry_after.map(Duration::from_secs),
    }
}

/// Parses a whole answer while it comes in, so that never more than some pieces of it are held, and takes of it what is to be kept.
pub(crate) async fn parse<T: Send + 'static>(
    what: &'static str,
    answer: Response<Body>,
    kept: impl for<'de> DeserializeSeed<'de, Value = T> + Send + 'static,
    figures: &Figures,
) -> Result<T, Error> {
    let (sender, receiver) = mpsc::channel::<Result<Bytes, io::Error>>(QUEUE);
    let parser = tokio::task::spawn_blocking(move || {
        let pieces = io::BufReader::with_capacity(BUFFER, Pieces { receiver, left: Bytes::new() });
        let mut document = serde_json::Deserializer::from_reader(pieces);
        let parsed = kept.deserialize(&mut document)?;
        document.end().map(|()| parsed)
    });
    let broken = send_pieces(what, answer.into_body(), &sender, figures).await.err();
    drop(sender);
    let parsed = parser.await.map_err(|error| Error::BadAnswer { what, reason: error.to_string() })?;
    match (parsed, broken) {
        (Ok(parsed), _) => Ok(parsed),
        (Err(_), Some(broken)) => Err(broken),
        (Err(error), None) => Err(Error::BadAnswer { what, reason: error.to_string() }),
    }
}

async fn send_pieces(
    what: &'static str,
    mut body: Body,
    sender: &mpsc::Sender<Result<Bytes, io::Error>>,
    figures: &Figures,
) -> Result<(), Error> {
    let mut bytes = 0_u64;
    let outcome = loop {
        let frame = match timeout(PIECE_TIMEOUT, body.frame()).await {
            Ok(None) => return Ok(()),
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => break Error::connection(what, &error),
            Err(_) => break Error::TimedOut { what, after: PIECE_TIMEOUT },
        };
        let Ok(data) = frame.into_data() else { continue };
        bytes += data.len() as u64;
        figures.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
        if bytes > MAX_ANSWER_BYTES {
            break Error::BadAnswer { what, reason: format!("more than {MAX_ANSWER_BYTES} bytes") };
        }
        if sender.send(Ok(data)).await.is_err() {
            // The parser has had enough, and says why.
            return Ok(());
        }
    };
    // A body that has broken off may be a whole document by chance.
    let _ = sender.send(Err(io::Error::from(io::ErrorKind::UnexpectedEof))).await;
    Err(outcome)
}

/// The pieces of a body, as something to be read from.
struct Pieces {
    receiver: mpsc::Receiver<Result<Bytes, io::Error>>,
    left: Bytes,
}

impl io::Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.left.is_empty() {
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(piece) => self.left = piece?,
            }
        }
        let length = into.len().min(self.left.len());
        self.left.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}

/// The lines of an answer that does not end.
pub(crate) struct Lines {
    what: &'static str,
    body: Body,
    buffer: BytesMut,
    /// No line ends before this in the buffer.
    searched: usize,
}

impl Lines {
    pub(crate) fn new(what: &'static str, answer: Response<Body>) -> Self {
        Self { what, body: answer.into_body(), buffer: BytesMut::new(), searched: 0 }
    }

    /// The next line; `None` at a proper end. It may be abandoned while it waits, and nothing is lost.
    pub(crate) async fn next(&mut self, figures: &Figures) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(end) = self.buffer[self.searched..].iter().position(|&byte| byte == b'\n') {
                let line = self.buffer.split_to(self.searched + end + 1).freeze();
                self.searched = 0;
                return Ok(Some(line));
            }
            self.searched = self.buffer.len();
            if self.searched > MAX_LINE_BYTES {
                let reason = format!("a line of more than {MAX_LINE_BYTES} bytes");
                return Err(Error::BadAnswer { what: self.what, reason });
            }
            match self.body.frame().await {
                None if self.buffer.is_empty() => return Ok(None),
                None => {
                    let reason = "it breaks off within a line".to_owned();
                    return Err(Error::Connection { what: self.what, reason });
                }
                Some(Err(error)) => return Err(Error::connection(self.what, &error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        figures.bytes.fetch_add(data.len() as u64, Ordering::Relaxed);
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}
