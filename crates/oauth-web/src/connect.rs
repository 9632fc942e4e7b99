//! Providers whose clients are not known at the start, such as those whose metadata have to be fetched: the application
//! runs without them.
//!
//! The first page that cannot do without one has it asked for, whoever else needs it meanwhile waits for the same flight,
//! and a failure is remembered for a while, so that nobody waits for a provider that is down. There is no clock and no
//! task here: a visit waits in steps, and the host tells how the flight went.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use oauth_core::Client;
use oauth_core::error::{Cause, Error, Kind, Loss};
use oauth_core::moment::UnixTime;

/// For how long after a failure nobody asks again, unless the provider says so itself.
pub(crate) const PAUSE: Duration = Duration::from_secs(5);

/// What a provider that names a pause of its own may keep everybody away for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// A flight that nobody has told the end of for so long has none: its host gave up, or was of another process.
const LOST: Duration = Duration::from_secs(60);

/// A provider whose client the host makes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connect {
    /// The id of the provider.
    pub provider: String,
    pub(crate) flight: u64,
}

/// The clients that became known since the start.
#[derive(Default)]
pub(crate) struct Connections(Mutex<BTreeMap<String, Connection>>);

#[derive(Default)]
pub(crate) struct Connection {
    known: Option<Client>,
    flights: u64,
    flight: Option<Flight>,
    failed: Option<Failed>,
}

struct Flight {
    number: u64,
    began: UnixTime,
}

struct Failed {
    flight: u64,
    at: UnixTime,
    error: Error,
}

pub(crate) enum Said {
    Known(Client),
    Begin(Connect),
    Join(u64),
    Failed(Error),
}

impl Connections {
    fn state(&self) -> MutexGuard<'_, BTreeMap<String, Connection>> {
        // What is changed under it is whole at any time.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn with<R>(&self, provider: &str, look: impl FnOnce(&mut Connection) -> R) -> R {
        look(self.state().entry(provider.to_owned()).or_default())
    }

    /// The client, if it is known.
    pub(crate) fn known(&self, provider: &str) -> Option<Client> {
        self.state().get(provider)?.known.clone()
    }

    /// How a flight ended.
    pub(crate) fn landed(&self, now: UnixTime, of: &Connect, client: Result<Client, Error>) {
        self.with(&of.provider, |one| one.landed(now, of.flight, client));
    }

    /// Nothing that was under way is any more.
    pub(crate) fn abandon(&self) {
        for connection in self.state().values_mut() {
            connection.flight = None;
        }
    }
}

impl Connection {
    pub(crate) fn ask(&mut self, id: &str, now: UnixTime) -> Said {
        if let Some(client) = &self.known {
            return Said::Known(client.clone());
        }
        if let Some(failed) = self.failed.as_ref().filter(|failed| failed.holds(now)) {
            return Said::Failed(failed.error.clone());
        }
        // A clock that was set back makes nobody wait for what is over.
        let is_under_way = |flight: &&Flight| is_within(now, flight.began, LOST);
        if let Some(flight) = self.flight.as_ref().filter(is_under_way) {
            return Said::Join(flight.number);
        }
        self.flights += 1;
        let number = self.flights;
        self.flight = Some(Flight { number, began: now });
        Said::Begin(Connect {
            provider: id.to_owned(),
            flight: number,
        })
    }

    /// How a flight ended, or another after it.
    pub(crate) fn ended(&self, flight: u64) -> Option<Result<Client, Error>> {
        let known = self.known.clone().map(Ok);
        let failed = self.failed.as_ref();
        let failed = failed.filter(|failed| failed.flight >= flight);
        known.or_else(|| failed.map(|failed| Err(failed.error.clone())))
    }

    fn landed(&mut self, now: UnixTime, number: u64, client: Result<Client, Error>) {
        let is_current = self
            .flight
            .as_ref()
            .is_some_and(|flight| flight.number == number);
        match client {
            // Late is better than never.
            Ok(client) => {
                self.known.get_or_insert(client);
                (self.flight, self.failed) = (None, None);
            }
            Err(error) if is_current => {
                self.flight = None;
                self.failed = Some(Failed {
                    flight: number,
                    at: now,
                    error,
                });
            }
            Err(_) => {}
        }
    }

    /// Somebody has waited for as long as anybody should: until the flight ends, the next do not.
    pub(crate) fn is_slow(&mut self, now: UnixTime, flight: u64) -> Error {
        let why = Cause::unknown("the provider has not answered yet").because(Loss::Timeout);
        let error = Error::lost(why);
        self.failed = Some(Failed {
            flight,
            at: now,
            error: error.clone(),
        });
        error
    }
}

impl Failed {
    /// Whether nobody asks again yet. What the application does wrong is no outage of the provider's.
    fn holds(&self, now: UnixTime) -> bool {
        let pause = self.error.retry_after().unwrap_or(PAUSE);
        let pause = pause.clamp(PAUSE, LONGEST_PAUSE);
        !matches!(self.error.kind(), Kind::Misuse(_)) && is_within(now, self.at, pause)
    }
}

/// Whether less than `span` has passed since then; not if the clock was set back.
fn is_within(now: UnixTime, since: UnixTime, span: Duration) -> bool {
    since <= now && now.since(since) < span
}
