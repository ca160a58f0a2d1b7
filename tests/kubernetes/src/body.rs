//! The body of an answer: whole, or in pieces as they come, and counted.

use hyper::body::{Body as HyperBody, Bytes, Frame, SizeHint};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// Ends a connection in the middle of an answer.
#[derive(Debug)]
pub(crate) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("cut by the test")
    }
}

impl std::error::Error for Cut {}

/// What a producer of pieces holds: the connection has gone when it closes.
pub(crate) type Pieces = mpsc::Sender<Result<Bytes, Cut>>;

/// The other end.
pub(crate) type Received = mpsc::Receiver<Result<Bytes, Cut>>;

/// A way for pieces: few at a time, so that a client that does not read is felt by the producer.
pub(crate) fn channel() -> (Pieces, Received) {
    mpsc::channel(4)
}

enum Content {
    Whole(Option<Bytes>),
    Pieces(Received),
}

/// A body; what was taken from it is added to a count.
pub(crate) struct Body {
    content: Content,
    sent_bytes: Arc<AtomicU64>,
}

impl Body {
    pub(crate) fn whole(bytes: impl Into<Bytes>, sent_bytes: Arc<AtomicU64>) -> Self {
        Self { content: Content::Whole(Some(bytes.into())), sent_bytes }
    }

    /// A body of unknown length, which is sent in chunks.
    pub(crate) fn pieces(received: Received, sent_bytes: Arc<AtomicU64>) -> Self {
        Self { content: Content::Pieces(received), sent_bytes }
    }
}

impl HyperBody for Body {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let piece = match &mut self.content {
            Content::Whole(bytes) => bytes.take().map(Ok),
            Content::Pieces(received) => match received.poll_recv(context) {
                Poll::Ready(piece) => piece,
                Poll::Pending => return Poll::Pending,
            },
        };
        if let Some(Ok(bytes)) = &piece {
            self.sent_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.content, Content::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Content::Pieces(_) => SizeHint::default(),
        }
    }
}
