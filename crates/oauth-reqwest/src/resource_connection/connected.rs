//! An API whose authorization server and client are known, and how tokens for it are obtained.

use std::sync::Arc;

use oauth_core::dpop::DpopKey;
use oauth_core::error::Error;
use oauth_core::flow::identity_assertion::IdentityAssertion;
use oauth_core::flow::keeper::GrantId;
use oauth_core::flow::resource_connection::{Connection, GrantChoice, Recovery};
use oauth_core::grant::TokenRequest;
use oauth_core::token::step_up_requirement::StepUp;
use oauth_core::{Client, Scope, Tokens};
use oauth_session::{GrantSource, Token, dpop_key};

use super::Settings;
use super::identity;
use super::sign_in::{self, LoginReason};
use crate::loopback::Listener;

/// An API whose server and client are known.
pub(super) struct Connected {
    pub(super) connection: Connection,
    pub(super) version: u64,
    pub(super) client: Client,
    pub(super) session: GrantSource,
}

/// Why there are no tokens.
pub(super) enum Failure {
    /// Another registration would help.
    OfClient(Error),
    Other(Error),
}

impl Failure {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::OfClient(error) | Self::Other(error) => error,
        }
    }
}

impl Connected {
    pub(super) async fn new(
        settings: &Settings,
        connection: Connection,
        version: u64,
    ) -> Result<Self, Error> {
        let auth = (settings.auth)(&connection.server)?;
        let mut client = settings.request.bound(connection.client(auth)?);
        if let Some(key) = key_of(settings, &connection).await? {
            client = client.with_dpop(key);
        }
        // A wider scope belongs to the same grant.
        let token_request = connection.token_request()?;
        let grant = match connection.grant {
            GrantChoice::ClientCredentials => GrantId::client().requesting(token_request),
            _ => {
                let resource = TokenRequest::default();
                let resource = resource.resource(connection.requested_resource())?;
                GrantId::user(settings.subject.as_str()).requesting(resource)
            }
        };
        let store = Arc::clone(&settings.store);
        let session = GrantSource::for_grant(settings.driver.clone(), &client, grant, store);
        Ok(Self {
            connection,
            version,
            client,
            session,
        })
    }

    /// Whether the client is registered, but not for what is requested.
    pub(super) fn lacks(&self, required: &StepUp) -> bool {
        let registration = self.connection.registration.as_ref();
        let registered = registration.and_then(|client| client.metadata.scope.as_ref());
        match (registered, &required.scope) {
            (Some(registered), Some(wanted)) => !registered.covers(wanted),
            _ => false,
        }
    }

    /// The connection whose next login requests at once all that was granted.
    pub(super) fn granted(&self, tokens: &Tokens) -> Connection {
        let mut connection = self.connection.clone();
        connection.scope = Some(tokens.scope.clone());
        connection
    }

    pub(super) async fn tokens(&self, refused: Option<&Tokens>) -> Result<Token, Error> {
        match refused {
            None => self.session.token().await,
            Some(refused) => self.session.renew(refused).await,
        }
    }

    /// Returns tokens; the user signs in if necessary.
    pub(super) async fn obtain(
        &self,
        settings: &Settings,
        refused: Option<&Tokens>,
        listener: Option<Listener>,
    ) -> Result<Token, Failure> {
        match self.obtain_without_browser(settings, refused).await? {
            Some(token) => Ok(token),
            None => self.obtain_with_browser(settings, listener).await,
        }
    }

    /// Obtains tokens without a browser; `None` if one is needed.
    pub(super) async fn obtain_without_browser(
        &self,
        settings: &Settings,
        refused: Option<&Tokens>,
    ) -> Result<Option<Token>, Failure> {
        let error = match self.tokens(refused).await {
            Ok(token) => return Ok(Some(token)),
            Err(error) => error,
        };
        if self.connection.recovery(&error) != Some(Recovery::Authorize) {
            return Err(self.failure(error));
        }
        if let Some(provider) = identity::provider(settings).map_err(Failure::Other)? {
            let (driver, nothing) = (&settings.driver, Scope::none());
            let assertion = provider.assertion(driver, &self.connection, &nothing).await;
            // An error of the identity provider says nothing about the client at the API's server.
            let assertion = assertion.map_err(Failure::Other)?;
            let result = self.redeem(settings, assertion).await;
            return result.map(Some).map_err(|error| self.failure(error));
        }
        let result = self.enter_code(settings, LoginReason::None).await;
        result.map_err(|error| self.failure(error))
    }

    /// Signs the user in with the browser; returns the tokens.
    pub(super) async fn obtain_with_browser(
        &self,
        settings: &Settings,
        listener: Option<Listener>,
    ) -> Result<Token, Failure> {
        let listener = match listener {
            Some(listener) => listener,
            None => match sign_in::registered_listener(settings, &self.connection).await {
                Ok(listener) => listener,
                // Another program has its port. A client that registers itself can use another.
                Err(error) if self.connection.registration.is_some() => {
                    return Err(Failure::OfClient(error));
                }
                Err(error) => return Err(Failure::Other(error)),
            },
        };
        let signed_in = self.sign_in(settings, listener, LoginReason::None).await;
        signed_in.map_err(|error| self.failure(error))
    }

    fn failure(&self, error: Error) -> Failure {
        match self.connection.recovery(&error) {
            Some(Recovery::Register) => Failure::OfClient(error),
            _ => Failure::Other(error),
        }
    }

    /// Tokens with a wider authorization of the user.
    pub(super) async fn widen(
        &self,
        settings: &Settings,
        listener: Option<Listener>,
        short: &Tokens,
        required: &StepUp,
    ) -> Result<Token, Error> {
        if let Some(provider) = identity::provider(settings)? {
            let scope = required.scope.clone().unwrap_or_default();
            let assertion = provider.assertion(&settings.driver, &self.connection, &scope);
            return self.redeem(settings, assertion.await?).await;
        }
        let reason = LoginReason::Short(short, required);
        if let Some(token) = self.enter_code(settings, reason).await? {
            return Ok(token);
        }
        let listener = match listener {
            Some(listener) => listener,
            None => sign_in::registered_listener(settings, &self.connection).await?,
        };
        self.sign_in(settings, listener, reason).await
    }

    async fn sign_in(
        &self,
        settings: &Settings,
        listener: Listener,
        occasion: LoginReason<'_>,
    ) -> Result<Token, Error> {
        let (connection, client) = (&self.connection, &self.client);
        let tokens = sign_in::sign_in(settings, listener, connection, client, occasion).await?;
        self.log_in(tokens).await
    }

    async fn enter_code(
        &self,
        settings: &Settings,
        occasion: LoginReason<'_>,
    ) -> Result<Option<Token>, Error> {
        let (connection, client) = (&self.connection, &self.client);
        match sign_in::with_code(settings, connection, client, occasion).await? {
            Some(tokens) => self.log_in(tokens).await.map(Some),
            None => Ok(None),
        }
    }

    async fn redeem(
        &self,
        settings: &Settings,
        assertion: IdentityAssertion,
    ) -> Result<Token, Error> {
        // The assertion contains what was granted, which is not sent again.
        let redeemed = self
            .client
            .redeem_identity_assertion(assertion, TokenRequest::new());
        self.log_in(settings.driver.run(redeemed).await?).await
    }

    async fn log_in(&self, tokens: Tokens) -> Result<Token, Error> {
        self.session.log_in(tokens).await?;
        self.session.token().await
    }
}

/// The key that the tokens are bound to: the caller's, or else, if the API requires one, that of this connection, which
/// is kept beside it in the store.
async fn key_of(settings: &Settings, connection: &Connection) -> Result<Option<DpopKey>, Error> {
    if let Some(key) = settings.request.dpop_key() {
        connection.check_dpop_key(key)?;
        return Ok(Some(key.clone()));
    }
    match connection.dpop_alg()? {
        Some(alg) => {
            let name = settings.key().await?;
            dpop_key::open(&*settings.store, name, alg).await.map(Some)
        }
        None => Ok(None),
    }
}
