//! A reply on its way in, and what is said when none comes.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use oauth_core::error::{Cause, Loss};
use oauth_core::exchange::SendBy;
use oauth_core::moment::UnixTime;
use tower_service::Service;

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
    let loss = loss(&error);
    let is_unsent = error.is_connect() || error.is_dns() || error.is_builder();
    let error = error.without_url();
    match is_unsent {
        true => Cause::unsent(error).because(loss),
        false => Cause::unknown(error).because(loss),
    }
}

/// The same of a request that may not have found its way, with the addresses that were tried.
pub(crate) fn lost_at(error: reqwest::Error, tried: Option<String>) -> Cause {
    match tried.filter(|_| error.is_connect()) {
        Some(tried) => {
            let loss = loss(&error);
            let error = error.without_url();
            Cause::unsent(format!("{}; tried {tried}", root(&error))).because(loss)
        }
        None => lost(error),
    }
}

/// The text of the error at the bottom, which says most.
fn root(error: &reqwest::Error) -> String {
    let mut root: &dyn std::error::Error = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}

/// What went wrong, by the types of the errors underneath.
fn loss(error: &reqwest::Error) -> Loss {
    let is_of = |has: fn(&(dyn std::error::Error + 'static)) -> bool| any_below(error, has);
    if error.is_builder() {
        Loss::Unsent
    } else if is_of(|below| below.is::<rustls::Error>()) {
        Loss::Tls
    } else if is_of(|below| below.is::<TunnelError>()) {
        Loss::Proxy
    } else if error.is_dns() {
        Loss::Dns
    } else if error.is_timeout() {
        Loss::Timeout
    } else if error.is_connect() {
        Loss::Connect
    } else {
        Loss::Closed
    }
}

/// hyper-util names this type only as the error of a proxy's tunnel.
type TunnelError = <Tunnel<HttpConnector> as Service<Uri>>::Error;

/// Whether an error, or one underneath it, is what is looked for.
fn any_below(
    error: &(dyn std::error::Error + 'static),
    has: fn(&(dyn std::error::Error + 'static)) -> bool,
) -> bool {
    // `source` of an I/O error leaves out the error that it wraps.
    let wrapped = error.downcast_ref::<std::io::Error>();
    let wrapped = wrapped.and_then(std::io::Error::get_ref);
    has(error)
        || wrapped.is_some_and(|wrapped| any_below(wrapped, has))
        || error.source().is_some_and(|source| any_below(source, has))
}

/// A body cut short, as `std::io` tells it.
#[cfg(feature = "blocking")]
pub(crate) fn cut(error: std::io::Error) -> Cause {
    match error.downcast::<reqwest::Error>() {
        Ok(error) => lost(error),
        Err(error) => Cause::unknown(error).because(Loss::Closed),
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
