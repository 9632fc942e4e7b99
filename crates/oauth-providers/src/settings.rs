//! [`ClientSettings`]: a client's server, id and credentials, from a client file or environment variables.

mod discovered_client;
mod environment;
mod external_account;
mod file;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use oauth_core::client_auth::{ClientAssertion, Credentials, FederatedAssertion};
use oauth_core::crypto::SigningKey;
use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::issuer::Issuer;
use oauth_core::jose::Alg;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::Server;
use oauth_core::url::Transport;
use oauth_core::workload::{Environment, SubjectToken};
use oauth_core::{Client, ClientAuth, ClientId, Scope, Secret, danger};

use crate::{Choices, IdentityEndpoint, Provider, ServiceAccount, Workload};

use external_account::ExternalAccount;

/// The settings of a client, read from a standard client file or from the environment. With the server that they name
/// they create a [`Client`].
///
/// | kind of file | recognised by |
/// |---|---|
/// | Google's `client_secret.json` | `installed` or `web` |
/// | Google's service account | `"type": "service_account"` |
/// | Google's workload identity federation (AIP-4117) | `"type": "external_account"` |
/// | Microsoft Entra | `clientId` and `tenantId`, `appId` and `tenant`, or `AzureAd` with `ClientId` and `TenantId` |
/// | a plain one | `client_id`, and `issuer` or `provider` |
///
/// The members of a plain one are those of [`Self::from_json`].
#[derive(Debug, Clone)]
pub struct ClientSettings {
    server: ServerSource,
    client_id: String,
    credential: Credential,
    redirect_uris: Vec<String>,
}

/// The server of the client.
#[derive(Debug, Clone)]
enum ServerSource {
    Provider(Box<Provider>),
    Issuer(String),
    /// Google's token exchange.
    Sts(String),
}

/// The credential with which the client authenticates.
#[derive(Debug, Clone)]
enum Credential {
    /// A secret, sent as documented or negotiated; without one, a public client.
    Secret(Option<Secret<String>>),
    Key {
        key: Secret<String>,
        kid: String,
    },
    Workload(FederatedAssertion),
    /// A workload's token, exchanged for the client's own (RFC 8693).
    Exchange(SubjectToken),
    Account(ServiceAccount),
    External(ExternalAccount),
}

/// The server that settings name.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ServerSettings {
    /// A preset, with its variables.
    Provider(Box<Provider>),
    /// A server whose metadata has to be fetched.
    Issuer(Issuer),
    /// A known server.
    Known(Box<Server>),
}

/// A key of the settings, still as text: it is read by code that has the algorithms, such as
/// `oauth_crypto::client_signing_key`.
#[derive(Debug, Clone, Copy)]
pub struct KeyText<'a> {
    /// The private key, in PEM or as a JWK; the client secret itself if `alg` is an HMAC.
    pub text: &'a Secret<String>,
    /// The key's name at the server; empty for none.
    pub kid: &'a str,
    /// The signature algorithm; otherwise one that the key and the server both support.
    pub alg: Option<Alg>,
}

impl ClientSettings {
    /// Reads the text of a client file.
    ///
    /// A plain client file has `client_id`; either `issuer`, or `provider` with its `variables`; at most one of
    /// `client_secret`, `private_key` (PEM, or a JWK as text; `key_id` names it) and `workload`; and `redirect_uris`.
    /// A `workload` has a `platform`, and if necessary `path`, `variable` and `audience`; with an `exchange_audience`
    /// its token is exchanged for the client's own (RFC 8693), and not used in place of a secret.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use oauth_core::{Secret, error::Cause, workload::Environment};
    /// # struct Pod;
    /// # impl Environment for Pod {
    /// #     fn variable(&self, _: &str) -> Option<Secret<String>> { None }
    /// #     fn file(&self, _: &str) -> Result<Secret<String>, Cause> { Err(Cause::unsent("none")) }
    /// # }
    /// # fn main() -> Result<(), oauth_core::Error> {
    /// # let environment: Arc<dyn Environment> = Arc::new(Pod);
    /// let settings = oauth_providers::ClientSettings::from_json(
    ///     r#"{
    ///         "issuer": "https://as.example",
    ///         "client_id": "reporter",
    ///         "workload": { "platform": "kubernetes", "path": "/var/run/secrets/tokens/idp" }
    ///     }"#,
    ///     &environment,
    /// )?;
    /// assert_eq!(settings.client_id(), "reporter");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `client_file.malformed`, which names the member that is missing, wrong or unknown; `client_file.unsupported`;
    /// `provider.*`, `workload.setup`, `environment.missing`.
    pub fn from_json(text: &str, environment: &Arc<dyn Environment>) -> Result<Self, Error> {
        file::read(text, environment)
    }

    /// Reads a client file.
    ///
    /// # Errors
    /// `client_file.unreadable` for one that cannot be read, and those of [`Self::from_json`].
    pub fn from_file(path: &str, environment: &Arc<dyn Environment>) -> Result<Self, Error> {
        let text = environment
            .file(path)
            .map_err(|reason| unreadable(path, reason))?;
        Self::from_json(text.expose(), environment)
    }

    /// Reads the environment variables of a client. An empty one counts as not set.
    ///
    /// | variable | |
    /// |---|---|
    /// | `OAUTH_CLIENT_FILE` | the path of a client file; then no other |
    /// | `OAUTH_ISSUER` | the server, or: |
    /// | `OAUTH_PROVIDER` | the name of a preset, whose variables are `OAUTH_PROVIDER_TENANT` and the like |
    /// | `OAUTH_CLIENT_ID` | |
    /// | `OAUTH_REDIRECT_URIS` | those registered, with spaces between them |
    ///
    /// At most one of these:
    ///
    /// | variable | |
    /// |---|---|
    /// | `OAUTH_CLIENT_SECRET` | |
    /// | `OAUTH_CLIENT_SECRET_FILE` | the path of a file that holds it |
    /// | `OAUTH_CLIENT_KEY_FILE` | the path of a private key, in PEM or as a JWK; `OAUTH_CLIENT_KEY_ID` names it |
    /// | `OAUTH_ASSERTION_FILE` | the path of a workload's token, for `OAUTH_ASSERTION_AUDIENCE` or the issuer |
    /// | `OAUTH_WORKLOAD` | the name of a [`Platform`](crate::Platform), with `OAUTH_WORKLOAD_FILE` or `OAUTH_WORKLOAD_VARIABLE` where it needs one, and `OAUTH_ASSERTION_AUDIENCE`; with `OAUTH_EXCHANGE_AUDIENCE` its token is exchanged for the client's own (RFC 8693) |
    ///
    /// With `OAUTH_WORKLOAD=azure` the client id and the tenant are those of `AZURE_CLIENT_ID` and `AZURE_TENANT_ID`
    /// if no others are given, and the server is `microsoft-entra`.
    ///
    /// # Errors
    /// `environment.missing` and `environment.conflict`, which name the variables and never their values;
    /// `client_file.unreadable` for a file that cannot be read; `provider.*`, `workload.setup`, and those of
    /// [`Self::from_json`].
    pub fn from_env(environment: &Arc<dyn Environment>) -> Result<Self, Error> {
        environment::read(environment)
    }

    /// The variables that [`Self::from_env`] needs of every client, and that are not set; none if there is a client
    /// file. A caller that needs more variables can report all missing ones at once.
    pub fn missing_from_env(environment: &Arc<dyn Environment>) -> Vec<String> {
        environment::missing_variables(environment)
    }

    /// The client id; for a service account its `client_email`, for an external account its audience.
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The registered redirect URIs; empty if none are configured.
    pub fn redirect_uris(&self) -> &[String] {
        &self.redirect_uris
    }

    /// The server of the settings.
    ///
    /// # Errors
    /// `issuer.*`, `metadata.endpoint_*`; `client_file.malformed` for a `token_url` that is not Google's.
    pub fn server(&self, transport: Transport) -> Result<ServerSettings, Error> {
        Ok(match &self.server {
            ServerSource::Provider(provider) => ServerSettings::Provider(provider.clone()),
            ServerSource::Issuer(issuer) => ServerSettings::Issuer(match transport {
                Transport::Https => Issuer::parse(issuer)?,
                Transport::LoopbackHttp => danger::loopback_issuer(issuer)?,
            }),
            ServerSource::Sts(token_url) => {
                let server = external_account::server(token_url, transport)?;
                ServerSettings::Known(Box::new(server))
            }
        })
    }

    /// The endpoint that identifies the users who sign in, with the default scope: for a provider without OpenID
    /// Connect. `None` if ID tokens identify them, as at every server that is named by its issuer, and for an unknown
    /// provider if `scope`, which the application requests, contains `openid`.
    ///
    /// # Errors
    /// `web.setup` for a provider that neither supports OpenID Connect nor documents such an endpoint; `provider.*`.
    pub fn identity(&self, scope: &Scope) -> Result<Option<(IdentityEndpoint, Scope)>, Error> {
        let ServerSource::Provider(provider) = &self.server else {
            return Ok(None);
        };
        match provider.identity()? {
            Some(identity) => Ok(Some((identity, provider.default_scope()))),
            None if provider.is_openid() || scope.contains("openid") => Ok(None),
            None => {
                let name = provider.name();
                let reason = format!(
                    "providers: {name} has no OpenID Connect, and its preset no identity endpoint: \
                     set one, or the scope openid"
                );
                Err(Error::from(Misuse::WebSetup).about(&reason))
            }
        }
    }

    /// The client of this server, which must be that of [`Self::server`]. `read_key` reads a key that signs for
    /// it, as `oauth_crypto::client_signing_key` does: a private key, or a secret that the server accepts in no other way.
    ///
    /// # Errors
    /// `client_auth.*`, `redirect_uri.refused`, `provider.data`, and those of `read_key`.
    pub fn client(
        &self,
        server: Server,
        read_key: impl Fn(&Server, KeyText<'_>) -> Result<SigningKey, Error>,
    ) -> Result<Client, Error> {
        let id = ClientId::new(self.client_id.as_str());
        let auth = match &self.credential {
            Credential::Secret(secret) => self.by_secret(&server, secret.as_ref(), read_key)?,
            Credential::Key { key: text, kid } => {
                let alg = None;
                let key = read_key(&server, KeyText { text, kid, alg })?;
                ClientAuth::assertion(ClientAssertion::new(key))
            }
            Credential::Workload(assertion) => ClientAuth::federated(assertion.clone()),
            Credential::Exchange(subject) => {
                let client = Client::new(server, id, ClientAuth::none())?;
                return Ok(client.with_subject_token(subject.clone()));
            }
            Credential::Account(account) => {
                let key = KeyText {
                    text: account.private_key(),
                    kid: account.private_key_id(),
                    alg: Some(Alg::Rs256),
                };
                return account.client(read_key(&server, key)?, None);
            }
            Credential::External(account) => return account.client(server, id),
        };
        let client = Client::new(server, id, auth)?;
        let needs_list = match &self.server {
            ServerSource::Provider(provider) => provider.requires_registered_redirect_uris(),
            ServerSource::Issuer(_) | ServerSource::Sts(_) => false,
        };
        if self.redirect_uris.is_empty() && !needs_list {
            return Ok(client);
        }
        let uris = self.redirect_uris.iter().map(|uri| RedirectUri::parse(uri));
        Ok(client.with_redirect_uris(uris.collect::<Result<Vec<_>, _>>()?))
    }

    fn by_secret(
        &self,
        server: &Server,
        secret: Option<&Secret<String>>,
        read_key: impl Fn(&Server, KeyText<'_>) -> Result<SigningKey, Error>,
    ) -> Result<ClientAuth, Error> {
        let secret = match (&self.server, secret) {
            (ServerSource::Provider(provider), secret) => {
                return provider.client_auth(secret.cloned());
            }
            (_, None) => return Ok(ClientAuth::none()),
            (_, Some(secret)) => secret,
        };
        let plain = ClientAuth::negotiate(Credentials::secret(secret.clone()), server);
        let mut methods = server.token_endpoint_auth_methods().into_iter();
        if plain.is_ok() || !methods.any(|method| method == "client_secret_jwt") {
            return plain;
        }
        // The server accepts secrets in no other way.
        let key = KeyText {
            text: secret,
            kid: "",
            alg: Some(ClientAssertion::mac_alg_at(server, secret.expose().len())),
        };
        let key = read_key(server, key)?;
        ClientAssertion::with_shared_secret(secret.clone(), key).map(ClientAuth::assertion)
    }
}

impl Credential {
    /// A workload's token: in place of a secret, or exchanged for tokens for this audience.
    fn for_workload(
        workload: &Workload,
        exchange_audience: Option<&str>,
        environment: &Arc<dyn Environment>,
    ) -> Result<Self, Error> {
        let environment = Arc::clone(environment);
        match exchange_audience {
            Some(audience) => workload
                .subject_token(environment, audience)
                .map(Self::Exchange),
            None => workload.assertion(environment).map(Self::Workload),
        }
    }
}

/// A preset with its variables.
fn preset(name: &str, variables: BTreeMap<String, String>) -> Result<ServerSource, Error> {
    let choices = Choices {
        variables,
        ..Choices::default()
    };
    let provider = crate::provider(name)?.with_choices(&choices)?;
    Ok(ServerSource::Provider(Box::new(provider)))
}

/// `client_file.malformed`, for this member.
fn malformed(member: &str) -> Error {
    Error::from(Misuse::ClientFile).about(member)
}

/// Checks redirect URIs here, where it is known what names them.
///
/// # Errors
/// `redirect_uri.refused`, which names `place`.
fn check_redirect_uris(uris: &[String], place: &str) -> Result<(), Error> {
    let mut uris = uris.iter().map(|uri| RedirectUri::parse(uri));
    match uris.find_map(Result::err) {
        Some(error) => Err(error.about(place)),
        None => Ok(()),
    }
}

/// `client_file.unreadable`.
fn unreadable(path: &str, reason: Cause) -> Error {
    Error::from(Misuse::ClientFileUnreadable)
        .about(path)
        .caused_by(reason)
}

/// `client_file.unsupported`.
fn unsupported(feature: &str) -> Error {
    Error::from(Misuse::ClientFileUnsupported).about(feature)
}
