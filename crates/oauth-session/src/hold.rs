//! [`Hold`]: the refresh token of a grant, used outside its renewals, such as for an identity assertion. Meanwhile no
//! worker renews the grant: a server that rotates refresh tokens revokes the grant if one is used twice.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use oauth_core::Tokens;
use oauth_core::error::{Cause, Error};
use oauth_core::flow::keeper::Lease;
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

use crate::runtime;
use crate::store::Store;

/// The pause between two attempts to take a lease.
const PAUSE: Duration = Duration::from_millis(250);

/// The latest tokens of a grant, which no worker renews until this is dropped, or its time is over.
#[must_use]
pub struct Hold {
    tokens: Arc<Tokens>,
    /// Dropped with it: the lease, or the lock of a grant without a store.
    _until_dropped: Box<dyn Send + Sync>,
}

/// A lease, which is released on drop.
pub(crate) struct HeldLease {
    store: Arc<dyn Store>,
    key: String,
    holder: String,
    /// It may be dropped on any thread.
    runtime: Handle,
}

/// Calls a function when it is dropped.
struct Release(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Drop for Release {
    fn drop(&mut self) {
        if let Some(release) = self.0.take() {
            release();
        }
    }
}

impl Hold {
    /// These tokens, for a source of your own, which gets `release` called when nothing uses them any more.
    pub fn new(tokens: Arc<Tokens>, release: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self::until_dropped(tokens, Release(Some(Box::new(release))))
    }

    pub(crate) fn until_dropped(tokens: Arc<Tokens>, held: impl Send + Sync + 'static) -> Self {
        Self {
            tokens,
            _until_dropped: Box::new(held),
        }
    }

    /// The tokens.
    pub const fn tokens(&self) -> &Arc<Tokens> {
        &self.tokens
    }
}

impl HeldLease {
    pub(crate) async fn take(
        store: &Arc<dyn Store>,
        key: &str,
        holder: String,
        ttl: Duration,
    ) -> Result<Self, Error> {
        let lease = Self {
            store: Arc::clone(store),
            key: key.to_owned(),
            holder,
            runtime: runtime::current()?,
        };
        take(&**store, key, &lease.holder, ttl).await?;
        Ok(lease)
    }
}

impl Drop for HeldLease {
    fn drop(&mut self) {
        let (store, key) = (Arc::clone(&self.store), std::mem::take(&mut self.key));
        let holder = std::mem::take(&mut self.holder);
        self.runtime.spawn(async move {
            // One that could not be released expires.
            let _ = store.lease(&key, &holder, Duration::ZERO).await;
        });
    }
}

/// Keeps a lock until the value is dropped, or `limit` is over.
pub(crate) fn lock_for(
    guard: impl Send + 'static,
    limit: Duration,
) -> Result<impl Send + Sync + 'static, Error> {
    let (held, released) = tokio::sync::oneshot::channel::<()>();
    runtime::current()?.spawn(async move {
        // Nothing is ever sent: it ends when the other half is dropped.
        let _ = timeout(limit, released).await;
        drop(guard);
    });
    Ok(held)
}

/// Acquires a lease, after the renewal under way has ended.
pub(crate) async fn take(
    store: &dyn Store,
    key: &str,
    holder: &str,
    ttl: Duration,
) -> Result<(), Error> {
    let started = Instant::now();
    loop {
        let pause = match store.lease(key, holder, ttl).await? {
            Lease::Won => return Ok(()),
            Lease::Held(left) => left.min(PAUSE),
        };
        if started.elapsed() > ttl {
            return Err(contended().at_endpoint("store"));
        }
        sleep(pause).await;
    }
}

/// The error of a grant that others renew or use all the time.
pub(crate) fn contended() -> Error {
    Error::lost(Cause::unsent("the grant is renewed again and again"))
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").finish_non_exhaustive()
    }
}
