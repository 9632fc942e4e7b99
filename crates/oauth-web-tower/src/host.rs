//! The host of visits: a driver, a store, and what the application has to say.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use oauth_core::error::{Advice, Error, Misuse, ValidationFailure};
use oauth_core::flow::resource::{OnLimit, Resource};
use oauth_core::protected_resource::ResourceIdentifier;
use oauth_core::{Client, Moment, Tokens, danger};
use oauth_reqwest::{Authorized, Driver, reqwest};
use oauth_session::store::{Answer, Times};
use oauth_session::{FixedToken, Store, Token, TokenSource};
use oauth_web::{
    Admission, Event, Forward, Identity, Keep, Note, Provider, ProviderQuery, Reply, Session, Site,
    Step, Visit,
};

type Admitting = Pin<Box<dyn Future<Output = Admission> + Send>>;
type LookedUp = Result<Option<Provider>, Error>;
type Looking = Pin<Box<dyn Future<Output = LookedUp> + Send>>;

/// Drives the visits of a site: one for an application. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    site: Site,
    driver: Driver,
    store: Option<Arc<dyn Store>>,
    admit: Option<Arc<dyn Fn(Identity) -> Admitting + Send + Sync>>,
    providers: Option<Arc<dyn Fn(ProviderQuery) -> Looking + Send + Sync>>,
    log: Option<Arc<dyn Fn(Note) + Send + Sync>>,
}

/// How a visit ended.
#[expect(
    clippy::large_enum_variant,
    reason = "it is handed over once, and not kept"
)]
#[derive(Debug)]
pub enum Outcome {
    /// Send this.
    Respond(Reply),
    /// Pass this call on: [`Host::forward`] does.
    Forward(Box<Forward>),
    /// It is the application's turn, with the session if there is one.
    Pass(Option<Arc<Session>>),
}

impl Host {
    /// A host of this site without a store.
    ///
    /// # Errors
    /// `web.setup` for a site whose sessions live in one.
    pub fn new(site: Site, driver: Driver) -> Result<Self, Error> {
        if site.keep() == Keep::Store {
            let why = "sessions live in a store, and none is given";
            return Err(Error::from(Misuse::WebSetup).about(why));
        }
        Ok(Self::of(site, driver, None))
    }

    /// A host whose sessions, and their tokens, live in this store.
    pub fn with_store(site: Site, driver: Driver, store: Arc<dyn Store>) -> Self {
        Self::of(site, driver, Some(store))
    }

    fn of(site: Site, driver: Driver, store: Option<Arc<dyn Store>>) -> Self {
        Self {
            site,
            driver,
            store,
            admit: None,
            providers: None,
            log: None,
        }
    }

    /// Asks the application whom to let in. Without it, everybody is whom the provider vouches for.
    #[must_use]
    pub fn admit<F, A>(mut self, admit: F) -> Self
    where
        F: Fn(Identity) -> A + Send + Sync + 'static,
        A: Future<Output = Admission> + Send + 'static,
    {
        self.admit = Some(Arc::new(move |identity| Box::pin(admit(identity))));
        self
    }

    /// Looks up the providers that are not in the settings, of a site whose settings say so
    /// ([`Lookup::Asked`](oauth_web::Lookup::Asked)): tenants of a database. It is asked at each request that needs one;
    /// keep clients at hand, for each has keys and nonces of its own.
    #[must_use]
    pub fn providers<F, A>(mut self, look: F) -> Self
    where
        F: Fn(ProviderQuery) -> A + Send + Sync + 'static,
        A: Future<Output = LookedUp> + Send + 'static,
    {
        self.providers = Some(Arc::new(move |ask| Box::pin(look(ask))));
        self
    }

    /// Hands over what is worth a line in the log.
    #[must_use]
    pub fn log(mut self, log: impl Fn(Note) + Send + Sync + 'static) -> Self {
        self.log = Some(Arc::new(log));
        self
    }

    /// The site.
    pub const fn site(&self) -> &Site {
        &self.site
    }

    /// Drives a visit to its end.
    ///
    /// # Errors
    /// `misuse.no_clock` and `misuse.no_randomness`.
    pub async fn drive(&self, mut visit: Visit) -> Result<Outcome, Error> {
        let mut event = Event::Begin;
        loop {
            let step = visit.resume(&Moment::system()?, event);
            if let Some(log) = &self.log {
                visit.notes().into_iter().for_each(|note| log(note));
            }
            event = match step? {
                Step::Respond(reply) => return Ok(Outcome::Respond(reply)),
                Step::Pass(session) => return Ok(Outcome::Pass(session)),
                Step::Forward(forward) => return Ok(Outcome::Forward(forward)),
                Step::Run(exchange) => Event::Completed(self.driver.run(exchange).await),
                Step::Wait(pause) => {
                    tokio::time::sleep(pause).await;
                    Event::Elapsed
                }
                Step::Provider(ask) => match self.look_up(*ask).await {
                    Ok(provider) => Event::Provider(provider.map(Box::new)),
                    Err(error) => Event::Failed(error),
                },
                Step::Admit(identity) => Event::Admitted(match &self.admit {
                    Some(admit) => admit(*identity).await,
                    None => Admission::default(),
                }),
                stored => self.ask(stored).await.unwrap_or_else(Event::Failed),
            };
        }
    }

    /// Passes a call on, with the token of whoever is signed in, renewed if need be. The body is sent again then. No
    /// redirect leads out of the API; the header fields of the response are those that are passed on.
    ///
    /// # Errors
    /// Those of the token and of the API: after one with advice `reauthorize` the session is over, see
    /// [`Site::tokens_over`].
    pub async fn forward(
        &self,
        forward: Forward,
        body: Bytes,
    ) -> Result<Response<reqwest::Body>, Error> {
        let passed = self.pass_on(forward, body).await;
        if let (Err(error), Some(log)) = (&passed, &self.log) {
            log(Note::of(error));
        }
        passed
    }

    async fn pass_on(
        &self,
        forward: Forward,
        body: Bytes,
    ) -> Result<Response<reqwest::Body>, Error> {
        let source = self.source_of(&forward.client, Arc::clone(&forward.session))?;
        let url = forward.resource.as_str();
        let resource = match forward.resource.scheme() {
            // The site's settings say that this may be.
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
        // What the API says of a pause is the page's to heed.
        let reply = request.on_limit(OnLimit::HandBack).send().await?;
        let (status, headers) = (reply.status(), Forward::response_headers(reply.headers()));
        let mut response = Response::new(reqwest::Body::from(reply));
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }

    /// The tokens of whoever is signed in, kept fresh: one renewal, however many requests and workers want one. Once their
    /// grant is over, so is the session (RFC 10017 section 6.1.2.2).
    ///
    /// # Errors
    /// `web.setup` where sessions have no tokens, `web.unknown_provider`, and what the provider's look-up fails with.
    pub async fn source(&self, session: Arc<Session>) -> Result<SessionSource, Error> {
        let id = &session.identity.provider;
        let client = match self.site.client(id) {
            Some(client) => client.clone(),
            None => {
                let mut ask = ProviderQuery::default();
                ask.id = Some(id.clone());
                let found = self.look_up(ask).await?.filter(|found| found.id == *id);
                let found = found.ok_or(ValidationFailure::WebUnknownProvider)?;
                found.client
            }
        };
        self.source_of(&client, session)
    }

    fn source_of(&self, client: &Client, session: Arc<Session>) -> Result<SessionSource, Error> {
        let tokens: Arc<dyn TokenSource> = match (session.grant(), &self.store, session.tokens()) {
            (Some(grant), Some(store), _) => Arc::new(oauth_session::Session::of_grant(
                self.driver.clone(),
                client,
                grant,
                Arc::clone(store),
            )),
            (_, _, Some(tokens)) => Arc::new(FixedToken::of_tokens((**tokens).clone())),
            _ => {
                let why = "who signed in is kept, and no tokens";
                return Err(Error::from(Misuse::WebSetup).about(why));
            }
        };
        Ok(SessionSource {
            tokens,
            session,
            host: self.clone(),
        })
    }

    async fn look_up(&self, ask: ProviderQuery) -> LookedUp {
        match &self.providers {
            Some(look) => look(ask).await,
            None => Ok(None),
        }
    }

    /// What the store says.
    async fn ask(&self, step: Step) -> Result<Event, Error> {
        let store = self.store.as_ref();
        let store = store.ok_or_else(|| Error::from(Misuse::NotSupported).at_endpoint("store"))?;
        Ok(match step {
            Step::Load { key } => Event::Loaded(store.load(&key).await?),
            Step::Lease { key, holder, ttl } => {
                Event::Leased(store.lease(&key, &holder, ttl).await?)
            }
            Step::Save {
                key,
                record,
                version,
                due,
                until,
            } => {
                let times = Times { due, until };
                Event::Saved(store.save(&key, &record, version, times).await?)
            }
            Step::Remove { key } => {
                store.remove(&key).await?;
                Event::Removed
            }
            Step::Respond(_)
            | Step::Forward(_)
            | Step::Pass(_)
            | Step::Run(_)
            | Step::Wait(_)
            | Step::Provider(_)
            | Step::Admit(_) => {
                return Err(Misuse::OutOfOrder.into());
            }
        })
    }
}

/// The tokens of a session.
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
                // What fails is in the log, and the caller is told of the tokens.
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

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("site", &self.site)
            .finish_non_exhaustive()
    }
}
