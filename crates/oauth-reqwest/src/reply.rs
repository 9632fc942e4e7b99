//! A reply on its way in, and what is said when none comes.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use oauth_core::error::Cause;
use oauth_core::exchange::SendBy;
use oauth_core::moment::UnixTime;

/// What is read of a body, in bytes, after any decompression.
pub(crate) const BODY_LIMIT: usize = 1 << 20;
/// What is set aside for a body before any of it has come: a length is easily claimed.
const FIRST_ROOM: usize = 64 << 10;
/// What is read of an HTTP/2 head, in bytes; hyper has its own limit for HTTP/1.
pub(crate) const HEADER_LIMIT: u32 = 64 << 10;

/// Whether a request whose turn has come may still leave.
pub(crate) fn in_time(by: Option<SendBy>) -> Result<(), Cause> {
    let now = UnixTime::system().map_err(Cause::unsent)?;
    match by {
        Some(SendBy(latest)) if now > latest => Err(Cause::unsent("its turn came too late")),
        _ => Ok(()),
    }
}

/// A body, chunk by chunk, that never grows past its limit.
pub(crate) struct Reply(Vec<u8>);

impl Reply {
    /// Refuses a body that announces more than is allowed before any of it is read.
    pub(crate) fn begin(announced: Option<u64>) -> Result<Self, Cause> {
        let announced = announced.unwrap_or_default();
        match usize::try_from(announced) {
            Ok(size) if size <= BODY_LIMIT => Ok(Self(Vec::with_capacity(size.min(FIRST_ROOM)))),
            _ => Err(Cause::too_large()),
        }
    }

    pub(crate) fn push(&mut self, chunk: &[u8]) -> Result<(), Cause> {
        if chunk.len() > BODY_LIMIT.saturating_sub(self.0.len()) {
            return Err(Cause::too_large());
        }
        self.0.extend_from_slice(chunk);
        Ok(())
    }

    pub(crate) fn end(self, status: StatusCode, headers: HeaderMap) -> http::Response<Bytes> {
        let mut response = http::Response::new(Bytes::from(self.0));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

/// Without the URL, whose query may hold a code or a token. DNS, TCP and TLS failures come before
/// the first byte of the request; of any other it cannot be known how far it came.
pub(crate) fn lost(error: reqwest::Error) -> Cause {
    let is_unsent = error.is_connect() || error.is_dns() || error.is_builder();
    let error = error.without_url();
    if is_unsent {
        Cause::unsent(error)
    } else {
        Cause::unknown(error)
    }
}

/// A body cut short, as `std::io` tells it.
#[cfg(feature = "blocking")]
pub(crate) fn cut(error: std::io::Error) -> Cause {
    match error.downcast::<reqwest::Error>() {
        Ok(error) => Cause::unknown(error.without_url()),
        Err(error) => Cause::unknown(error),
    }
}

/// A request that waited for its turn in vain.
pub(crate) fn crowded() -> Cause {
    Cause::unsent("too many requests to this origin are in flight")
}

#[cfg(test)]
mod tests {
    use super::*;
    use oauth_core::error::Reach;

    #[test]
    fn a_body_may_be_as_large_as_the_limit_and_no_larger() {
        let mut reply = Reply::begin(None).unwrap();
        reply.push(&vec![b'x'; BODY_LIMIT - 1]).unwrap();
        reply.push(b"x").unwrap();
        assert_eq!(reply.push(b"x").unwrap_err().reach(), Reach::TooLarge);
        assert_eq!(
            reply.end(StatusCode::OK, HeaderMap::new()).body().len(),
            BODY_LIMIT
        );
    }

    #[test]
    fn an_announced_length_is_believed_only_when_it_is_too_large() {
        assert!(Reply::begin(Some(BODY_LIMIT as u64)).is_ok());
        for size in [BODY_LIMIT as u64 + 1, u64::MAX] {
            let cause = Reply::begin(Some(size)).err().unwrap();
            assert_eq!(cause.reach(), Reach::TooLarge);
        }
    }
}
