//! [`HeldTokens`]: the refresh token of a grant, used outside its renewals, such as for an identity assertion. Meanwhile no
//! worker renews the grant: a server that rotates refresh tokens revokes the grant if one is used twice.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use oauth_core::Tokens;
use oauth_core::error::{Cause, Error};
use oauth_core::flow::keeper::{Lease, LeaseExtension};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

use crate::runtime;
use crate::store::Store;

/// The pause between two attempts to take a lease.
const LEASE_RETRY_PAUSE: Duration = Duration::from_millis(250);

/// The timeout of a store operation: about as long as a lease. The stores of this crate time out sooner.
pub(crate) const STORE_TIMEOUT: Duration = Duration::from_secs(10);

/// The latest tokens of a grant, which no worker renews until this is dropped or expires.
#[must_use]
pub struct HeldTokens {
    tokens: Arc<Tokens>,
    /// Dropped with it: the lease, or the lock of a grant without a store.
    _until_dropped: Box<dyn Send + Sync>,
}

/// A lease, which is extended until this is dropped, and then released.
pub(crate) struct HeldLease {
    /// Dropped with it.
    _until_dropped: oneshot::Sender<()>,
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

impl HeldTokens {
    /// A hold on these tokens, for a source of your own: `release` is called when nothing uses them any more.
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
    /// Acquires a lease, for which it waits if another holder has it, and extends it for at most `limit`. `None` if the
    /// other holder still has it after `wait`. `lost` is called if another holder has it before the limit.
    ///
    /// All of it is done by one task, so that no extension overtakes the release.
    pub(crate) async fn take(
        store: &Arc<dyn Store>,
        key: &str,
        lease: LeaseExtension,
        (wait, limit): (Duration, Duration),
        lost: impl FnOnce() + Send + 'static,
    ) -> Result<Option<Self>, Error> {
        let (until_dropped, mut dropped) = oneshot::channel();
        let (result_sender, taken) = oneshot::channel();
        let (store, key) = (Arc::clone(store), key.to_owned());
        runtime::current()?.spawn(async move {
            let outcome = acquire(&*store, &key, &lease, wait, &mut dropped).await;
            let is_held_elsewhere = matches!(outcome, Ok(false));
            let is_taken = matches!(outcome, Ok(true));
            // The caller may have been cancelled.
            let _ = result_sender.send(outcome);
            if is_held_elsewhere {
                return;
            }
            if !is_taken || extend(&*store, &key, &lease, limit, &mut dropped).await {
                // One that could not be released expires.
                let _ = store.lease(&key, &lease.holder, Duration::ZERO).await;
            } else {
                lost();
            }
        });
        let stopped = |_| {
            Err(Error::lost(Cause::unsent(
                "the task of the lease was stopped",
            )))
        };
        let is_taken = taken.await.unwrap_or_else(stopped)?;
        Ok(is_taken.then_some(Self {
            _until_dropped: until_dropped,
        }))
    }
}

/// Keeps a lock until the value is dropped, or `limit` has passed.
pub(crate) fn lock_for(
    guard: impl Send + 'static,
    limit: Duration,
) -> Result<impl Send + Sync + 'static, Error> {
    let (held, released) = oneshot::channel::<()>();
    runtime::current()?.spawn(async move {
        // Nothing is ever sent: it ends when the other half is dropped.
        let _ = timeout(limit, released).await;
        drop(guard);
    });
    Ok(held)
}

/// Acquires a lease, unless another holder still has it after `wait`, or the caller is cancelled.
async fn acquire(
    store: &dyn Store,
    key: &str,
    lease: &LeaseExtension,
    wait: Duration,
    dropped: &mut oneshot::Receiver<()>,
) -> Result<bool, Error> {
    let started = Instant::now();
    loop {
        let pause = match store.lease(key, &lease.holder, lease.ttl).await? {
            Lease::Won => return Ok(true),
            Lease::Held(remaining) => remaining.min(LEASE_RETRY_PAUSE),
        };
        let is_late = started.elapsed() >= wait;
        if is_late || timeout(pause, &mut *dropped).await.is_ok() {
            return Ok(false);
        }
    }
}

/// Extends a lease until `dropped`, or for `limit`. Returns false once another holder has it.
async fn extend(
    store: &dyn Store,
    key: &str,
    lease: &LeaseExtension,
    limit: Duration,
    dropped: &mut oneshot::Receiver<()>,
) -> bool {
    // Longer than any exchange, and no instant is out of range.
    let end = Instant::now() + limit.min(Duration::from_secs(24 * 60 * 60));
    loop {
        let next = (Instant::now() + lease.every).min(end);
        // Nothing is ever sent: it ends when the other half is dropped.
        if timeout_at(next, &mut *dropped).await.is_ok() || Instant::now() >= end {
            return true;
        }
        if !extend_once(store, key, lease).await {
            return false;
        }
    }
}

/// Extends a lease. Returns false if another holder has it; a store that does not answer may do so the next time.
pub(crate) async fn extend_once(store: &dyn Store, key: &str, lease: &LeaseExtension) -> bool {
    let extension = store.lease(key, &lease.holder, lease.ttl);
    !matches!(
        timeout(STORE_TIMEOUT, extension).await,
        Ok(Ok(Lease::Held(_)))
    )
}

/// The error of a grant that others renew or use all the time.
pub(crate) fn contended() -> Error {
    Error::lost(Cause::unsent("the grant is renewed again and again"))
}

impl fmt::Debug for HeldTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldTokens").finish_non_exhaustive()
    }
}
