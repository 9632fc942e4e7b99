//! Runs a token request: bounds its time, and extends the lease in the meantime.

use std::convert::Infallible;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use oauth_core::Tokens;
use oauth_core::error::{Cause, Error, Loss};
use oauth_core::exchange::Boxed;
use oauth_core::flow::keeper::LeaseExtension;
use tokio::time::{sleep, timeout};

use super::Inner;
use crate::hold::extend_once;
use crate::observe::GrantEvent;

/// The grace period after the driver's own limit. A driver that ends the request itself knows whether anything was
/// sent.
const DRIVER_GRACE: Duration = Duration::from_secs(1);

impl Inner {
    /// Runs the exchange within the driver's limit. In the meantime the lease is extended: it is short, so that a
    /// worker that crashes here does not delay others.
    pub(super) async fn run(&self, exchange: Boxed<Tokens>) -> Result<Tokens, Error> {
        let extension = self.state().keeper.lease_extension();
        let limit = self.driver.longest().saturating_add(DRIVER_GRACE);
        let request = timeout(limit, self.driver.run(exchange));
        let timed_out = |_| {
            let cause = Cause::unknown("the driver took too long").because(Loss::Timeout);
            Err(Error::lost(cause).at_endpoint("token"))
        };
        run_beside(request, self.extend(extension))
            .await
            .unwrap_or_else(timed_out)
    }

    /// Extends the lease. Whether that succeeds does not affect the request: its tokens are saved by
    /// version.
    async fn extend(&self, extension: Option<LeaseExtension>) -> Infallible {
        let (Some(shared), Some(lease)) = (&self.shared, extension) else {
            return pending().await;
        };
        loop {
            sleep(lease.every).await;
            if !extend_once(&*shared.store, &shared.key, &lease).await {
                self.notify(&GrantEvent::LeaseLost);
                return pending().await;
            }
        }
    }
}

/// The outcome of `work`, with `other` running concurrently.
async fn run_beside<T>(
    work: impl Future<Output = T>,
    other: impl Future<Output = Infallible>,
) -> T {
    let (mut work, mut other) = (pin!(work), pin!(other));
    poll_fn(|context| {
        let outcome = work.as_mut().poll(context);
        if outcome.is_pending() {
            match other.as_mut().poll(context) {
                Poll::Ready(never) => match never {},
                Poll::Pending => {}
            }
        }
        outcome
    })
    .await
}
