//! The state of a connection, and the single caller that updates it.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use oauth_core::error::{Cause, Error, Kind, Misuse};
use oauth_core::flow::resource_connection::{ConnectRequest, Connection, GrantChoice, Rediscovery};
use oauth_core::moment::UnixTime;
use oauth_core::token::step_up_requirement::StepUp;
use oauth_core::{
    ClientId, RegisteredClient, Scope, Tokens, connect_resource, delete_registration,
    discover_resource,
};
use oauth_session::connections::{self, StoredConnection};
use oauth_session::{Token, dpop_key};
use tokio::sync::Mutex;

use super::Settings;
use super::budgets::Budgets;
use super::connected::{Connected, Failure};
use super::registration_check;
use super::replaced;
use super::sign_in::{self, LoginReason};
use crate::loopback::Listener;

/// After how long a user may be asked for a step-up again, and an API is asked again whether it still requires no
/// authorization.
pub(super) const HOUR: Duration = Duration::from_secs(3600);

/// The number of attempts to save a connection against concurrent saves.
const MAX_SAVE_ATTEMPTS: usize = 16;

#[derive(Default)]
pub(super) struct State {
    connected: RwLock<Option<Arc<Connected>>>,
    /// The time at which the API served a request without a token, and published nothing about authorization.
    open: RwLock<Option<UnixTime>>,
    /// The caller that holds the lock connects, signs in or requests more; all other callers wait for the result.
    flight: Mutex<Budgets>,
}

impl State {
    pub(super) fn connected(&self) -> Option<Arc<Connected>> {
        let connected = self.connected.read();
        connected.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn publish(&self, settings: &Settings, connected: Connected) -> Arc<Connected> {
        settings.proofs.set_client(&connected.client);
        let connected = Arc::new(connected);
        let mut current = self
            .connected
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *current = Some(Arc::clone(&connected));
        connected
    }

    pub(super) fn clear(&self) {
        *self
            .connected
            .write()
            .unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Checks that the API may require authorization.
    ///
    /// # Errors
    /// `connect.not_protected` while the API is known to require no authorization.
    fn check_protected(&self) -> Result<(), Error> {
        let open = *self.open.read().unwrap_or_else(PoisonError::into_inner);
        match open {
            Some(at) if UnixTime::system()?.since(at) < HOUR => Err(Misuse::ConnectOpen.into()),
            _ => Ok(()),
        }
    }

    fn set_open(&self, at: Option<UnixTime>) {
        *self.open.write().unwrap_or_else(PoisonError::into_inner) = at;
    }

    pub(super) fn refused_without_token(&self) {
        self.set_open(None);
    }

    pub(super) fn refuse(&self, refused: &Tokens) {
        if let Some(connected) = self.connected() {
            connected.session.invalidate(refused);
        }
    }
}

/// Fresh tokens, other than the refused ones.
pub(super) async fn tokens(
    settings: &Settings,
    state: &State,
    refused: Option<&Tokens>,
) -> Result<Token, Error> {
    let is_challenged = refused.is_some() && settings.metadata_challenge.is_noted();
    if let Some(connected) = state.connected().filter(|_| !is_challenged) {
        match connected.tokens(refused).await {
            Err(error) if connected.connection.recovery(&error).is_some() => {}
            settled => return settled,
        }
    }
    state.check_protected()?;
    let mut budgets = state.flight.lock().await;
    state.check_protected()?;
    let (connected, listener) = match current_connection(settings, state).await {
        Ok(current) => current,
        Err(error) => {
            if matches!(error.kind(), Kind::Misuse(Misuse::ConnectOpen)) {
                state.set_open(Some(UnixTime::system()?));
            }
            return Err(error);
        }
    };
    let (connected, listener) = match refused {
        Some(_) => look_again(settings, state, &mut budgets, connected, listener).await?,
        None => (connected, listener),
    };
    let (connected, obtained) = match connected.obtain_without_browser(settings, refused).await {
        Ok(None) => registration_check::sign_in(settings, state, connected, listener).await?,
        Ok(Some(token)) => (connected, Ok(token)),
        Err(failure) => (connected, Err(failure)),
    };
    match obtained {
        Ok(token) => {
            replaced::remove(settings, state, &connected).await;
            Ok(token)
        }
        Err(Failure::Other(error)) => Err(error),
        Err(Failure::OfClient(_)) => {
            let earlier = PreviousConnection::without_client(&connected.connection);
            replace_client(settings, state, &connected, earlier, LoginReason::None).await
        }
    }
}

/// The connection of this process or the store; without one, the API is asked.
async fn current_connection(
    settings: &Settings,
    state: &State,
) -> Result<(Arc<Connected>, Option<Listener>), Error> {
    let now = UnixTime::system()?;
    let StoredConnection {
        connection,
        version,
    } = connections::load(&*settings.store, settings.key().await?).await?;
    match (connection, state.connected()) {
        (_, Some(connected)) if connected.version == version => Ok((connected, None)),
        (Some(connection), _) if is_usable(settings, &connection, now) => {
            let connected = Connected::new(settings, connection, version).await?;
            Ok((state.publish(settings, connected), None))
        }
        (stale, _) => {
            let earlier = stale.map_or_else(PreviousConnection::default, |stale| {
                PreviousConnection::from_connection(stale, now)
            });
            connect(settings, &settings.request, state, version, earlier).await
        }
    }
}

/// Reconnects if the API's metadata, whose URL was in the challenge that refused the token, has changed. What cannot be
/// fetched, or is not the API's, changes nothing: the tokens are renewed where they were issued.
async fn look_again(
    settings: &Settings,
    state: &State,
    budgets: &mut Budgets,
    connected: Arc<Connected>,
    listener: Option<Listener>,
) -> Result<(Arc<Connected>, Option<Listener>), Error> {
    let (connection, now) = (&connected.connection, UnixTime::system()?);
    let fields = settings.metadata_challenge.take();
    let fields = fields.filter(|_| budgets.metadata.allows(connection, now));
    let request = fields.map(|fields| {
        let request = settings.request.clone();
        request.challenge(fields.iter().map(Vec::as_slice))
    });
    let Some(Ok(request)) = request else {
        return Ok((connected, listener));
    };
    budgets.metadata.fetching(now);
    let discovery = settings.driver.run(discover_resource(request.metadata()));
    let Ok(metadata) = discovery.await else {
        return Ok((connected, listener));
    };
    let earlier = match connection.rediscovery(&metadata) {
        Rediscovery::Changed => PreviousConnection::from_connection(connection.clone(), now),
        Rediscovery::Moved => PreviousConnection {
            former: Some(connection.clone()),
            ..PreviousConnection::default()
        },
        _ => return Ok((connected, listener)),
    };
    budgets.metadata.note_change(now);
    drop(listener);
    connect(settings, &request, state, connected.version, earlier).await
}

/// Whether a stored connection is recent, and its server is contacted with the caller's settings. Without the latter, a
/// quirk that a first attempt has shown to be needed would have no effect for a day.
fn is_usable(settings: &Settings, connection: &Connection, now: UnixTime) -> bool {
    let request = &settings.request;
    connection.is_fresh(now)
        && connection.server.rules() == request.chosen_rules()
        && connection.resource_value.as_deref() == request.chosen_resource_value()
}

/// The parts kept from an earlier connection.
#[derive(Default)]
struct PreviousConnection {
    client: Option<RegisteredClient>,
    /// The scope that was granted, which the next login must not lose.
    granted: Scope,
    /// The scope for which the client is registered and that has not been granted yet.
    required_scope: Scope,
    /// The connection itself, whose grant may be of no use once there are tokens of another.
    former: Option<Connection>,
}

impl PreviousConnection {
    fn from_connection(connection: Connection, now: UnixTime) -> Self {
        let Self { granted, .. } = Self::without_client(&connection);
        let client = connection.registration.clone();
        Self {
            client: client.filter(|client| !client.is_secret_expired(now)),
            granted,
            former: Some(connection),
            ..Self::default()
        }
    }

    fn without_client(connection: &Connection) -> Self {
        Self {
            granted: connection.scope.clone().unwrap_or_default(),
            ..Self::default()
        }
    }
}

/// A connection that is not stored yet.
struct NewConnection {
    connection: Connection,
    /// The listener at the redirect URI with which the client has just been registered.
    listener: Option<Listener>,
    /// The client that was known before.
    previous_client_id: Option<ClientId>,
}

/// Discovers the API's server, and registers the client if it is not registered yet.
async fn find(
    settings: &Settings,
    request: &ConnectRequest,
    earlier: PreviousConnection,
) -> Result<NewConnection, Error> {
    let registered_for = earlier.granted.union(&earlier.required_scope);
    let mut request = request.clone().with_granted_scope(registered_for);
    let previous_client_id = earlier.client.as_ref().map(|known| known.client_id.clone());
    if let Some(client) = earlier.client {
        request = request.registered(client)?;
    }
    // The API may have moved to another server, at which the client has to register.
    request = request.login_method(sign_in::login_by(settings));
    let mut listener = sign_in::listener(settings).await?;
    if let Some(listener) = &listener {
        request = request.redirect_uri(listener.redirect_uri().clone());
    }
    let mut connection = settings.driver.run(connect_resource(request)).await?;
    let registration = connection.registration.as_ref();
    if previous_client_id.is_some()
        && previous_client_id == registration.map(|client| client.client_id.clone())
    {
        // The client uses the redirect URI with which it is registered.
        listener = None;
    }
    if !earlier.required_scope.is_empty() {
        // A login for less must still work if this is never granted.
        connection.scope = Some(earlier.granted).filter(|scope| !scope.is_empty());
    }
    Ok(NewConnection {
        connection,
        listener,
        previous_client_id,
    })
}

/// Asks the API, and registers the client if it is not registered yet. The result is stored before it is used.
async fn connect(
    settings: &Settings,
    request: &ConnectRequest,
    state: &State,
    version: u64,
    earlier: PreviousConnection,
) -> Result<(Arc<Connected>, Option<Listener>), Error> {
    let mut earlier = earlier;
    let former = earlier.former.take();
    let new_connection = find(settings, request, earlier).await?;
    let connection =
        replaced::note_replaced(settings, new_connection.connection, former.as_ref()).await;
    let key = settings.key().await?;
    let mut expected = version;
    for _ in 0..MAX_SAVE_ATTEMPTS {
        if let Some(version) =
            connections::save(&*settings.store, key, &connection, expected).await?
        {
            let connected = Connected::new(settings, connection, version).await?;
            return Ok((state.publish(settings, connected), new_connection.listener));
        }
        let stored = connections::load(&*settings.store, key).await?;
        if let Some(winner) = stored.connection {
            // Another worker was faster: its client is used by all.
            withdraw(
                settings,
                &connection,
                new_connection.previous_client_id.as_ref(),
            )
            .await;
            let connected = Connected::new(settings, winner, stored.version).await?;
            return Ok((state.publish(settings, connected), None));
        }
        // The connection was forgotten in the meantime: there is no other client to use.
        expected = stored.version;
    }
    Err(contended())
}

/// The error if other workers keep replacing the record.
fn contended() -> Error {
    Error::lost(Cause::unsent("other workers keep saving the connection")).at_endpoint("store")
}

/// Deletes the client that has just been registered, because it will not be used, if the server allows that (RFC 7592
/// section 2.3). If that fails, only an unused record remains at the server.
async fn withdraw(
    settings: &Settings,
    connection: &Connection,
    previous_client_id: Option<&ClientId>,
) {
    let registration = connection.registration.as_ref();
    let registration = registration.filter(|client| previous_client_id != Some(&client.client_id));
    if let Some(client) = registration {
        let deleted = delete_registration(connection.server.clone(), client.clone());
        let _ = settings.driver.run(deleted).await;
    }
}

/// Tokens that meet what the API requires beyond these.
pub(super) async fn step_up(
    settings: &Settings,
    state: &State,
    short: &Tokens,
    required: &StepUp,
) -> Result<Option<Token>, Error> {
    match (settings.request.chosen_grant(), &required.scope) {
        (GrantChoice::AuthorizationCode, _) | (GrantChoice::IdentityAssertion, Some(_)) => {}
        // A client that acts for itself has no user to ask, and an identity provider does not start another login
        // itself.
        _ => return Ok(None),
    }
    let mut budgets = state.flight.lock().await;
    let Some(connected) = state.connected() else {
        return Ok(None);
    };
    // Another caller may have asked in the meantime.
    let newest = connected.tokens(None).await?;
    if !newest.access_token.matches(short.access_token.expose()) {
        return Ok(Some(newest));
    }
    budgets.spend(&connected.connection, required)?;
    let (connected, forgotten) =
        registration_check::check_registration(settings, state, connected).await?;
    if forgotten.is_some() || connected.lacks(required) {
        // The server would refuse this client the scope.
        let mut earlier = PreviousConnection::without_client(&connected.connection);
        earlier.required_scope = required.scope.clone().unwrap_or_default();
        let reason = LoginReason::Short(short, required);
        let token = replace_client(settings, state, &connected, earlier, reason).await?;
        return Ok(Some(token));
    }
    let token = connected.widen(settings, None, short, required).await?;
    let connection = connected.granted(&token);
    let key = settings.key().await?;
    match connections::save(&*settings.store, key, &connection, connected.version).await? {
        Some(version) => {
            let (client, session) = (connected.client.clone(), connected.session.clone());
            state.publish(
                settings,
                Connected {
                    connection,
                    version,
                    client,
                    session,
                },
            );
        }
        // Another worker was faster. Its record is read by the next caller.
        None => state.clear(),
    }
    Ok(Some(token))
}

/// The tokens of another client, in place of one that the server has forgotten, or that is registered for less. It is
/// stored and used by others only once it has tokens: until then the record of the earlier client is kept, in case that
/// this fails.
async fn replace_client(
    settings: &Settings,
    state: &State,
    connected: &Connected,
    earlier: PreviousConnection,
    occasion: LoginReason<'_>,
) -> Result<Token, Error> {
    let new_connection = find(settings, &settings.request, earlier).await?;
    let candidate = new_connection.connection.clone();
    let obtained = async {
        let next = Connected::new(settings, candidate, connected.version).await?;
        let token = match occasion {
            LoginReason::None => {
                let token = next.obtain(settings, None, new_connection.listener).await;
                token.map_err(Failure::into_error)?
            }
            LoginReason::Short(short, required) => {
                next.widen(settings, new_connection.listener, short, required)
                    .await?
            }
        };
        Ok::<_, Error>((next, token))
    };
    let (mut next, token) = match obtained.await {
        Ok(obtained) => obtained,
        Err(error) => {
            withdraw(
                settings,
                &new_connection.connection,
                new_connection.previous_client_id.as_ref(),
            )
            .await;
            return Err(error);
        }
    };
    if let LoginReason::Short(..) = occasion {
        next.connection = next.granted(&token);
    }
    let former = Some(&connected.connection);
    next.connection = replaced::note_replaced(settings, next.connection, former).await;
    let key = settings.key().await?;
    for _ in 0..MAX_SAVE_ATTEMPTS {
        let (connection, version) = (&next.connection, next.version);
        if let Some(version) = connections::save(&*settings.store, key, connection, version).await?
        {
            next.version = version;
            let next = state.publish(settings, next);
            replaced::remove(settings, state, &next).await;
            return Ok(token);
        }
        // The user has just signed in to this client, regardless of what others have saved in the meantime.
        let stored = connections::load(&*settings.store, key).await?;
        next.version = stored.version;
        let former = stored.connection.as_ref();
        next.connection = replaced::note_replaced(settings, next.connection, former).await;
    }
    Err(contended())
}

/// Forgets the client and the tokens, here and in the store.
pub(super) async fn forget(settings: &Settings, state: &State) -> Result<(), Error> {
    let _flight = state.flight.lock().await;
    let connected = match state.connected() {
        Some(connected) => Some(connected),
        None => {
            let stored = connections::load(&*settings.store, settings.key().await?).await?;
            match stored.connection {
                Some(connection) => {
                    let connected = Connected::new(settings, connection, stored.version).await?;
                    Some(Arc::new(connected))
                }
                None => None,
            }
        }
    };
    if let Some(current) = &connected {
        let replaced = current
            .connection
            .replaced_grants
            .iter()
            .map(String::as_str);
        for grant in replaced.chain(current.session.key()) {
            settings.store.remove(grant).await?;
        }
    }
    let key = settings.key().await?;
    connections::remove(&*settings.store, key).await?;
    dpop_key::remove(&*settings.store, key).await?;
    state.clear();
    Ok(())
}
