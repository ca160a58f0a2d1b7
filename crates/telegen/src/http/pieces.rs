//! A body that is made while it is sent, piece by piece.

use axum::body::Body;
use futures_core::Stream;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A body of these pieces, each made only when there is room for it.
pub(super) fn body(pieces: impl Iterator<Item = String> + Send + Unpin + 'static) -> Body {
    Body::from_stream(Pieces(pieces))
}

struct Pieces<I>(I);

impl<I: Iterator<Item = String> + Unpin> Stream for Pieces<I> {
    type Item = Result<String, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.next().map(Ok))
    }
}
