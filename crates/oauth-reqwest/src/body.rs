//! The body of a reply, read up to a limit.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use oauth_core::error::Cause;

/// The largest body that is read, in bytes, after any decompression.
pub(crate) const BODY_LIMIT: usize = 1 << 20;
/// The largest buffer allocated before any of the body has arrived: `Content-Length` is untrusted.
const FIRST_ROOM: usize = 64 << 10;
/// The largest HTTP/2 head that is read, in bytes; hyper has its own limit for HTTP/1.
pub(crate) const HEADER_LIMIT: u32 = 64 << 10;

/// A body that is read chunk by chunk, and never grows past its limit.
pub(crate) struct CappedBody(Vec<u8>);

impl CappedBody {
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

#[cfg(test)]
mod tests {
    use super::*;
    use oauth_core::error::Delivery;

    #[test]
    fn a_body_up_to_the_limit_is_accepted() {
        let mut body = CappedBody::begin(None).unwrap();
        body.push(&vec![b'x'; BODY_LIMIT - 1]).unwrap();
        body.push(b"x").unwrap();
        assert_eq!(body.push(b"x").unwrap_err().delivery(), Delivery::TooLarge);
        assert_eq!(
            body.end(StatusCode::OK, HeaderMap::new()).body().len(),
            BODY_LIMIT
        );
    }

    #[test]
    fn a_content_length_over_the_limit_is_refused() {
        assert!(CappedBody::begin(Some(BODY_LIMIT as u64)).is_ok());
        for size in [BODY_LIMIT as u64 + 1, u64::MAX] {
            let cause = CappedBody::begin(Some(size)).err().unwrap();
            assert_eq!(cause.delivery(), Delivery::TooLarge);
        }
    }
}
