//! Grants that poll for the user's approval on another device.

use oauth_core::error::Error;
use oauth_core::flow::poll::PollTiming;
use oauth_core::grant::Grant;
use oauth_core::moment::UnixTime;

use crate::client::Client;
use crate::erased_exchange::ErasedExchange;
use crate::request::TokenRequest;

/// How long to wait between two polls by default, in seconds (RFC 8628 section 3.5).
const DEFAULT_POLL_SECONDS: u64 = 5;

/// How to wait for the user.
pub(crate) struct PollSchedule(Option<PollTiming>);

impl PollSchedule {
    /// Waits until this time, with this many seconds between two polls.
    pub(crate) fn until(expires_at: UnixTime, interval: Option<u64>) -> Self {
        let interval = interval.unwrap_or(DEFAULT_POLL_SECONDS);
        Self(Some(PollTiming {
            interval,
            expires_at,
        }))
    }

    /// Does not wait: the user has answered.
    pub(crate) const fn without_waiting() -> Self {
        Self(None)
    }

    /// Polls until the user has answered, and signs them in.
    pub(crate) fn sign_in<G: Grant + Clone + Send + 'static>(
        self,
        client: &Client,
        grant: G,
        request: &TokenRequest,
    ) -> Result<ErasedExchange, Error> {
        let login = client.core().sign_in(grant, request.to_core()?, self.0);
        Ok(ErasedExchange::new(login))
    }
}
