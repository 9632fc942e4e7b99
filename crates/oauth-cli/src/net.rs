//! Runs exchanges with the blocking driver, and shows what is sent and received.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use oauth_core::error::{Cause, Error, Loss};
use oauth_core::exchange::{Boxed, ExchangeExt as _};
use oauth_core::{Exchange, Tokens};
use oauth_reqwest::Transport;
use oauth_reqwest::blocking::Driver;
use oauth_reqwest::reqwest::blocking::{Request, Response};
use oauth_session::TokenDriver;
use oauth_session::store::Answer;

use crate::trace::{Received, TracedExchange, TracedRequest, Tracer};

/// The driver and the trace of requests. Clones share connections.
#[derive(Clone)]
pub(crate) struct Net {
    driver: Driver,
    pub(crate) tracer: Tracer,
    /// The thumbprint of the certificate that it presents.
    pub(crate) certificate: Option<String>,
}

impl Net {
    pub(crate) fn new(transport: &Transport, tracer: Tracer) -> Result<Self, Error> {
        let driver = transport.blocking_driver()?;
        Ok(Self {
            driver,
            tracer,
            certificate: transport.certificate_thumbprint(),
        })
    }

    /// Runs an exchange to its end.
    pub(crate) fn run<E: Exchange>(&self, exchange: E) -> Result<E::Output, Error> {
        self.driver.run(TracedExchange {
            exchange,
            tracer: self.tracer,
        })
    }

    /// Sends one request to an API, and returns the reply, regardless of its status; its body streams.
    pub(crate) fn call(&self, request: http::Request<Bytes>) -> Result<Response, Error> {
        let lost = |cause: Cause| {
            self.tracer.request_lost(&cause);
            Error::lost(cause)
        };
        self.tracer
            .request_sent(&TracedRequest::from_request(&request));
        let request = Request::try_from(request)
            .map_err(|error| lost(Cause::unsent(error.without_url()).because(Loss::Unsent)))?;
        let response = self.driver.call(request, None).map_err(lost)?;
        self.tracer
            .reply_received(&Received::new(response.status(), response.headers(), &[]));
        Ok(response)
    }
}

/// Requests of a session are traced like all others.
impl TokenDriver for Net {
    fn run(&self, exchange: Boxed<Tokens>) -> Answer<'_, Tokens> {
        let tracer = self.tracer;
        TokenDriver::run(&self.driver, TracedExchange { exchange, tracer }.boxed())
    }

    fn longest(&self) -> Duration {
        self.driver.longest()
    }
}

/// A header's text; empty if there is none.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}
