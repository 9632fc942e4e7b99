//! The tokens of the user who is signed in, and calls that are forwarded with them.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use oauth_core::error::{Advice, Error, Misuse, ValidationFailure};
use oauth_core::flow::resource::{OnRateLimit, Resource};
use oauth_core::protected_resource_metadata::ResourceIdentifier;
use oauth_core::{Client, Tokens, danger};
use oauth_reqwest::{Authorized, reqwest};
use oauth_session::store::Answer;
use oauth_session::{FixedToken, Token, TokenSource};
use oauth_web::{Forward, LogEntry, ProviderQuery, Reply, Request, Session};

use crate::host::Host;
use crate::visit_driver::Outcome;

/// The largest body of a call to an API, in bytes: it is kept until the API has accepted the token.
pub const MAX_FORWARDED: usize = 10 << 20;

/// The result of a forwarded call.
#[derive(Debug)]
pub enum Forwarded {
    /// The response of the API.
    Response(Response<reqwest::Body>),
    /// The site's own response: no one is signed in any more.
    Reply(Reply),
}

impl Host {
    /// Forwards a page's call, with the token of the user who is signed in, renewed if necessary; the body is then sent
    /// again. No redirect is followed out of the API; the response has only the header fields that are passed on. If
    /// the grant has ended, so has the session of the request, and the response says so.
    ///
    /// # Errors
    /// The errors of the token and of the API: respond with 502 then.
    pub async fn forward(
        &self,
        request: Request,
        forward: Forward,
        body: Bytes,
    ) -> Result<Forwarded, Error> {
        let passed = self.forward_response(forward, body).await;
        if let (Err(error), Some(log)) = (&passed, &self.log) {
            log(LogEntry::from_error(error));
        }
        let error = match passed {
            Ok(response) => return Ok(Forwarded::Response(response)),
            Err(error) => error,
        };
        if error.advice() != Advice::Reauthorize {
            return Err(error);
        }
        self.tokens_over(request).await.map(Forwarded::Reply)
    }

    /// Ends the session of a request whose grant has ended (advice `reauthorize`), and returns the response in place of
    /// the page. A user is sent to sign in, and a script gets a 401.
    ///
    /// # Errors
    /// The errors of [`Host::drive`].
    pub async fn tokens_over(&self, request: Request) -> Result<Reply, Error> {
        match self.drive(self.site.tokens_over(request)).await? {
            Outcome::Respond(reply) => Ok(reply),
            Outcome::Pass(_) | Outcome::Forward(_) => Err(Misuse::OutOfOrder.into()),
        }
    }

    async fn forward_response(
        &self,
        forward: Forward,
        body: Bytes,
    ) -> Result<Response<reqwest::Body>, Error> {
        let source = self.source_of(&forward.client, Arc::clone(&forward.session))?;
        let url = forward.resource.as_str();
        let resource = match forward.resource.scheme() {
            // The site's settings allow this.
            "http" => danger::loopback_resource_identifier(url)?,
            _ => ResourceIdentifier::parse(url)?,
        };
        let api = Authorized::new(self.driver.clone(), source, Resource::beneath(&resource));
        let mut request = api.request(forward.method, forward.url.as_str()).body(body);
        for (name, value) in &forward.headers {
            if let Ok(value) = value.to_str() {
                request = request.header(name.as_str(), value);
            }
        }
        // If the API asks for a pause, the page has to handle it.
        let reply = request.on_rate_limit(OnRateLimit::Pass).send().await?;
        let (status, headers) = (reply.status(), Forward::response_headers(reply.headers()));
        let mut response = Response::new(reqwest::Body::from(reply));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// The source of the tokens of the user who is signed in, which are kept fresh: one renewal, for any number of
    /// requests and workers. If the grant has ended, so has the session (RFC 10017 section 6.1.2.2).
    ///
    /// # Errors
    /// `web.setup` if sessions have no tokens, `web.unknown_provider`, and the errors of the provider's look-up.
    pub async fn source(&self, session: Arc<Session>) -> Result<SessionSource, Error> {
        let id = &session.identity.provider;
        let client = match self.site.client(id) {
            Some(client) => client,
            None => self.client(id).await?,
        };
        self.source_of(&client, session)
    }

    /// The client of a provider that is not known yet, or not in the settings.
    async fn client(&self, id: &str) -> Result<Client, Error> {
        let unknown = || Error::from(ValidationFailure::WebUnknownProvider);
        match self.drive(self.site.connect(id)).await {
            Ok(_) => return self.site.client(id).ok_or_else(unknown),
            Err(error) if error.code() != unknown().code() => return Err(error),
            Err(_) => {}
        }
        let mut query = ProviderQuery::default();
        query.id = Some(id.to_owned());
        let provider = self.look_up(query).await?.filter(|found| found.id == id);
        provider
            .and_then(|provider| provider.client)
            .ok_or_else(unknown)
    }

    fn source_of(&self, client: &Client, session: Arc<Session>) -> Result<SessionSource, Error> {
        let tokens: Arc<dyn TokenSource> = match (session.grant(), &self.store, session.tokens()) {
            (Some(grant), Some(store), _) => {
                let id = &session.identity.provider;
                let grants = self
                    .grants
                    .for_visit(id, client, || (self.driver.clone(), Arc::clone(store)));
                Arc::new(grants.get(&grant))
            }
            (_, _, Some(tokens)) => Arc::new(FixedToken::from_tokens((**tokens).clone())),
            _ => {
                let reason = "sessions have tokens only if the site has a store";
                return Err(Error::from(Misuse::WebSetup).about(reason));
            }
        };
        Ok(SessionSource {
            tokens,
            session,
            host: self.clone(),
        })
    }
}

/// The source of the tokens of a session.
#[derive(Clone)]
pub struct SessionSource {
    tokens: Arc<dyn TokenSource>,
    session: Arc<Session>,
    host: Host,
}

impl TokenSource for SessionSource {
    fn token<'a>(&'a self, refused: Option<&'a Tokens>) -> Answer<'a, Token> {
        Box::pin(async move {
            let token = self.tokens.token(refused).await;
            if let Err(error) = &token
                && error.advice() == Advice::Reauthorize
            {
                let ended = self.host.site.end(Arc::clone(&self.session));
                // A failure is in the log, and the caller gets the error of the tokens.
                let _ = self.host.drive(ended).await;
            }
            token
        })
    }

    fn refuse(&self, refused: &Tokens) {
        self.tokens.refuse(refused);
    }
}

impl fmt::Debug for SessionSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionSource")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}
