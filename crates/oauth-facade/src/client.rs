//! The client for language bindings: takes strings and returns exchanges.

#[cfg(feature = "sha2")]
use oauth_core::Moment;
use oauth_core::client_auth::ClientAuth;
#[cfg(feature = "sha2")]
use oauth_core::crypto::SigningKey;
#[cfg(feature = "sha2")]
use oauth_core::dpop::DpopKey;
use oauth_core::error::{Error, Misuse};
use oauth_core::flow::access_token::AccessTokenVerifier;
use oauth_core::flow::authorization::HostGeneratedValues;
use oauth_core::grant::Grant;
#[cfg(not(all(feature = "js", target_family = "wasm")))]
use oauth_core::grant::IdentitySubject;
use oauth_core::jose::Alg;
#[cfg(feature = "sha2")]
use oauth_core::jose::PublicJwk;
#[cfg(not(all(feature = "js", target_family = "wasm")))]
use oauth_core::moment::UnixTime;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::{ClientId, PendingAuthorization, Secret, SecurityProfile};

use crate::client_auth::Auth;
use crate::erased_exchange::ErasedExchange;
#[cfg(all(feature = "sha2", not(all(feature = "js", target_family = "wasm"))))]
use crate::introspection::IntrospectionOptions;
use crate::op::{Authorize, StartedAuthorization};
use crate::request::TokenRequest;
use crate::server::Server;
use crate::server_json::PresetFacts;

/// A client of one server.
#[derive(Debug, Clone)]
pub struct Client {
    core: oauth_core::Client,
    /// The verifier that introspects access tokens, if signatures are not verified instead.
    asking: Option<Introspector>,
}

#[cfg(not(all(feature = "js", target_family = "wasm")))]
type Introspector = AccessTokenVerifier;
/// A placeholder without a value: a page verifies no access tokens, and its module has no room for unused code.
#[cfg(all(feature = "js", target_family = "wasm"))]
type Introspector = std::convert::Infallible;

impl From<oauth_core::Client> for Client {
    fn from(core: oauth_core::Client) -> Self {
        Self { core, asking: None }
    }
}

impl Client {
    /// Creates a client of `server`.
    ///
    /// # Errors
    /// `client_auth.*`.
    pub fn new(server: &Server, client_id: &str, auth: Auth) -> Result<Self, Error> {
        let id = ClientId::new(client_id);
        let auth = match auth {
            Auth::Documented(secret) => {
                #[cfg(feature = "providers")]
                if let Some(provider) = server.provider() {
                    return provider.client(id, secret).map(Self::from);
                }
                if let Some(facts) = &server.preset_facts {
                    return Self::for_preset(server, facts, id, secret);
                }
                Auth::Documented(secret)
            }
            // A preset says how a secret is sent.
            #[cfg(feature = "held-keys")]
            Auth::DocumentedHolding(secret, _) if server.has_preset() => {
                return Self::new(server, client_id, Auth::Documented(Some(secret)));
            }
            #[cfg(all(feature = "crypto", feature = "providers"))]
            Auth::ServiceAccount(file, subject) => {
                return Self::for_service_account(server, client_id, &file, subject);
            }
            #[cfg(feature = "providers")]
            Auth::Settings(settings) => {
                return crate::settings::client(server, client_id, &settings).map(Self::from);
            }
            #[cfg(feature = "providers")]
            Auth::Exchange(subject, named) => {
                let auth = Auth::Exchange(subject.clone(), named).at(&server.core)?;
                let client = oauth_core::Client::new(server.core.clone(), id, auth)?;
                return Ok(Self::from(client.with_subject_token(subject)));
            }
            chosen => chosen,
        };
        let auth = auth.at(&server.core)?;
        oauth_core::Client::new(server.core.clone(), id, auth).map(Self::from)
    }

    /// Creates the client of a service account: the server must be Google's, and the client id the account's.
    #[cfg(all(feature = "crypto", feature = "providers"))]
    fn for_service_account(
        server: &Server,
        client_id: &str,
        file: &Secret<String>,
        subject: Option<String>,
    ) -> Result<Self, Error> {
        let account = oauth_providers::ServiceAccount::from_json(file.expose())?;
        let alg = Some(oauth_core::jose::Alg::Rs256);
        let key = oauth_crypto::PrivateKey::read_with(account.private_key().expose(), alg)?;
        let client = account.client(key.signing_key(account.private_key_id()), subject)?;
        let is_google = server.core.issuer().as_str() == client.server().issuer().as_str();
        if !is_google || client_id != account.client_email() {
            let reason = "a service account is a client of `google`, by its client_email";
            return Err(Error::from(Misuse::Setup).about(reason));
        }
        Ok(Self::from(client))
    }

    /// Creates a client that is not registered at this server yet, and has no id: it can register one
    /// ([`Register`](crate::Register)), and do nothing that needs an id.
    #[must_use]
    pub fn unregistered(server: &Server) -> Self {
        oauth_core::Client::unregistered(server.core.clone()).into()
    }

    /// Creates a public client of a preset that was read from JSON; the provider file, which says how a secret is sent,
    /// is not available.
    fn for_preset(
        server: &Server,
        facts: &PresetFacts,
        id: ClientId,
        secret: Option<Secret<String>>,
    ) -> Result<Self, Error> {
        if secret.is_some() {
            let unknown = Error::from(Misuse::SecretNotAllowed).about(&facts.title);
            return Err(server.check_secret_in_browser().err().unwrap_or(unknown));
        }
        if !facts.public_clients {
            return Err(Error::from(Misuse::SecretMissing).about(&facts.title));
        }
        let client = oauth_core::Client::new(server.core.clone(), id, ClientAuth::none())?;
        Ok(Self::from(if facts.needs_registered_redirect_uris {
            client.with_redirect_uris([])
        } else {
            client
        }))
    }

    /// Sets the redirect URIs registered for this client.
    ///
    /// # Errors
    /// `redirect_uri.refused`.
    pub fn with_redirect_uris(self, uris: &[String]) -> Result<Self, Error> {
        let uris: Vec<_> = uris
            .iter()
            .map(|uri| RedirectUri::parse(uri))
            .collect::<Result<_, _>>()?;
        Ok(self.core.with_redirect_uris(uris).into())
    }

    /// Accepts only ID tokens of this algorithm: the client's registered `id_token_signed_response_alg`.
    ///
    /// # Errors
    /// `key.algorithm` for an unknown name.
    pub fn with_id_token_signed_response_alg(self, name: &str) -> Result<Self, Error> {
        let alg =
            Alg::from_name(name).ok_or_else(|| Error::from(Misuse::KeyAlgorithm).about(name))?;
        Ok(self.core.with_id_token_algs([alg]).into())
    }

    /// Accepts only responses that are signed and encrypted as the client is registered.
    ///
    /// # Errors
    /// `key.algorithm`, `key.malformed`, `arguments.inconsistent`.
    #[cfg(feature = "crypto")]
    pub fn with_registration(self, registration: &crate::Registration) -> Result<Self, Error> {
        registration.apply(self.core).map(Self::from)
    }

    /// Requests tokens that are bound to this key, and accepts no others (RFC 9449), unless the server is known to bind
    /// none (`unbound_tokens`).
    #[cfg(feature = "crypto")]
    #[must_use]
    pub fn with_dpop_key(self, key: &crate::DpopKey) -> Self {
        key.configure(self.core).into()
    }

    /// Binds tokens to a key held by the host, which makes each signature. `public_jwk` is its public half.
    ///
    /// # Errors
    /// `key.malformed` if it is not a public JWK, `key.algorithm` if the key does not fit the algorithm.
    #[cfg(feature = "sha2")]
    pub fn with_dpop_key_of_host(self, alg: &str, public_jwk: &str) -> Result<Self, Error> {
        let alg =
            Alg::from_name(alg).ok_or_else(|| Error::from(Misuse::KeyAlgorithm).about(alg))?;
        let key = SigningKey::host("dpop", alg);
        let key = DpopKey::new(key, PublicJwk::parse(public_jwk)?)?;
        Ok(self.core.with_dpop(key).into())
    }

    /// Applies the profile of this name: `oauth21`, `strict`, `fapi2_security` or `fapi2_message_signing`.
    ///
    /// # Errors
    /// `argument.invalid` for another name.
    pub fn with_profile(self, name: &str) -> Result<Self, Error> {
        let profile = SecurityProfile::from_name(name).ok_or_else(|| {
            let all: Vec<_> = SecurityProfile::ALL
                .iter()
                .map(|candidate| candidate.as_str())
                .collect();
            let both = format!("no profile {name}; there are {}", all.join(", "));
            Error::from(Misuse::ArgumentInvalid).about(&both)
        })?;
        Ok(self.core.with_profile(profile).into())
    }

    /// Accepts ID tokens that name these audiences besides the client.
    #[must_use]
    pub fn with_trusted_audiences(self, audiences: Vec<String>) -> Self {
        self.core.with_trusted_audiences(audiences).into()
    }

    /// Sends this header with every request.
    ///
    /// # Errors
    /// `http.header_value`.
    pub fn with_header(self, name: &str, value: &str) -> Result<Self, Error> {
        self.core.with_header(name, value).map(Self::from)
    }

    /// The same client, whose tokens, and those of whose user, are got with a sign-in at this identity provider: `read`
    /// returns it as it is then (draft-ietf-oauth-identity-assertion-authz-grant).
    #[cfg(not(all(feature = "js", target_family = "wasm")))]
    #[must_use]
    pub fn with_identity(
        &self,
        identity_provider: &Self,
        read: impl Fn(UnixTime) -> Result<IdentitySubject, Error> + Send + Sync + 'static,
    ) -> Self {
        let client = self.core.clone();
        client.with_identity(&identity_provider.core, read).into()
    }

    /// The same client for Rust code, such as a native driver's token source.
    pub const fn core(&self) -> &oauth_core::Client {
        &self.core
    }

    /// The same client as an API that introspects the tokens presented to it (RFC 7662):
    /// [`VerifyAccessToken`](crate::VerifyAccessToken) then verifies no signatures. All clones made from here on share
    /// the cached responses.
    ///
    /// # Errors
    /// `key.algorithm`, and `arguments.inconsistent` for settings that have no effect.
    #[cfg(all(feature = "sha2", not(all(feature = "js", target_family = "wasm"))))]
    pub fn introspecting(&self, how: IntrospectionOptions) -> Result<Self, Error> {
        let asking = how.apply(self.core.introspecting_verifier(""))?;
        Ok(Self {
            core: self.core.clone(),
            asking: Some(asking),
        })
    }

    /// The verifier of access tokens that are presented to this audience.
    pub(crate) fn access_token_verifier(&self, audience: String) -> AccessTokenVerifier {
        #[cfg(not(all(feature = "js", target_family = "wasm")))]
        if let Some(asking) = &self.asking {
            return asking.clone().with_audience(audience);
        }
        self.core.access_token_verifier(audience)
    }

    /// Whether the client introspects access tokens.
    pub(crate) const fn asks_about_tokens(&self) -> bool {
        self.asking.is_some()
    }

    /// Begins an authorization that requires no request first.
    ///
    /// # Errors
    /// The errors of [`oauth_core::Client::authorize`].
    #[cfg(feature = "sha2")]
    pub fn authorize(
        &self,
        at: &Moment,
        request: &Authorize,
    ) -> Result<StartedAuthorization, Error> {
        let (url, pending) = self.core.authorize(at, request.to_core()?)?;
        Ok(StartedAuthorization {
            url: url.as_str().to_owned(),
            pending,
            expires_in: None,
            request_object: None,
        })
    }

    /// Begins an authorization with values that the host generated and hashed itself.
    ///
    /// # Errors
    /// The errors of [`oauth_core::Client::begin_authorization_with`], from the first step, and those of an invalid request.
    pub fn begin_authorization_with(
        &self,
        drawn: HostGeneratedValues,
        request: &Authorize,
    ) -> Result<ErasedExchange, Error> {
        let begin = self
            .core
            .begin_authorization_with(drawn, request.to_core()?);
        Ok(ErasedExchange::with_record::<_, StartedAuthorization>(
            begin,
        ))
    }

    /// Whether a callback belongs to this flow.
    pub fn recognizes(&self, pending: &PendingAuthorization, callback: &str) -> bool {
        self.core.recognizes(pending, callback)
    }

    /// Checks a callback and redeems its code. `pending` is the text of [`PendingAuthorization::to_json`].
    ///
    /// # Errors
    /// The errors of [`oauth_core::Client::redeem`], and `stored.malformed`.
    pub fn redeem(&self, pending: &str, callback: &str) -> Result<ErasedExchange, Error> {
        self.redeem_pending(PendingAuthorization::from_json(pending)?, callback)
    }

    pub(crate) fn redeem_pending(
        &self,
        pending: PendingAuthorization,
        callback: &str,
    ) -> Result<ErasedExchange, Error> {
        self.core.redeem(pending, callback).map(ErasedExchange::new)
    }

    /// The grant of a refresh token that another program has obtained for this client, which is renewed before its first
    /// use. Only the scope of the request is used: the scope that the token was granted, if known.
    ///
    /// # Errors
    /// `argument.invalid` for an empty token or one with white space around it; those of [`TokenRequest`].
    pub fn tokens_from_refresh_token(
        &self,
        refresh_token: Secret<String>,
        request: &TokenRequest,
    ) -> Result<oauth_core::Tokens, Error> {
        let text = refresh_token.expose();
        if text.is_empty() || text.trim() != text {
            return Err(Error::from(Misuse::ArgumentInvalid).about("refresh_token"));
        }
        let scope = request.to_core()?.scope;
        Ok(self.core.refresh_token(refresh_token, scope).into())
    }

    /// The cached public keys of the server, to store them.
    pub fn export_keys(&self) -> Option<String> {
        self.core.export_keys()
    }

    /// Adds the keys that [`Self::export_keys`] wrote, unless newer ones are cached.
    ///
    /// # Errors
    /// The errors of [`oauth_core::Client::import_keys`].
    pub fn import_keys(&self, text: &str) -> Result<(), Error> {
        self.core.import_keys(text)
    }

    /// Sends a request to the token endpoint.
    pub(crate) fn token<G: Grant + Send + 'static>(
        &self,
        grant: G,
        token_request: &TokenRequest,
    ) -> Result<ErasedExchange, Error> {
        Ok(ErasedExchange::new(
            self.core.token(grant, token_request.to_core()?),
        ))
    }
}
