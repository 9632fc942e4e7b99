//! Dynamic registration at a server that was just discovered (RFC 7591). The request is in `endpoint/registration.rs`,
//! and its response is checked in `registered_client/response.rs`.

use std::sync::Arc;

use super::{BoundClient, ClientChoice, Connection, LoginMethod};
use crate::call::Call;
use crate::client_config::ClientConfig;
use crate::endpoint::registration::Registration;
use crate::error::Error;
use crate::exchange::{Boxed, ExchangeExt as _, Ready};
use crate::scope::Scope;

/// The connection, with a client that is registered if that is necessary and `registration` says how.
pub(super) fn registered(
    connection: Connection,
    registration: Option<Registration>,
    login: LoginMethod,
) -> Result<Boxed<Connection>, Error> {
    let (ClientChoice::Register(_), Some(mut registration)) = (&connection.client, registration)
    else {
        return Ok(Ready::new(connection).boxed());
    };
    registration.metadata.scope = registered_scope(&connection, registration.metadata.scope);
    if connection.dpop_alg()?.is_some() {
        registration.metadata.dpop_bound_access_tokens = Some(true);
    }
    // Servers refuse metadata with grants that they do not have.
    if login == LoginMethod::Device && connection.server.takes_device_logins() {
        registration.metadata = registration.metadata.device_logins();
    }
    let config = ClientConfig::anonymous(connection.server.clone());
    let call = Call::new(Arc::new(config), registration);
    let registered = call.and_then(move |_, registered_client| {
        let client = ClientChoice::Registered(BoundClient {
            issuer: connection.server.issuer().clone(),
            client_id: registered_client.client_id.clone(),
        });
        Ok(Connection {
            client,
            registration: Some(registered_client),
            ..connection
        })
    });
    Ok(registered.boxed())
}

/// The scope that will be requested, because servers refuse scopes for which a client is not registered; and the scope
/// in the metadata, or else all that the API lists, because more may be requested later.
fn registered_scope(connection: &Connection, named: Option<Scope>) -> Option<Scope> {
    let later_scope = named.or_else(|| connection.resource.scopes_supported.clone());
    match (&connection.scope, later_scope) {
        (Some(requested), Some(later_scope)) => Some(requested.union(&later_scope)),
        (requested, later_scope) => requested.clone().or(later_scope),
    }
}
