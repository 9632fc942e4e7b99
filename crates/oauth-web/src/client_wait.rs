//! Waits for the client of a provider, in steps of a visit.

use std::time::Duration;

use oauth_core::Client;
use oauth_core::error::Error;

use crate::client_connections::{ClientLookup, Connections};
use crate::visit::Io;

/// The longest time that a visit waits for a client.
const MAX_CLIENT_WAIT: Duration = Duration::from_secs(10);

/// How often a waiting visit looks whether the client is known.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

impl Connections {
    /// The client if it is known. If not, starts connecting if no attempt is in progress, and does not wait for another
    /// visit's attempt.
    ///
    /// # Errors
    /// The errors of a host that resumes with a wrong event.
    pub(crate) async fn known_or_connect(
        &self,
        io: &Io,
        id: &str,
    ) -> Result<Option<Client>, Error> {
        match self.with(id, |connection| connection.look_up(id, io.now())) {
            ClientLookup::Known(client) => Ok(Some(client)),
            ClientLookup::Begin(connect) => {
                io.connect(connect).await?;
                Ok(self.client(id))
            }
            ClientLookup::Join(_) | ClientLookup::Failed(_) => Ok(None),
        }
    }

    /// The client: waits until it is known.
    ///
    /// # Errors
    /// The error with which the host failed to connect, now or a while ago; `lost.timeout` for an attempt that takes too
    /// long.
    pub(crate) async fn wait(&self, io: &Io, id: &str) -> Result<Client, Error> {
        let attempt = match self.with(id, |connection| connection.look_up(id, io.now())) {
            ClientLookup::Known(client) => return Ok(client),
            ClientLookup::Failed(error) => return Err(error),
            ClientLookup::Join(attempt) => attempt,
            ClientLookup::Begin(connect) => {
                let attempt = connect.attempt;
                io.connect(connect).await?;
                attempt
            }
        };
        let mut waited = Duration::ZERO;
        loop {
            if let Some(ended) = self.with(id, |connection| connection.outcome_of(attempt)) {
                return ended;
            }
            if waited >= MAX_CLIENT_WAIT {
                return Err(self.with(id, |connection| {
                    connection.give_up_waiting(io.now(), attempt)
                }));
            }
            io.wait(POLL_INTERVAL).await?;
            waited += POLL_INTERVAL;
        }
    }
}
