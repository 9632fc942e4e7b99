//! The wire: runs exchanges with the blocking driver, and shows what goes over it.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use oauth_core::error::{Cause, Error};
use oauth_core::exchange::{Boxed, ExchangeExt as _};
use oauth_core::{Exchange, Tokens};
use oauth_reqwest::blocking::Driver;
use oauth_reqwest::reqwest::blocking::{Client, ClientBuilder, Response};
use oauth_reqwest::reqwest::{self, redirect, retry};
use oauth_session::Drive;
use oauth_session::store::Answer;

use crate::trace::{Received, Sent, Traced, Tracer};

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How far a proxy may stand between this command and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// As the environment says.
    World,
    /// No proxy: what is on this machine is not to be asked for elsewhere.
    Loopback,
}

/// Where requests go out. Clones share connections.
#[derive(Clone)]
pub(crate) struct Net {
    driver: Driver,
    pub(crate) tracer: Tracer,
    reach: Reach,
}

impl Net {
    pub(crate) fn new(reach: Reach, tracer: Tracer) -> Result<Self, Error> {
        Ok(Self {
            driver: Driver::new(builder(reach))?,
            tracer,
            reach,
        })
    }

    /// Runs an exchange to its end.
    pub(crate) fn run<E: Exchange>(&self, exchange: E) -> Result<E::Output, Error> {
        self.driver.run(Traced {
            exchange,
            tracer: self.tracer,
        })
    }

    /// Sends one request to an API, and gives back the reply whatever its status; its body
    /// streams.
    pub(crate) fn call(&self, request: http::Request<Bytes>) -> Result<Response, Error> {
        let lost = |error: reqwest::Error| {
            let is_unsent = error.is_connect() || error.is_builder();
            // A query may hold what nobody else is to see.
            let error = error.without_url();
            let cause = if is_unsent {
                Cause::unsent(error)
            } else {
                Cause::unknown(error)
            };
            self.tracer.lost(&cause);
            Error::lost(cause)
        };
        self.tracer.sent(&Sent::of(&request));
        let response = self
            .api()
            .and_then(|client| client.execute(request.try_into()?))
            .map_err(lost)?;
        self.tracer
            .received(&Received::new(response.status(), response.headers(), &[]));
        Ok(response)
    }

    /// The same promises as the driver's: no redirect, no repetition.
    fn api(&self) -> reqwest::Result<Client> {
        builder(self.reach)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .timeout(PATIENCE)
            .user_agent(concat!("oauth-cli/", env!("CARGO_PKG_VERSION")))
            .build()
    }
}

/// What a session sends is shown like everything else.
impl Drive for Net {
    fn run(&self, exchange: Boxed<Tokens>) -> Answer<'_, Tokens> {
        let tracer = self.tracer;
        Drive::run(&self.driver, Traced { exchange, tracer }.boxed())
    }

    fn longest(&self) -> Duration {
        self.driver.longest()
    }
}

fn builder(reach: Reach) -> ClientBuilder {
    match reach {
        Reach::World => Client::builder(),
        Reach::Loopback => Client::builder().no_proxy(),
    }
}

/// A header's text; empty if there is none.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}
