//! Answers that are written while they are sent.

use std::pin::Pin;
use std::task::{Context, Poll};

/// An iterator as a stream, which lets others run between two chunks.
pub(super) struct Chunks<I> {
    chunks: Box<I>,
    /// Others have had their turn since the last chunk.
    rested: bool,
}

impl<I> Chunks<I> {
    pub(super) fn new(chunks: I) -> Self {
        Chunks {
            chunks: Box::new(chunks),
            rested: true,
        }
    }
}

impl<I: Iterator> futures_core::Stream for Chunks<I> {
    type Item = I::Item;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<I::Item>> {
        self.rested = !self.rested;
        if self.rested {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.chunks.next())
    }
}
