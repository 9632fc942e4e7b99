//! Whether the server still knows the client of an earlier registration. A server that has forgotten it says so only on
//! its authorization page, from which the user is not redirected back.

use std::sync::Arc;

use super::Connection;
use crate::call::Call;
use crate::client_config::ClientConfig;
use crate::client_metadata::ClientMetadata;
use crate::endpoint::client_configuration::ReadRegistration;
use crate::error::{Denial, Error, Kind};
use crate::exchange::{Exchange, Input, Step, host_step};
use crate::moment::Moment;
use crate::registered_client::RegisteredClient;

/// What a server reports about a client's registration.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RegistrationCheck {
    /// The server knows the client. Replace the stored registration with this one before the user is sent anywhere: the
    /// registration access token or the secret may have changed.
    Known(Box<RegisteredClient>),
    /// The server no longer knows the client or its registration access token: the client has to be registered again.
    Forgotten(Error),
    /// The server did not say. Continue as if it knew the client.
    Unanswered,
}

impl Connection {
    /// Asks the server whether it still knows the client that was registered earlier, before a user is sent to its
    /// authorization page (RFC 7592 section 2.1); `None` if no registration can be read there. The check never fails: a
    /// registration that cannot be read is [`RegistrationCheck::Unanswered`].
    pub fn check_registration(
        &self,
    ) -> Option<impl Exchange<Output = RegistrationCheck> + Send + use<>> {
        let registration = self.registration.clone()?;
        registration.management().ok()?;
        let config = Arc::new(ClientConfig::anonymous(self.server.clone()));
        let metadata = registration.metadata.clone();
        let read = Call::new(config, ReadRegistration::new(registration));
        Some(Check { read, metadata })
    }
}

struct Check<E> {
    read: E,
    metadata: ClientMetadata,
}

impl<E: Exchange<Output = RegisteredClient>> Exchange for Check<E> {
    type Output = RegistrationCheck;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<RegistrationCheck>, Error> {
        Ok(match self.read.resume(at, input) {
            Ok(Step::Done(mut registration)) => {
                // Some servers omit metadata, whose defaults would change the client.
                registration.metadata.clone_from(&self.metadata);
                Step::Done(RegistrationCheck::Known(Box::new(registration)))
            }
            Ok(step) => host_step(step)?,
            Err(error) if is_forgotten(&error) => Step::Done(RegistrationCheck::Forgotten(error)),
            Err(_) => Step::Done(RegistrationCheck::Unanswered),
        })
    }
}

/// "If the client does not exist on this server, the server MUST respond with HTTP 401 Unauthorized" (RFC 7592 section
/// 2.1); some respond with 404.
fn is_forgotten(error: &Error) -> bool {
    match error.kind() {
        Kind::Denied(denied) => {
            matches!(denied.status(), Some(401 | 404)) || denied.denial() == Denial::InvalidToken
        }
        _ => false,
    }
}
