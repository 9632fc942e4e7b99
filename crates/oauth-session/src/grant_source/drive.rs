//! The driver of a transport, which runs the token requests of sessions.

use std::sync::Arc;
use std::time::Duration;

use oauth_core::Tokens;
use oauth_core::error::Error;
use oauth_core::exchange::Boxed;

use crate::store::Answer;

/// Runs token requests over a transport.
pub trait TokenDriver: Send + Sync {
    /// Runs an exchange until it is done.
    fn run(&self, exchange: Boxed<Tokens>) -> Answer<'_, Tokens>;

    /// Runs the exchange that revokes a token (RFC 7009) until it is done. Only logouts call it.
    ///
    /// # Errors
    /// `misuse.not_supported`, unless a driver implements it.
    fn revoke(&self, exchange: Boxed<()>) -> Answer<'_, ()> {
        drop(exchange);
        let error = Error::from(oauth_core::error::Misuse::NotSupported);
        Box::pin(std::future::ready(Err(error.at_endpoint("revocation"))))
    }

    /// How long [`run`](Self::run) can take: queueing, connecting, sending and reading the response. 30 s
    /// by default.
    ///
    /// The driver must enforce this limit, because it knows whether anything was sent; a second later the session gives
    /// up the request, and its outcome is unknown. A worker that finds the in-flight marker of a crashed one waits this
    /// long before it sends the same refresh token again.
    fn longest(&self) -> Duration {
        Duration::from_secs(30)
    }
}

impl<D: TokenDriver + ?Sized> TokenDriver for Arc<D> {
    fn run(&self, exchange: Boxed<Tokens>) -> Answer<'_, Tokens> {
        (**self).run(exchange)
    }

    fn revoke(&self, exchange: Boxed<()>) -> Answer<'_, ()> {
        (**self).revoke(exchange)
    }

    fn longest(&self) -> Duration {
        (**self).longest()
    }
}
