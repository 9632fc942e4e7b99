//! Removes grants that another one has replaced, because the API has moved to another server or has another client. Their
//! tokens would stay in the store forever.
//!
//! Their names are stored with the connection before it has tokens, and they are removed once it has: if a process stops
//! in between, the next one to use the connection goes on. Another process that still has such a grant finds it removed,
//! and then reads the connection.

use oauth_core::error::Error;
use oauth_core::flow::resource_connection::Connection;
use oauth_session::connections;

use super::Settings;
use super::connected::Connected;
use super::state::State;

/// The connection that takes the place of `former`, with the grants that it replaces: that of `former`, and those that
/// `former` has replaced itself.
pub(super) async fn note_replaced(
    settings: &Settings,
    connection: Connection,
    former: Option<&Connection>,
) -> Connection {
    let Some(former) = former else {
        return connection;
    };
    let mut grants = former.replaced_grants.clone();
    if former.is_replaced_by(&connection, &settings.request) {
        grants.extend(name_of(settings, former).await);
    }
    if grants.is_empty() {
        return connection;
    }
    match name_of(settings, &connection).await {
        Some(own_key) => connection.replacing(grants, &own_key),
        // Without its name, its tokens cannot be found.
        None => connection,
    }
}

/// Removes the grants that the connection has replaced, now that it has tokens; or its own, if it was itself replaced in
/// the meantime. A grant that cannot be removed now is removed by the next worker that uses the connection.
pub(super) async fn remove(settings: &Settings, state: &State, connected: &Connected) {
    // The tokens are valid, even if the store fails.
    let _ = removed(settings, state, connected).await;
}

async fn removed(settings: &Settings, state: &State, connected: &Connected) -> Result<(), Error> {
    let (store, key) = (&*settings.store, settings.key().await?);
    let stored = connections::load(store, key).await?;
    if stored.version != connected.version {
        // Another process may have gone back to one of them; it removes what it has replaced itself.
        return match stored.connection {
            Some(newest) => step_back(settings, state, connected, &newest).await,
            None => Ok(()),
        };
    }
    if connected.connection.replaced_grants.is_empty() {
        return Ok(());
    }
    let mut connection = connected.connection.clone();
    for grant in std::mem::take(&mut connection.replaced_grants) {
        store.remove(&grant).await?;
    }
    match connections::save(store, key, &connection, connected.version).await? {
        Some(version) => {
            let (client, session) = (connected.client.clone(), connected.session.clone());
            let connected = Connected {
                connection,
                version,
                client,
                session,
            };
            state.publish(settings, connected);
        }
        // It is read by the next caller.
        None => state.clear(),
    }
    Ok(())
}

/// Another process has connected at the same time, and all others use its grant: ours is of no use after this token.
async fn step_back(
    settings: &Settings,
    state: &State,
    connected: &Connected,
    newest: &Connection,
) -> Result<(), Error> {
    let (ours, theirs) = (connected.session.key(), name_of(settings, newest).await);
    let is_replaced_by_newest = connected
        .connection
        .is_replaced_by(newest, &settings.request);
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if is_replaced_by_newest && ours != theirs => {
            settings.store.remove(ours).await?;
            state.clear();
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The name of the connection's grant in the store.
async fn name_of(settings: &Settings, connection: &Connection) -> Option<String> {
    let connected = Connected::new(settings, connection.clone(), 0).await.ok()?;
    connected.session.key().map(str::to_owned)
}
