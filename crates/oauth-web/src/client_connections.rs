//! Providers whose clients are not known at the start, such as those whose metadata has to be fetched: the application
//! starts without them.
//!
//! The first page that needs such a client starts an attempt to connect; other pages that need it in the meantime wait
//! for the same attempt. A failure is remembered for a while, so that no page waits for a provider that is down. There
//! is no clock and no task here: a visit waits in steps (`client_wait.rs`), and the host reports how the attempt ended.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oauth_core::Client;
use oauth_core::error::{Cause, Error, Kind, Loss};
use oauth_core::moment::UnixTime;

/// The pause between a failure and the next attempt, unless the provider names one.
pub(crate) const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// The longest pause that a provider may name itself.
const MAX_RETRY_PAUSE: Duration = Duration::from_secs(60);

/// After this long without a result, a connection attempt counts as abandoned.
const ABANDONED_AFTER: Duration = Duration::from_secs(60);

/// A provider whose client the host makes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connect {
    /// The id of the provider.
    pub provider: String,
    pub(crate) attempt: u64,
}

/// The clients that became known since the start.
#[derive(Default)]
pub(crate) struct Connections(Mutex<BTreeMap<String, Connection>>);

#[derive(Default)]
pub(crate) struct Connection {
    client: Option<Client>,
    attempts: u64,
    attempt: Option<Attempt>,
    failure: Option<FailedAttempt>,
}

struct Attempt {
    number: u64,
    began: UnixTime,
}

struct FailedAttempt {
    attempt: u64,
    at: UnixTime,
    error: Error,
}

/// The result of looking up a client.
pub(crate) enum ClientLookup {
    Known(Client),
    Begin(Connect),
    Join(u64),
    Failed(Error),
}

impl Connections {
    fn state(&self) -> MutexGuard<'_, BTreeMap<String, Connection>> {
        // A panic leaves no entry half changed, so a poisoned lock may be used.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `look` with the state of one provider.
    pub(crate) fn with<R>(&self, provider: &str, look: impl FnOnce(&mut Connection) -> R) -> R {
        look(self.state().entry(provider.to_owned()).or_default())
    }

    /// The client, if it is known.
    pub(crate) fn client(&self, provider: &str) -> Option<Client> {
        self.state().get(provider)?.client.clone()
    }

    /// Records how an attempt ended.
    pub(crate) fn attempt_ended(
        &self,
        now: UnixTime,
        connect: &Connect,
        client: Result<Client, Error>,
    ) {
        self.with(&connect.provider, |connection| {
            connection.attempt_ended(now, connect.attempt, client)
        });
    }

    /// Forgets all attempts in progress.
    pub(crate) fn forget_attempts(&self) {
        for connection in self.state().values_mut() {
            connection.attempt = None;
        }
    }
}

impl Connection {
    /// Returns the client if it is known; otherwise whether to start an attempt, wait for one, or fail.
    pub(crate) fn look_up(&mut self, id: &str, now: UnixTime) -> ClientLookup {
        if let Some(client) = &self.client {
            return ClientLookup::Known(client.clone());
        }
        if let Some(failure) = self
            .failure
            .as_ref()
            .filter(|failure| failure.prevents_attempt(now))
        {
            return ClientLookup::Failed(failure.error.clone());
        }
        // If the clock has been set back, an old attempt does not count as in progress.
        let is_under_way = |attempt: &&Attempt| is_within(now, attempt.began, ABANDONED_AFTER);
        if let Some(attempt) = self.attempt.as_ref().filter(is_under_way) {
            return ClientLookup::Join(attempt.number);
        }
        self.attempts += 1;
        let number = self.attempts;
        self.attempt = Some(Attempt { number, began: now });
        ClientLookup::Begin(Connect {
            provider: id.to_owned(),
            attempt: number,
        })
    }

    /// The outcome of this attempt, or of a later one.
    pub(crate) fn outcome_of(&self, attempt: u64) -> Option<Result<Client, Error>> {
        let client = self.client.clone().map(Ok);
        let failure = self.failure.as_ref();
        let failure = failure.filter(|failure| failure.attempt >= attempt);
        client.or_else(|| failure.map(|failure| Err(failure.error.clone())))
    }

    fn attempt_ended(&mut self, now: UnixTime, number: u64, client: Result<Client, Error>) {
        let is_current = self
            .attempt
            .as_ref()
            .is_some_and(|attempt| attempt.number == number);
        match client {
            // A client is kept even if its attempt counted as abandoned.
            Ok(client) => {
                self.client.get_or_insert(client);
                (self.attempt, self.failure) = (None, None);
            }
            Err(error) if is_current => {
                self.attempt = None;
                self.failure = Some(FailedAttempt {
                    attempt: number,
                    at: now,
                    error,
                });
            }
            Err(_) => {}
        }
    }

    /// Records that a visit has waited for the longest time allowed: until the attempt ends, other visits do not wait.
    pub(crate) fn give_up_waiting(&mut self, now: UnixTime, attempt: u64) -> Error {
        let cause = Cause::unknown("the provider has not answered yet").because(Loss::Timeout);
        let error = Error::lost(cause);
        self.failure = Some(FailedAttempt {
            attempt,
            at: now,
            error: error.clone(),
        });
        error
    }
}

impl FailedAttempt {
    /// Whether the failure still prevents a new attempt. An error of the application does not: it is not an outage of
    /// the provider.
    fn prevents_attempt(&self, now: UnixTime) -> bool {
        let pause = self.error.retry_after().unwrap_or(RETRY_PAUSE);
        let pause = pause.clamp(RETRY_PAUSE, MAX_RETRY_PAUSE);
        !matches!(self.error.kind(), Kind::Misuse(_)) && is_within(now, self.at, pause)
    }
}

/// Whether less than `span` has passed since then; not if the clock has been set back.
fn is_within(now: UnixTime, start: UnixTime, span: Duration) -> bool {
    start <= now && now.since(start) < span
}
