//! The state of a connection, and the single caller that updates it.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use oauth_core::error::Error;
use oauth_core::flow::connect::{Connection, Recovery, StepUpBudget, Way};
use oauth_core::flow::identity_assertion::IdentityAssertion;
use oauth_core::flow::keeper::GrantId;
use oauth_core::grant::TokenRequest;
use oauth_core::moment::UnixTime;
use oauth_core::token::step_up::StepUp;
use oauth_core::{
    Client, ClientId, RegisteredClient, Scope, Tokens, connect_resource, delete_registration,
};
use oauth_session::connections::{self, Kept};
use oauth_session::{Session, Token};
use tokio::sync::Mutex;

use super::Settings;
use super::identity;
use super::sign_in::{self, Occasion};
use crate::loopback::Listener;

/// After how long a person may be asked for more again.
const HOUR: Duration = Duration::from_secs(3600);

#[derive(Default)]
pub(super) struct State {
    connected: RwLock<Option<Arc<Connected>>>,
    /// Whoever holds it connects, signs in or asks for more; all others wait for what comes of it.
    flight: Mutex<Budget>,
}

/// How often the person was asked for more.
#[derive(Default)]
struct Budget(Option<(UnixTime, StepUpBudget)>);

/// An API whose server and client are known.
struct Connected {
    connection: Connection,
    version: u64,
    client: Client,
    session: Session,
}

/// Why there are no tokens.
enum Failure {
    /// Another registration would help.
    OfClient(Error),
    Other(Error),
}

impl State {
    fn connected(&self) -> Option<Arc<Connected>> {
        let connected = self.connected.read();
        connected.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn publish(&self, connected: Connected) -> Arc<Connected> {
        let connected = Arc::new(connected);
        let mut known = self
            .connected
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *known = Some(Arc::clone(&connected));
        connected
    }

    fn clear(&self) {
        *self
            .connected
            .write()
            .unwrap_or_else(PoisonError::into_inner) = None;
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
    if let Some(connected) = state.connected() {
        match connected.tokens(refused).await {
            Err(error) if connected.connection.recovery(&error).is_some() => {}
            settled => return settled,
        }
    }
    let _flight = state.flight.lock().await;
    let (connected, listener) = known(settings, state).await?;
    match connected.obtain(settings, refused, listener).await {
        Ok(token) => Ok(token),
        Err(Failure::Other(error)) => Err(error),
        Err(Failure::OfClient(_)) => {
            let earlier = Earlier::without_client(&connected.connection);
            let (connected, listener) =
                connect(settings, state, connected.version, earlier).await?;
            let token = connected.obtain(settings, None, listener).await;
            token.map_err(|failure| match failure {
                Failure::OfClient(error) | Failure::Other(error) => error,
            })
        }
    }
}

/// What this process, or the store, knows of the API; or else the API is asked.
async fn known(
    settings: &Settings,
    state: &State,
) -> Result<(Arc<Connected>, Option<Listener>), Error> {
    let now = UnixTime::system()?;
    let Kept {
        connection,
        version,
    } = connections::load(&*settings.store, &key(settings)).await?;
    match (connection, state.connected()) {
        (_, Some(connected)) if connected.version == version => Ok((connected, None)),
        (Some(connection), _) if connection.is_fresh(now) => {
            let connected = Connected::new(settings, connection, version)?;
            Ok((state.publish(connected), None))
        }
        (stale, _) => {
            let earlier = stale.map_or_else(Earlier::default, |stale| Earlier::of(stale, now));
            connect(settings, state, version, earlier).await
        }
    }
}

/// What is taken along of an earlier connection.
#[derive(Default)]
struct Earlier {
    client: Option<RegisteredClient>,
    /// What people have granted: the next login must not lose it.
    granted: Scope,
    /// What the client is registered for besides, and nobody has granted yet.
    wanted: Scope,
}

impl Earlier {
    fn of(connection: Connection, now: UnixTime) -> Self {
        let Self { granted, .. } = Self::without_client(&connection);
        let client = connection.registration;
        Self {
            client: client.filter(|client| !client.is_secret_expired(now)),
            granted,
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

/// Asks the API, and registers the client if nobody has; what comes of it is stored before it is used.
async fn connect(
    settings: &Settings,
    state: &State,
    version: u64,
    earlier: Earlier,
) -> Result<(Arc<Connected>, Option<Listener>), Error> {
    let registered_for = earlier.granted.union(&earlier.wanted);
    let mut request = settings.request.clone().granted(registered_for);
    let known = earlier.client.as_ref().map(|known| known.client_id.clone());
    if let Some(client) = earlier.client {
        request = request.registered(client)?;
    }
    // The API may have moved to another server, at which the client has to register.
    request = request.login_by(sign_in::login_by(settings));
    let mut listener = sign_in::listener(settings).await?;
    if let Some(listener) = &listener {
        request = request.redirect_uri(listener.redirect_uri().clone());
    }
    let mut connection = settings.driver.run(connect_resource(request)).await?;
    let registration = connection.registration.as_ref();
    if known.is_some() && known == registration.map(|client| client.client_id.clone()) {
        // It comes back to where it is registered for.
        listener = None;
    }
    if !earlier.wanted.is_empty() {
        // A login for less has to go on, should this never be granted.
        connection.scope = Some(earlier.granted).filter(|scope| !scope.is_empty());
    }
    let key = key(settings);
    match connections::save(&*settings.store, &key, &connection, version).await? {
        Some(version) => {
            let connected = Connected::new(settings, connection, version)?;
            Ok((state.publish(connected), listener))
        }
        // Another worker was faster: its client is used by all.
        None => {
            let theirs = connections::load(&*settings.store, &key).await?;
            withdraw(settings, &connection, known.as_ref()).await;
            let connection = theirs.connection.unwrap_or(connection);
            let connected = Connected::new(settings, connection, theirs.version)?;
            Ok((state.publish(connected), None))
        }
    }
}

/// Deletes the client that was registered just now, for nobody uses it, where the server lets it (RFC 7592 section 2.3).
/// If that fails, nothing is lost but a record of the server's.
async fn withdraw(settings: &Settings, connection: &Connection, known: Option<&ClientId>) {
    let ours = connection.registration.as_ref();
    let ours = ours.filter(|client| known != Some(&client.client_id));
    if let Some(client) = ours {
        let deleted = delete_registration(connection.server.clone(), client.clone());
        let _ = settings.driver.run(deleted).await;
    }
}

/// Tokens that have what the API wants beyond these.
pub(super) async fn step_up(
    settings: &Settings,
    state: &State,
    short: &Tokens,
    wanted: &StepUp,
) -> Result<Option<Token>, Error> {
    match (settings.request.chosen_way(), &wanted.scope) {
        (Way::AuthorizationCode, _) | (Way::IdentityAssertion, Some(_)) => {}
        // A client that acts for itself has nobody to ask, and no identity provider makes another login of its own.
        _ => return Ok(None),
    }
    let mut budget = state.flight.lock().await;
    let Some(connected) = state.connected() else {
        return Ok(None);
    };
    // Another caller may have asked meanwhile.
    let newest = connected.tokens(None).await?;
    if !newest.access_token.matches(short.access_token.expose()) {
        return Ok(Some(newest));
    }
    budget.spend(&connected.connection, wanted)?;
    let (wider, listener) = match connected.lacks(wanted) {
        // The server would refuse this client the scope.
        true => {
            let mut earlier = Earlier::without_client(&connected.connection);
            earlier.wanted = wanted.scope.clone().unwrap_or_default();
            connect(settings, state, connected.version, earlier).await?
        }
        false => (Arc::clone(&connected), None),
    };
    match wider.widen(settings, listener, short, wanted).await {
        Ok(token) => {
            // The next login asks for all of it at once.
            let mut connection = wider.connection.clone();
            connection.scope = Some(token.scope.clone());
            replace(settings, state, &wider, connection, wider.version).await?;
            Ok(Some(token))
        }
        Err(error) => {
            if !Arc::ptr_eq(&wider, &connected) {
                // The client that had tokens still has them.
                let earlier = connected.connection.clone();
                replace(settings, state, &connected, earlier, wider.version).await?;
            }
            Err(error)
        }
    }
}

/// Stores another connection of the same client over this version, unless another worker was faster.
async fn replace(
    settings: &Settings,
    state: &State,
    known: &Connected,
    connection: Connection,
    version: u64,
) -> Result<(), Error> {
    let key = key(settings);
    match connections::save(&*settings.store, &key, &connection, version).await? {
        Some(version) => {
            let (client, session) = (known.client.clone(), known.session.clone());
            state.publish(Connected {
                connection,
                version,
                client,
                session,
            });
        }
        None => state.clear(),
    }
    Ok(())
}

/// Forgets the client and the tokens, here and in the store.
pub(super) async fn forget(settings: &Settings, state: &State) -> Result<(), Error> {
    let _flight = state.flight.lock().await;
    let connected = match state.connected() {
        Some(connected) => Some(connected),
        None => {
            let kept = connections::load(&*settings.store, &key(settings)).await?;
            let connected = kept
                .connection
                .map(|connection| Connected::new(settings, connection, kept.version).map(Arc::new));
            connected.transpose()?
        }
    };
    if let Some(grant) = connected.as_ref().and_then(|known| known.session.key()) {
        settings.store.remove(grant).await?;
    }
    connections::remove(&*settings.store, &key(settings)).await?;
    state.clear();
    Ok(())
}

impl Budget {
    /// # Errors
    /// `step_up.*` if the person was asked for this already, or often enough.
    fn spend(&mut self, connection: &Connection, wanted: &StepUp) -> Result<(), Error> {
        let now = UnixTime::system()?;
        let (_, budget) = match &mut self.0 {
            Some(asked) if now.since(asked.0) < HOUR => asked,
            over => over.insert((
                now,
                StepUpBudget::new(connection.scope.clone().unwrap_or_default()),
            )),
        };
        match &wanted.scope {
            // Whether another login would be the same as the last is known by its tokens.
            None => budget.spend(),
            scope => budget.next(scope.as_ref()).map(drop),
        }
    }
}

impl Connected {
    fn new(settings: &Settings, connection: Connection, version: u64) -> Result<Self, Error> {
        let auth = (settings.auth)(&connection.server)?;
        let client = connection.client(auth)?;
        // Of a wider scope it is the same grant.
        let asked = connection.token_request()?;
        let grant = match connection.way {
            Way::ClientCredentials => GrantId::client().requesting(asked),
            _ => {
                let resource = TokenRequest::default();
                let resource = resource.resource(connection.resource.resource.as_str())?;
                GrantId::person(settings.person.as_str()).requesting(resource)
            }
        };
        let store = Arc::clone(&settings.store);
        let session = Session::of_grant(settings.driver.clone(), &client, grant, store);
        Ok(Self {
            connection,
            version,
            client,
            session,
        })
    }

    /// Whether the client is registered, and not for what is wanted.
    fn lacks(&self, wanted: &StepUp) -> bool {
        let registration = self.connection.registration.as_ref();
        let registered = registration.and_then(|client| client.metadata.scope.as_ref());
        match (registered, &wanted.scope) {
            (Some(registered), Some(wanted)) => !registered.covers(wanted),
            _ => false,
        }
    }

    async fn tokens(&self, refused: Option<&Tokens>) -> Result<Token, Error> {
        match refused {
            None => self.session.token().await,
            Some(refused) => self.session.renew(refused).await,
        }
    }

    /// Tokens, for which the person signs in if need be.
    async fn obtain(
        &self,
        settings: &Settings,
        refused: Option<&Tokens>,
        listener: Option<Listener>,
    ) -> Result<Token, Failure> {
        let error = match self.tokens(refused).await {
            Ok(token) => return Ok(token),
            Err(error) => error,
        };
        if self.connection.recovery(&error) != Some(Recovery::Authorize) {
            return Err(self.failure(error));
        }
        if let Some(provider) = identity::provider(settings).map_err(Failure::Other)? {
            let (driver, nothing) = (&settings.driver, Scope::none());
            let assertion = provider.assertion(driver, &self.connection, &nothing).await;
            // What the identity provider says is nothing about the client of the API's server.
            let assertion = assertion.map_err(Failure::Other)?;
            let vouched = self.redeem(settings, assertion).await;
            return vouched.map_err(|error| self.failure(error));
        }
        match self.enter_code(settings, Occasion::None).await {
            Ok(Some(token)) => return Ok(token),
            Ok(None) => {}
            Err(error) => return Err(self.failure(error)),
        }
        let listener = match listener {
            Some(listener) => listener,
            None => match sign_in::registered_listener(settings, &self.connection).await {
                Ok(listener) => listener,
                // Somebody else has its port. A client that registers itself can have another.
                Err(error) if self.connection.registration.is_some() => {
                    return Err(Failure::OfClient(error));
                }
                Err(error) => return Err(Failure::Other(error)),
            },
        };
        let signed_in = self.sign_in(settings, listener, Occasion::None).await;
        signed_in.map_err(|error| self.failure(error))
    }

    fn failure(&self, error: Error) -> Failure {
        match self.connection.recovery(&error) {
            Some(Recovery::Register) => Failure::OfClient(error),
            _ => Failure::Other(error),
        }
    }

    /// Tokens that have more, of the person.
    async fn widen(
        &self,
        settings: &Settings,
        listener: Option<Listener>,
        short: &Tokens,
        wanted: &StepUp,
    ) -> Result<Token, Error> {
        if let Some(provider) = identity::provider(settings)? {
            let more = wanted.scope.clone().unwrap_or_default();
            let assertion = provider.assertion(&settings.driver, &self.connection, &more);
            return self.redeem(settings, assertion.await?).await;
        }
        let occasion = Occasion::Short(short, wanted);
        if let Some(token) = self.enter_code(settings, occasion).await? {
            return Ok(token);
        }
        let listener = match listener {
            Some(listener) => listener,
            None => sign_in::registered_listener(settings, &self.connection).await?,
        };
        self.sign_in(settings, listener, occasion).await
    }

    async fn sign_in(
        &self,
        settings: &Settings,
        listener: Listener,
        occasion: Occasion<'_>,
    ) -> Result<Token, Error> {
        let (connection, client) = (&self.connection, &self.client);
        let tokens = sign_in::sign_in(settings, listener, connection, client, occasion).await?;
        self.keep(tokens).await
    }

    async fn enter_code(
        &self,
        settings: &Settings,
        occasion: Occasion<'_>,
    ) -> Result<Option<Token>, Error> {
        let (connection, client) = (&self.connection, &self.client);
        match sign_in::with_code(settings, connection, client, occasion).await? {
            Some(tokens) => self.keep(tokens).await.map(Some),
            None => Ok(None),
        }
    }

    async fn redeem(
        &self,
        settings: &Settings,
        assertion: IdentityAssertion,
    ) -> Result<Token, Error> {
        // What was granted stands in the assertion, and is not said again.
        let redeemed = self
            .client
            .redeem_identity_assertion(assertion, TokenRequest::new());
        self.keep(settings.driver.run(redeemed).await?).await
    }

    async fn keep(&self, tokens: Tokens) -> Result<Token, Error> {
        self.session.log_in(tokens).await?;
        self.session.token().await
    }
}

fn key(settings: &Settings) -> String {
    settings.request.key(&settings.person)
}
