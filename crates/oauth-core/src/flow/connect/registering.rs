//! Making the client known to a server that was just met (RFC 7591).

use super::{BoundClient, ClientChoice, Connection};
use crate::client;
use crate::endpoint::registration::Registration;
use crate::exchange::{Boxed, ExchangeExt as _, Ready};
use crate::scope::Scope;

/// The connection, with a client that is registered if it has to be and `registration` says how.
pub(super) fn registered(
    connection: Connection,
    registration: Option<Registration>,
) -> Boxed<Connection> {
    let (ClientChoice::Register(_), Some(mut registration)) = (&connection.client, registration)
    else {
        return Ready::new(connection).boxed();
    };
    if registration.metadata.scope.is_none() {
        registration.metadata.scope = widest(&connection);
    }
    let asked = client::register(connection.server.clone(), registration);
    let known = asked.and_then(move |_, known| {
        let client = ClientChoice::Registered(BoundClient {
            issuer: connection.server.issuer().clone(),
            client_id: known.client_id.clone(),
        });
        Ok(Connection {
            client,
            registration: Some(known),
            ..connection
        })
    });
    known.boxed()
}

/// All that the client may come to ask for: servers refuse scopes that it is not registered for.
fn widest(connection: &Connection) -> Option<Scope> {
    let supported = connection.resource.scopes_supported.as_ref();
    match (connection.scope.as_ref(), supported) {
        (Some(asked), Some(supported)) => Some(asked.union(supported)),
        (asked, supported) => asked.or(supported).cloned(),
    }
}
