//! Visits that need a provider whose client is not known yet.

use std::time::Duration;

use oauth_core::Client;
use oauth_core::error::Error;

use crate::connect::{Connections, Said};
use crate::visit::Io;

/// How long a person waits.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often somebody who waits looks.
const LOOK: Duration = Duration::from_millis(50);

impl Connections {
    /// The client, now or never: whoever may do without it does not wait. Somebody has been asked for it then.
    ///
    /// # Errors
    /// What only a host does wrong.
    pub(crate) async fn at_once(&self, io: &Io, id: &str) -> Result<Option<Client>, Error> {
        match self.with(id, |one| one.ask(id, io.now())) {
            Said::Known(client) => Ok(Some(client)),
            Said::Begin(connect) => {
                io.connect(connect).await?;
                Ok(self.known(id))
            }
            Said::Join(_) | Said::Failed(_) => Ok(None),
        }
    }

    /// The client, as soon as it is known.
    ///
    /// # Errors
    /// What the host failed with, now or a while ago; `lost.timeout` for a flight that takes too long.
    pub(crate) async fn wait(&self, io: &Io, id: &str) -> Result<Client, Error> {
        let flight = match self.with(id, |one| one.ask(id, io.now())) {
            Said::Known(client) => return Ok(client),
            Said::Failed(error) => return Err(error),
            Said::Join(flight) => flight,
            Said::Begin(connect) => {
                let flight = connect.flight;
                io.connect(connect).await?;
                flight
            }
        };
        let mut waited = Duration::ZERO;
        loop {
            if let Some(ended) = self.with(id, |one| one.ended(flight)) {
                return ended;
            }
            if waited >= PATIENCE {
                return Err(self.with(id, |one| one.is_slow(io.now(), flight)));
            }
            io.wait(LOOK).await?;
            waited += LOOK;
        }
    }
}
