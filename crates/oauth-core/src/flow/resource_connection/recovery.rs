//! Recovery of a connection that no longer gets tokens.

use super::{Connection, GrantChoice};
use crate::error::{Advice, Denial, Error, Kind};

/// How to recover a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recovery {
    /// The server has forgotten the client: forget its registration, and connect again, once.
    Register,
    /// The grant has ended: the user signs in again, or the identity provider vouches for the user again.
    Authorize,
}

impl Connection {
    /// The recovery from this error of a token request; `None` if another attempt would fail again.
    ///
    /// A client that was registered by hand, or that publishes a metadata document, is not registered by the
    /// program: for it `denied.invalid_client` must be resolved by hand.
    pub fn recovery(&self, error: &Error) -> Option<Recovery> {
        let denial = match error.kind() {
            Kind::Denied(server) => Some(server.denial()),
            _ => None,
        };
        let is_forgotten = matches!(
            denial,
            Some(Denial::InvalidClient | Denial::UnauthorizedClient)
        );
        if is_forgotten && self.registration.is_some() {
            return Some(Recovery::Register);
        }
        let is_user_grant = self.grant != GrantChoice::ClientCredentials;
        (is_user_grant && error.advice() == Advice::Reauthorize).then_some(Recovery::Authorize)
    }
}
