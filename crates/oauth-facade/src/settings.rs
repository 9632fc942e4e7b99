//! Clients from client files and environment variables, and workload identities, as plain values.

use std::sync::Arc;

use oauth_core::Client;
#[cfg(feature = "held-keys")]
use oauth_core::Secret;
use oauth_core::client_auth::ClientIdParameter;
use oauth_core::crypto::SigningKey;
use oauth_core::error::{Error, Misuse};
#[cfg(feature = "held-keys")]
use oauth_core::exchange::Holder;
use oauth_core::scope::Scope;
use oauth_core::workload::Environment;
use oauth_providers::{ClientSettings, KeyText, Platform, ServerSettings};

use crate::client_auth::Auth;
#[cfg(feature = "held-keys")]
use crate::held_key::HeldKey;
use crate::server::{Server, Transport};

/// A client's settings, from a client file or environment variables.
#[derive(Debug, Clone)]
pub struct Settings(ClientSettings);

/// The server of a client's settings.
#[derive(Debug, Clone)]
pub enum SettingsServer {
    /// The server is known.
    Known(Box<Server>),
    /// The metadata of this issuer has to be fetched.
    Issuer(String),
}

/// The endpoint that identifies the people who sign in at a provider without OpenID Connect.
#[derive(Debug, Clone)]
pub struct SettingsIdentity {
    /// Its URL.
    pub url: String,
    /// The member that is the user's subject.
    pub subject: String,
    /// Claims, each with its member.
    pub claims: Vec<(String, String)>,
    /// The scope to request unless the application says another: names with spaces between.
    pub scope: String,
}

impl Settings {
    /// Reads the text of a client file: Google's, Microsoft Entra's, or a plain one.
    ///
    /// # Errors
    /// The errors of [`ClientSettings::from_json`].
    pub fn from_json(text: &str, environment: Arc<dyn Environment>) -> Result<Self, Error> {
        ClientSettings::from_json(text, &environment).map(Self)
    }

    /// Reads a client file.
    ///
    /// # Errors
    /// The errors of [`ClientSettings::from_file`].
    pub fn from_file(path: &str, environment: Arc<dyn Environment>) -> Result<Self, Error> {
        ClientSettings::from_file(path, &environment).map(Self)
    }

    /// Reads the environment variables of a client.
    ///
    /// # Errors
    /// The errors of [`ClientSettings::from_env`].
    pub fn from_env(environment: Arc<dyn Environment>) -> Result<Self, Error> {
        ClientSettings::from_env(&environment).map(Self)
    }

    /// See [`ClientSettings::missing_from_env`].
    pub fn missing_from_env(environment: &Arc<dyn Environment>) -> Vec<String> {
        ClientSettings::missing_from_env(environment)
    }

    /// The client id.
    pub fn client_id(&self) -> &str {
        self.0.client_id()
    }

    /// The redirect URIs that are registered; empty if none are configured.
    pub fn redirect_uris(&self) -> &[String] {
        self.0.redirect_uris()
    }

    /// The server of the settings.
    ///
    /// # Errors
    /// The errors of [`ClientSettings::server`].
    pub fn server(&self, transport: Transport) -> Result<SettingsServer, Error> {
        Ok(match self.0.server(transport)? {
            ServerSettings::Provider(provider) => {
                SettingsServer::Known(Box::new(Server::from_provider(*provider)?))
            }
            ServerSettings::Known(server) => {
                SettingsServer::Known(Box::new(Server::from_core(*server)))
            }
            ServerSettings::Issuer(issuer) => SettingsServer::Issuer(issuer.as_str().to_owned()),
            _ => return Err(Misuse::Setup.into()),
        })
    }

    /// The endpoint that identifies the people who sign in, for an application that requests this scope; `None` if ID
    /// tokens do.
    ///
    /// # Errors
    /// The errors of [`ClientSettings::identity`]; `scope.*`.
    pub fn identity(&self, scope: &str) -> Result<Option<SettingsIdentity>, Error> {
        let identity_endpoint = self.0.identity(&Scope::parse(scope)?)?;
        Ok(identity_endpoint.map(|(endpoint, scope)| SettingsIdentity {
            url: endpoint.url.as_str().to_owned(),
            subject: endpoint.subject,
            claims: endpoint.claims,
            scope: scope.to_string(),
        }))
    }

    /// The client of these settings at its server, where the host holds the key or the secret that they have. `hold` gives
    /// it a key's text, and `hold_secret` a secret that signs, because the server accepts secrets in no other way.
    ///
    /// # Errors
    /// The errors of [`Client::new`](crate::Client::new), and those of both functions.
    #[cfg(feature = "held-keys")]
    pub fn client_holding(
        &self,
        server: &Server,
        client_id: &str,
        hold: impl Fn(&Secret<String>) -> Result<HeldKey, Error>,
        hold_secret: impl Fn(&Secret<String>) -> Result<Holder, Error>,
    ) -> Result<crate::Client, Error> {
        check(client_id, &self.0)?;
        let held = |server: &oauth_core::server::Server, key: KeyText<'_>| {
            if let Some(alg) = key.alg.filter(|alg| alg.is_symmetric()) {
                return crate::held_key::mac_key(key.text, alg, hold_secret(key.text)?);
            }
            hold(key.text)?.signing_key(server, key.kid, key.alg)
        };
        self.0.client(server.core.clone(), held).map(Into::into)
    }

    /// How the client of these settings authenticates.
    pub fn auth(&self) -> Auth {
        Auth::Settings(Box::new(self.0.clone()))
    }
}

/// Creates the client of settings at its server.
pub(crate) fn client(
    server: &Server,
    client_id: &str,
    settings: &ClientSettings,
) -> Result<Client, Error> {
    check(client_id, settings)?;
    settings.client(server.core.clone(), signing_key)
}

fn check(client_id: &str, settings: &ClientSettings) -> Result<(), Error> {
    if client_id != settings.client_id() {
        let reason = "these settings are of another client";
        return Err(Error::from(Misuse::Setup).about(reason));
    }
    Ok(())
}

#[cfg(feature = "crypto")]
fn signing_key(server: &oauth_core::server::Server, key: KeyText<'_>) -> Result<SigningKey, Error> {
    oauth_crypto::client_signing_key(server, key.text, key.kid, key.alg)
}

/// Keys are not read in this build, because nothing could sign with one.
#[cfg(not(feature = "crypto"))]
fn signing_key(_: &oauth_core::server::Server, _: KeyText<'_>) -> Result<SigningKey, Error> {
    let reason = "no private key signs here: a client secret, or a workload's token";
    Err(Error::from(Misuse::Setup).about(reason))
}

/// The identity of a workload.
#[derive(Debug, Clone, Default)]
pub struct Workload {
    /// The platform's name, such as `github_actions`.
    pub platform: String,
    /// The file of the token, if the operator chooses it.
    pub path: Option<String>,
    /// The variable of the token, if the operator chooses it.
    pub variable: Option<String>,
    /// The audience of the token, if it is not the issuer.
    pub audience: Option<String>,
    /// Whether requests name the client too, if this differs from the platform's documentation.
    pub client_id: Option<ClientIdParameter>,
    /// The audience of the exchange, if the token is exchanged and not used in place of a secret (RFC 8693).
    pub exchange_audience: Option<String>,
}

impl Workload {
    /// How a client authenticates as this workload.
    ///
    /// # Errors
    /// The errors of [`oauth_providers::Workload::assertion`], and `workload.setup` for an unknown platform.
    pub fn auth(self, environment: Arc<dyn Environment>) -> Result<Auth, Error> {
        let mut workload = oauth_providers::Workload::new(Platform::from_name(&self.platform)?);
        if let Some(path) = self.path {
            workload = workload.path(path);
        }
        if let Some(variable) = self.variable {
            workload = workload.variable(variable);
        }
        if let Some(audience) = self.audience {
            workload = workload.audience(audience);
        }
        if let Some(parameter) = self.client_id {
            workload = workload.client_id(parameter);
        }
        match self.exchange_audience {
            Some(audience) => {
                let named = self.client_id.unwrap_or(ClientIdParameter::Sent);
                let subject = workload.subject_token(environment, &audience)?;
                Ok(Auth::Exchange(subject, named))
            }
            None => workload.assertion(environment).map(Auth::Federated),
        }
    }
}
