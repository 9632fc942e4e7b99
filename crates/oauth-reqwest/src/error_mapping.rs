//! Maps the errors of reqwest to causes, and says whether anything was sent.

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use oauth_core::error::{Cause, Loss};
use oauth_core::exchange::SendBy;
use oauth_core::moment::UnixTime;
use tower_service::Service;

use crate::addresses::NotPublic;

/// Checks that a request that has its permit is still within its send deadline.
pub(crate) fn in_time(deadline: Option<SendBy>) -> Result<(), Cause> {
    let now = UnixTime::system().map_err(Cause::unsent)?;
    match deadline {
        Some(SendBy(latest)) if now > latest => Err(Cause::unsent("its turn came too late")),
        _ => Ok(()),
    }
}

/// The cause of a failed request, without the URL, whose query may hold a code or a token. DNS, TCP and TLS failures
/// come before the first byte of the request; for any other it is unknown how far the request came.
pub(crate) fn lost(error: reqwest::Error) -> Cause {
    let loss = loss(&error);
    let is_unsent = error.is_connect() || error.is_dns() || error.is_builder();
    let error = error.without_url();
    if is_unsent {
        Cause::unsent(error).because(loss)
    } else {
        Cause::unknown(error).because(loss)
    }
}

/// The cause of a transport error, with the addresses that were tried if the connection failed.
pub(crate) fn lost_at_endpoint(error: reqwest::Error, tried: Option<String>) -> Cause {
    let loss = loss(&error);
    // Addresses that are not public were not tried.
    match tried.filter(|_| error.is_connect() && loss != Loss::NotPublic) {
        Some(tried) => {
            let error = error.without_url();
            Cause::unsent(format!("{}; tried {tried}", root(&error))).because(loss)
        }
        None => lost(error),
    }
}

/// The text of the innermost error, which is the most specific.
fn root(error: &reqwest::Error) -> String {
    let mut root: &dyn std::error::Error = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string()
}

/// The kind of loss, by the types of the inner errors.
fn loss(error: &reqwest::Error) -> Loss {
    let is_of = |has: fn(&(dyn std::error::Error + 'static)) -> bool| any_below(error, has);
    if is_of(|below| below.is::<NotPublic>()) {
        Loss::NotPublic
    } else if error.is_builder() {
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

/// Whether an error, or one inside it, satisfies `has`.
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

/// The cause of a body that was cut short, from an error of `std::io`.
#[cfg(feature = "blocking")]
pub(crate) fn cut(error: std::io::Error) -> Cause {
    match error.downcast::<reqwest::Error>() {
        Ok(error) => lost(error),
        Err(error) => Cause::unknown(error).because(Loss::Closed),
    }
}

/// The cause of a request that waited too long for a permit.
pub(crate) fn limit_timeout() -> Cause {
    Cause::unsent("too many requests to this origin are in flight")
}
