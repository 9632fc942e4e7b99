//! The sources of many grants of one client, over one store. One grant is kept fresh in `grant_source.rs`.

mod cache;
mod idle;
mod logout;
mod step_ups;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oauth_core::error::{Error, Kind};
use oauth_core::flow::keeper::{GrantId, GrantSummary, Policy};
use oauth_core::moment::UnixTime;
use oauth_core::{Client, Tokens};

use crate::grant_source::{GrantSource, TokenDriver, drain_each};
use crate::observe::{Counters, GrantEvent, Observe};
use crate::renewal_limits::RenewalLimits;
use crate::store::{self, Store};

use cache::SessionCache;
pub use idle::IdleRenewalReport;

/// The default number of sources kept in memory.
const DEFAULT_CAPACITY: usize = 10_000;

/// The token sources of all grants of a client in a store. Cheap to clone; clones share everything.
///
/// A grant costs memory only while it is used: beyond the capacity, sources that no caller holds are
/// dropped, the least recently used first, and are read from the store when they are needed again. One
/// that renews, or has unsaved tokens, is never dropped.
///
/// ```
/// # use std::sync::Arc;
/// # use std::time::Duration;
/// # use oauth_core::{Client, Error, Tokens};
/// # use oauth_core::flow::keeper::GrantId;
/// # use oauth_session::{TokenDriver, Grants, Store};
/// # async fn serve(driver: impl TokenDriver + 'static, client: &Client, store: Arc<dyn Store>, tokens: Tokens) -> Result<(), Error> {
/// let grants = Grants::new(driver, client, store)
///     .capacity(50_000)
///     .per_second(50)
///     .on_ended(|grant, error| println!("{:?} has to log in again: {error}", grant.subject()));
/// let ann = GrantId::user("ann");
/// grants.log_in(&ann, tokens).await?;
/// let token = grants.get(&ann).token().await?;
/// // Refresh tokens that are not used for a month would expire.
/// grants.renew_idle(Duration::from_secs(14 * 24 * 3600)).await?;
/// grants.log_out(&ann).await?;
/// grants.drain(Duration::from_secs(10)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Grants(Arc<Inner>);

struct Inner {
    driver: Arc<dyn TokenDriver>,
    client: Client,
    store: Arc<dyn Store>,
    options: Options,
    cache: Mutex<SessionCache>,
    counters: Arc<Counters>,
}

#[derive(Clone)]
struct Options {
    policy: Policy,
    capacity: usize,
    renewal_limits: RenewalLimits,
    on_renewed: Option<OnRenewed>,
    on_ended: Option<OnEnded>,
    on_authorization_ends: Option<OnAuthorizationEnds>,
    observer: Option<Arc<dyn Observe>>,
}

type OnRenewed = Arc<dyn Fn(&GrantId, &Arc<Tokens>) -> Result<(), Error> + Send + Sync>;
type OnEnded = Arc<dyn Fn(&GrantId, &Error) + Send + Sync>;
type OnAuthorizationEnds = Arc<dyn Fn(&GrantId, UnixTime) + Send + Sync>;

/// A page of the grants in a store, see [`Grants::list`].
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct GrantPage {
    /// The summaries of their records.
    pub grants: Vec<GrantSummary>,
    /// The keys of records that cannot be read, with the reason.
    pub unreadable: Vec<(String, Error)>,
    /// The cursor of the next page; `None` if this was the last.
    pub next: Option<String>,
}

impl Grants {
    /// Manages the grants of this client in this store.
    pub fn new(driver: impl TokenDriver + 'static, client: &Client, store: Arc<dyn Store>) -> Self {
        Self(Arc::new(Inner {
            driver: Arc::new(driver),
            client: client.clone(),
            store,
            options: Options {
                policy: Policy::default(),
                capacity: DEFAULT_CAPACITY,
                renewal_limits: RenewalLimits::default(),
                on_renewed: None,
                on_ended: None,
                on_authorization_ends: None,
                observer: None,
            },
            cache: Mutex::default(),
            counters: Arc::default(),
        }))
    }

    /// Replaces the policy.
    #[must_use]
    pub fn policy(self, policy: Policy) -> Self {
        self.with(|options| options.policy = policy)
    }

    /// Keeps at most this many unused sources in memory; 10,000 by default.
    #[must_use]
    pub fn capacity(self, capacity: usize) -> Self {
        self.with(|options| options.capacity = capacity)
    }

    /// Begins at most this many renewals per second, evenly spaced; without this, only the driver limits
    /// them. 0 means no limit. A renewal that has to wait does so before it holds a lease.
    #[must_use]
    pub fn per_second(self, renewals: u32) -> Self {
        self.with(|options| options.renewal_limits.per_second(renewals))
    }

    /// Allows at most this many concurrent renewals, counted from the lease to the stored tokens. 0 means no limit. One
    /// that has to wait does so before it holds a lease, and one that waits for another worker is not counted.
    #[must_use]
    pub fn at_once(self, renewals: usize) -> Self {
        self.with(|options| options.renewal_limits.at_once(renewals))
    }

    /// Calls `hook` with the new tokens of a grant, before any caller gets them. Its error is handled as that of
    /// [`GrantSource::on_tokens`].
    #[must_use]
    pub fn on_renewed(
        self,
        hook: impl Fn(&GrantId, &Arc<Tokens>) -> Result<(), Error> + Send + Sync + 'static,
    ) -> Self {
        self.with(|options| options.on_renewed = Some(Arc::new(hook)))
    }

    /// Calls `hook` when a grant has ended and its user has to log in again, once in each worker that learns of it. A
    /// grant that is only [suspect](GrantEvent::Suspect) is for an [observer](Self::observe).
    #[must_use]
    pub fn on_ended(self, hook: impl Fn(&GrantId, &Error) + Send + Sync + 'static) -> Self {
        self.with(|options| options.on_ended = Some(Arc::new(hook)))
    }

    /// Calls `hook` when a user's authorization is about to end, with the time at which it ends: only the user can
    /// extend it. Once in each worker that has the grant in memory, [`Policy::notice`] before.
    #[must_use]
    pub fn on_authorization_ends(
        self,
        hook: impl Fn(&GrantId, UnixTime) + Send + Sync + 'static,
    ) -> Self {
        self.with(|options| options.on_authorization_ends = Some(Arc::new(hook)))
    }

    /// Notifies `observer` of the events of all grants.
    #[must_use]
    pub fn observe(self, observer: impl Observe + 'static) -> Self {
        self.with(|options| options.observer = Some(Arc::new(observer)))
    }

    fn with(self, change: impl FnOnce(&mut Options)) -> Self {
        let Inner {
            driver,
            client,
            store,
            options,
            ..
        } = &*self.0;
        let mut options = options.clone();
        change(&mut options);
        Self(Arc::new(Inner {
            driver: Arc::clone(driver),
            client: client.clone(),
            store: Arc::clone(store),
            options,
            cache: Mutex::default(),
            counters: Arc::default(),
        }))
    }

    /// The source of a grant. All callers that get the same grant share one, and with it one renewal.
    ///
    /// Nothing is read or sent here; the first request for its token reads the store.
    pub fn get(&self, id: &GrantId) -> GrantSource {
        let key = self.0.client.keeper(id.clone()).key();
        let (session, evicted) = {
            let mut cache = self.0.cache();
            let session = cache.get(&key).unwrap_or_else(|| {
                let session = self.make(id);
                cache.put(key, session.clone());
                session
            });
            (session, cache.shrink(self.0.options.capacity))
        };
        // Dropped outside the lock, because dropping sources may take a while.
        drop(evicted);
        session
    }

    fn make(&self, id: &GrantId) -> GrantSource {
        let Inner {
            driver,
            client,
            store,
            options,
            counters,
            ..
        } = &*self.0;
        let keeper = client.keeper(id.clone());
        let keeper = keeper.with_policy(options.policy.clone());
        let session = GrantSource::with_store(Arc::clone(driver), keeper, Arc::clone(store));
        let session = session.in_pool(self.logout_of(id), options.renewal_limits.clone());
        let session = session.observe(Observer {
            id: id.clone(),
            on_ended: options.on_ended.clone(),
            on_authorization_ends: options.on_authorization_ends.clone(),
            counters: Arc::clone(counters),
            observer: options.observer.clone(),
        });
        match options.on_renewed.clone() {
            Some(hook) => {
                let id = id.clone();
                session.on_tokens(move |tokens| hook(&id, tokens))
            }
            None => session,
        }
    }

    /// Adopts the tokens of a new login, and stores them over the record.
    ///
    /// Those of a step-up (RFC 9470) replace only those of an earlier one for the same requirement: they are kept
    /// beside the user's ordinary tokens, under [`GrantId::stepped_up`], up to eight for a user. The oldest is then
    /// revoked, as are those that have ended or expired.
    ///
    /// ```
    /// # use oauth_core::{Error, Tokens};
    /// # use oauth_core::flow::keeper::GrantId;
    /// # use oauth_core::token::step_up_requirement::StepUp;
    /// # use oauth_session::Grants;
    /// # async fn keep(grants: &Grants, required: &StepUp, tokens: Tokens) -> Result<(), Error> {
    /// let ann = GrantId::user("ann");
    /// grants.log_in(&ann, tokens).await?;
    /// // The tokens for an API that requires this; its other tokens are those of `grants.get(&ann)`.
    /// let source = grants.get(&ann.stepped_up(required));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of [`GrantSource::log_in`]; for the tokens of a step-up also `grant.no_refresh_token`, if the user
    /// has logged out meanwhile, which revokes them, and that of the revocation of a step-up that gave way: the login
    /// is stored, and the other's record removed, anyway.
    pub async fn log_in(&self, id: &GrantId, tokens: Tokens) -> Result<(), Error> {
        let id = step_ups::id_of(id, &tokens);
        match &id.step_up {
            Some(step_up) => self.log_in_beside(&id, step_up, tokens).await,
            None => self.get(&id).log_in(tokens).await,
        }
    }

    /// Lists the grants of this client in the store, page by page, in no order: the first page without a
    /// cursor, each later one with the [`GrantPage::next`] of the one before.
    ///
    /// # Errors
    /// `misuse.not_supported` for a store that cannot list; `lost` at endpoint `store`.
    pub async fn list(&self, cursor: Option<&str>) -> Result<GrantPage, Error> {
        let page = self.0.store.scan(cursor).await?;
        let mut listed = GrantPage {
            next: page.next,
            ..GrantPage::default()
        };
        for key in page.keys.into_iter().filter(|key| store::is_grant(key)) {
            match self.summary(&key).await {
                Ok(Some(summary)) => listed.grants.push(summary),
                Ok(None) => {}
                Err(error) if matches!(error.kind(), Kind::Lost(_)) => return Err(error),
                Err(error) => listed.unreadable.push((key, error)),
            }
        }
        Ok(listed)
    }

    /// The summary of a record, if it belongs to this client.
    async fn summary(&self, key: &str) -> Result<Option<GrantSummary>, Error> {
        let entry = self.0.store.load(key).await?;
        let Some(entry) = entry.filter(|entry| !entry.is_removed()) else {
            return Ok(None);
        };
        let summary = GrantSummary::read(&entry.record)?;
        let client = &self.0.client;
        let matches_client = summary.issuer == client.server().issuer().as_str()
            && summary.client_id == client.client_id().as_str();
        Ok(matches_client.then_some(summary))
    }

    /// Shuts all sources down gracefully, see [`GrantSource::drain`].
    ///
    /// # Errors
    /// `lost.timeout` if that has not been done within `limit`.
    pub async fn drain(&self, limit: Duration) -> Result<(), Error> {
        let sessions = self.0.cache().all();
        drain_each(sessions.into_iter(), limit).await
    }

    /// The number of sources in memory.
    pub fn in_memory(&self) -> usize {
        self.0.cache().len()
    }

    /// The counters of this worker's events.
    pub fn counters(&self) -> &Counters {
        &self.0.counters
    }
}

impl Inner {
    fn cache(&self) -> MutexGuard<'_, SessionCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grants")
            .field("client", &self.0.client)
            .field("in_memory", &self.in_memory())
            .finish_non_exhaustive()
    }
}

/// The observer of one source: calls the hooks with the id of its grant.
struct Observer {
    id: GrantId,
    on_ended: Option<OnEnded>,
    on_authorization_ends: Option<OnAuthorizationEnds>,
    counters: Arc<Counters>,
    observer: Option<Arc<dyn Observe>>,
}

impl Observe for Observer {
    fn observe(&self, key: Option<&str>, event: &GrantEvent<'_>) {
        self.counters.observe(key, event);
        if let (Some(hook), GrantEvent::Ended(error)) = (&self.on_ended, event) {
            hook(&self.id, error);
        }
        if let (Some(hook), GrantEvent::AuthorizationEnds(end)) =
            (&self.on_authorization_ends, event)
        {
            hook(&self.id, *end);
        }
        if let Some(observer) = &self.observer {
            observer.observe(key, event);
        }
    }
}
