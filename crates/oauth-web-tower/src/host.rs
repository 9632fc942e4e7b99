//! The host of visits: a driver, a store, and the application's callbacks.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use oauth_core::error::{Error, Misuse};
use oauth_core::{Client, Moment};
use oauth_reqwest::Driver;
use oauth_session::Store;
use oauth_web::{Admission, Identity, LogEntry, Provider, ProviderQuery, SessionStorage, Site};

use crate::grants::Grants;

type ClientFuture = Pin<Box<dyn Future<Output = Result<Client, Error>> + Send>>;
type SignedOutFuture = Pin<Box<dyn Future<Output = ()> + Send>>;
type AdmissionFuture = Pin<Box<dyn Future<Output = Admission> + Send>>;
pub(crate) type ProviderResult = Result<Option<Provider>, Error>;
type ProviderFuture = Pin<Box<dyn Future<Output = ProviderResult> + Send>>;

/// Drives the visits of a site: one for an application. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    pub(crate) site: Site,
    pub(crate) driver: Driver,
    pub(crate) store: Option<Arc<dyn Store>>,
    pub(crate) admit: Option<Arc<dyn Fn(Identity) -> AdmissionFuture + Send + Sync>>,
    pub(crate) signed_out: Option<Arc<dyn Fn(Identity) -> SignedOutFuture + Send + Sync>>,
    pub(crate) providers: Option<Arc<dyn Fn(ProviderQuery) -> ProviderFuture + Send + Sync>>,
    pub(crate) connect: Option<Arc<dyn Fn(String) -> ClientFuture + Send + Sync>>,
    pub(crate) log: Option<Arc<dyn Fn(LogEntry) + Send + Sync>>,
    pub(crate) clock: Arc<dyn Fn() -> Result<Moment, Error> + Send + Sync>,
    pub(crate) grants: Arc<Grants>,
}

impl Host {
    /// A host of this site, without a store.
    ///
    /// # Errors
    /// `web.setup` for a site whose sessions are in a store.
    pub fn new(site: Site, driver: Driver) -> Result<Self, Error> {
        if site.keep() == SessionStorage::Store {
            let detail = "sessions live in a store, and none is given";
            return Err(Error::from(Misuse::WebSetup).about(detail));
        }
        Ok(Self::from_parts(site, driver, None))
    }

    /// A host whose sessions, and their tokens, are in this store.
    pub fn with_store(site: Site, driver: Driver, store: Arc<dyn Store>) -> Self {
        Self::from_parts(site, driver, Some(store))
    }

    fn from_parts(site: Site, driver: Driver, store: Option<Arc<dyn Store>>) -> Self {
        Self {
            site,
            driver,
            store,
            admit: None,
            signed_out: None,
            providers: None,
            connect: None,
            log: None,
            clock: Arc::new(Moment::system),
            grants: Arc::default(),
        }
    }

    /// Sets the function that decides which users are admitted. By default, every user whom the provider authenticates
    /// is admitted.
    #[must_use]
    pub fn admit<F, A>(mut self, admit: F) -> Self
    where
        F: Fn(Identity) -> A + Send + Sync + 'static,
        A: Future<Output = Admission> + Send + 'static,
    {
        self.admit = Some(Arc::new(move |identity| Box::pin(admit(identity))));
        self
    }

    /// Tells the application who was signed out, before the response is sent: for what it stores for a user itself. It
    /// is called when a user signs out here, when their provider announces it (back-channel and front-channel logout,
    /// once for all sessions that end), and when another user is found signed in at the provider; also at a site whose
    /// providers are looked up. [`Identity::provider`] is the provider's id.
    #[must_use]
    pub fn signed_out<F, A>(mut self, signed_out: F) -> Self
    where
        F: Fn(Identity) -> A + Send + Sync + 'static,
        A: Future<Output = ()> + Send + 'static,
    {
        self.signed_out = Some(Arc::new(move |identity| Box::pin(signed_out(identity))));
        self
    }

    /// Looks up the providers that are not in the settings, of a site whose settings say so
    /// ([`Lookup::Asked`](oauth_web::Lookup::Asked)): tenants of a database. It is called for each request that needs
    /// one; keep the clients in memory, because each has its own keys and nonces.
    #[must_use]
    pub fn providers<F, A>(mut self, look: F) -> Self
    where
        F: Fn(ProviderQuery) -> A + Send + Sync + 'static,
        A: Future<Output = ProviderResult> + Send + 'static,
    {
        self.providers = Some(Arc::new(move |query| Box::pin(look(query))));
        self
    }

    /// Makes the client of a provider of the settings that has none, [`Provider::later`], by its id: when the first page
    /// needs it, once for all that do. A failure becomes a response with status 503, and there is no new attempt for a
    /// while.
    #[must_use]
    pub fn connect<F, A>(mut self, connect: F) -> Self
    where
        F: Fn(String) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Client, Error>> + Send + 'static,
    {
        self.connect = Some(Arc::new(move |provider| Box::pin(connect(provider))));
        self
    }

    /// Sets the clock of visits, for tests.
    #[must_use]
    pub fn clock(
        mut self,
        clock: impl Fn() -> Result<Moment, Error> + Send + Sync + 'static,
    ) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets how many people's unused tokens are kept in memory for each provider; 10,000 unless set. Others
    /// are read from the store when they are needed.
    #[must_use]
    pub fn capacity(mut self, people: usize) -> Self {
        self.grants = Arc::new(Grants::new(people));
        self
    }

    /// Sets the function that receives the log entries.
    #[must_use]
    pub fn log(mut self, log: impl Fn(LogEntry) + Send + Sync + 'static) -> Self {
        self.log = Some(Arc::new(log));
        self
    }

    /// The number of users whose tokens are in memory: in use, or kept for later.
    pub fn in_memory(&self) -> usize {
        self.grants.in_memory()
    }

    /// The site.
    pub const fn site(&self) -> &Site {
        &self.site
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("site", &self.site)
            .finish_non_exhaustive()
    }
}
