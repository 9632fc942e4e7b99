//! Reads the beginning of a response body and puts it back for the caller.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use reqwest::ResponseBuilderExt as _;

/// Why a body could not be read to its end.
type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The part of a body that was read, followed by the rest.
struct RejoinedBody<B> {
    read: VecDeque<Result<Bytes, BodyError>>,
    rest: B,
}

impl<B> Body for RejoinedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BodyError>,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(read) = self.read.pop_front() {
            return Poll::Ready(Some(read.map(Frame::data)));
        }
        let rest = Pin::new(&mut self.rest).poll_frame(context);
        rest.map(|frame| frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.read.is_empty() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.rest.size_hint();
        let read: u64 = self
            .read
            .iter()
            .flatten()
            .map(|read| read.len() as u64)
            .sum();
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(read));
        }
        hint.set_lower(hint.lower().saturating_add(read));
        hint
    }
}

/// Reads at least `limit` bytes, or all there are, or what arrives within `timeout`; returns these, and the reply with
/// its whole body.
pub(crate) async fn peek(
    mut response: reqwest::Response,
    limit: usize,
    timeout: Duration,
) -> (Vec<u8>, reqwest::Response) {
    let (mut head, mut read) = (Vec::new(), VecDeque::new());
    let reading = async {
        while head.len() < limit {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    head.extend_from_slice(&chunk);
                    read.push_back(Ok(chunk));
                }
                Ok(None) => break,
                // The caller gets the error when it reads the body.
                Err(error) => {
                    read.push_back(Err(error.into()));
                    head.clear();
                    break;
                }
            }
        }
    };
    // On timeout, what was read so far is used.
    let _ = tokio::time::timeout(timeout, reading).await;
    let url = response.url().clone();
    let response = http::Response::<reqwest::Body>::from(response);
    let (mut parts, rest) = response.into_parts();
    // A conversion forgets where the reply came from, and `http` has no other way to keep it.
    let url_holder = http::Response::builder().url(url).body(());
    if let Ok(url_holder) = url_holder {
        parts
            .extensions
            .extend(url_holder.into_parts().0.extensions);
    }
    let body = reqwest::Body::wrap(RejoinedBody { read, rest });
    (head, http::Response::from_parts(parts, body).into())
}

#[cfg(feature = "blocking")]
pub(crate) use threads::peek as peek_blocking;

#[cfg(feature = "blocking")]
mod threads {
    use std::io::Read as _;

    use reqwest::ResponseBuilderExt as _;

    use super::{Body, BodyError, Bytes, Context, Frame, Pin, Poll, RejoinedBody, VecDeque};

    /// The number of bytes read at once after the peeked part.
    const CHUNK_BYTES: usize = 16 << 10;

    /// The rest of a body, whose reads block: only the blocking API reads it.
    struct BlockingRest(reqwest::blocking::Response);

    impl Body for BlockingRest {
        type Data = Bytes;
        type Error = BodyError;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
            let mut chunk = vec![0; CHUNK_BYTES];
            Poll::Ready(match self.0.read(&mut chunk) {
                Ok(0) => None,
                Ok(size) => {
                    chunk.truncate(size);
                    Some(Ok(Frame::data(chunk.into())))
                }
                Err(error) => Some(Err(error.into())),
            })
        }
    }

    /// Reads up to `limit` bytes of a reply for threads: these, and the reply with its whole body. If the body cannot
    /// be read, no bytes are returned, and the caller gets the error when it reads the body.
    pub(crate) fn peek(
        mut response: reqwest::blocking::Response,
        limit: usize,
    ) -> (Vec<u8>, reqwest::blocking::Response) {
        let mut head = Vec::new();
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        let outcome = response.by_ref().take(limit).read_to_end(&mut head);
        let mut read = VecDeque::from([Ok(Bytes::copy_from_slice(&head))]);
        if let Err(error) = outcome {
            read.push_back(Err(error.into()));
            head.clear();
        }
        let mut url_holder = http::Response::builder()
            .url(response.url().clone())
            .status(response.status())
            .version(response.version());
        if let Some(headers) = url_holder.headers_mut() {
            headers.clone_from(response.headers());
        }
        let extensions = response.extensions().clone();
        if let Some(url_extensions) = url_holder.extensions_mut() {
            url_extensions.extend(extensions);
        }
        let rest = BlockingRest(response);
        let body = reqwest::Body::wrap(RejoinedBody { read, rest });
        let mut rejoined = http::Response::new(body);
        if let Ok(url_holder) = url_holder.body(()) {
            let (parts, ()) = url_holder.into_parts();
            rejoined = http::Response::from_parts(parts, rejoined.into_body());
        }
        (head, rejoined.into())
    }
}
