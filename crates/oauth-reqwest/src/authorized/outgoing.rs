//! A request to a protected resource: its state machine in `oauth-core`, and the `http::Request`
//! that reqwest sends.

use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use oauth_core::dpop::DPOP;
use oauth_core::error::{Error, Misuse};
use oauth_core::flow::resource::{Api, Clock, Event, OnRateLimit, ResourceRequest, Step};
use oauth_core::token::step_up_requirement::StepUp;
use oauth_core::url::Url;
use oauth_session::Token;

/// A request to a protected resource, with a body in memory or a stream that can be sent only once.
pub(crate) struct Outgoing<S> {
    pub(crate) request: ResourceRequest,
    pub(crate) timeout: Option<Duration>,
    stream: Option<S>,
    /// Whether the user was already asked for a step-up: a request asks only once.
    has_asked: bool,
}

/// A complete request for reqwest, with a body in memory or a stream.
pub(crate) enum PreparedRequest<S> {
    Bytes(http::Request<Bytes>),
    Stream(http::Request<S>),
}

impl<S> Outgoing<S> {
    pub(crate) fn new(api: &Api, on_rate_limit: OnRateLimit, method: Method, url: &str) -> Self {
        Self {
            request: ResourceRequest::new(api, method, url).on_rate_limit(on_rate_limit),
            timeout: None,
            stream: None,
            has_asked: false,
        }
    }

    /// What the reply requires of the user, and the request to send after the user was asked.
    pub(crate) fn step_up_retry(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Option<(StepUp, ResourceRequest)> {
        if std::mem::replace(&mut self.has_asked, true) {
            return None;
        }
        self.request.required_step_up(status, headers)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request.add_header(name, value);
        self
    }

    pub(crate) fn body(mut self, body: Bytes) -> Self {
        self.request = self.request.body(body);
        self
    }

    pub(crate) fn stream(mut self, body: S) -> Self {
        self.request = self.request.body_once();
        self.stream = Some(body);
        self
    }

    pub(crate) fn on_rate_limit(mut self, on_rate_limit: OnRateLimit) -> Self {
        self.request = self.request.on_rate_limit(on_rate_limit);
        self
    }

    /// Continues with the token from a source, or without one if the API requires none.
    pub(crate) fn attach(
        &mut self,
        tokens: &mut Option<Token>,
        result: Result<Token, Error>,
    ) -> Result<Step, Error> {
        let event = match result {
            Ok(token) => Event::Token(tokens.insert(token)),
            Err(error) => Event::NoToken(error),
        };
        self.request.resume(&Clock::system()?, event)
    }

    pub(crate) fn pack(
        &mut self,
        url: &Url,
        authorization: Option<HeaderValue>,
        dpop: Option<HeaderValue>,
    ) -> Result<PreparedRequest<S>, Error> {
        let mut request = http::Request::new(());
        *request.method_mut() = self.request.method().clone();
        *request.uri_mut() = url.as_str().parse().map_err(|_| Misuse::UrlSyntax)?;
        *request.headers_mut() = self.request.header_map().clone();
        if let Some(value) = authorization {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        if let Some(proof) = dpop {
            let name = HeaderName::from_static(DPOP);
            request.headers_mut().insert(name, proof);
        }
        let (parts, ()) = request.into_parts();
        match (self.request.bytes(), self.stream.take()) {
            (Some(bytes), _) => Ok(PreparedRequest::Bytes(http::Request::from_parts(
                parts,
                bytes.clone(),
            ))),
            (None, Some(stream)) => Ok(PreparedRequest::Stream(http::Request::from_parts(
                parts, stream,
            ))),
            (None, None) => Err(Misuse::Over.into()),
        }
    }
}
