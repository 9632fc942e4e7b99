//! [`Client`]: the entry point, with one method for each operation of a client at one server.

mod dynamic_registration;
mod grants;
mod logout;
mod registered_properties;

use std::sync::Arc;

use crate::call::Call;
use crate::certificate::KnownCertificate;
use crate::client_auth::ClientAuth;
use crate::client_config::{ClientConfig, ClientId};
use crate::endpoint::Endpoint;
use crate::endpoint::introspection::{Introspection, IntrospectionResponse};
use crate::endpoint::revocation::Revocation;
use crate::endpoint::token::TokenEndpoint;
use crate::endpoint::webfinger::{UserIdentifier, Webfinger};
use crate::error::{Error, ValidationFailure};
use crate::exchange::{Exchange, ExchangeExt as _};
use crate::flow::access_token::AccessTokenVerifier;
use crate::flow::assertion_grant;
use crate::flow::authorization::{
    Authorization, AuthorizationRequest, Begin, HostGeneratedValues, PendingAuthorization,
    claims_error,
};
use crate::flow::discovery::{Discovery, DiscoveryRequest};
use crate::flow::introspection;
use crate::flow::keeper::{GrantId, Keeper};
use crate::flow::redeem::{self, Login};
#[cfg(feature = "sha2")]
use crate::flow::resource::{Api, Proofs};
use crate::flow::resource_connection::{self, ConnectRequest, Connection};
use crate::flow::resource_discovery::{ResourceDiscovery, ResourceDiscoveryRequest};
use crate::flow::userinfo;
use crate::flow::verification::{self, Verification};
use crate::grant::{Grant, Refresh, TokenRequest};
use crate::issuer::Issuer;
use crate::jose::{Alg, Claims, KeySet};
use crate::moment::{Moment, UnixTime};
use crate::protected_resource_metadata::ProtectedResourceMetadata;
use crate::redirect_uri::RedirectUri;
use crate::scope::Scope;
use crate::secret::Secret;
use crate::server::Server;
use crate::token::authorized_resources::AuthorizedResources;
use crate::token::id_token::{IdToken, IdTokenChecks};
use crate::token::{RefreshToken, RenewalTokenKind, Tokens};
use crate::url::Url;

pub use dynamic_registration::{
    delete_registration, read_registration, register, update_registration,
};

/// Fetches a server's metadata (RFC 8414, OpenID Connect Discovery).
///
/// Tries each well-known URL of the issuer in turn. The `issuer` in the document must be this one (RFC 8414 section
/// 3.3).
pub fn discover(issuer: Issuer) -> impl Exchange<Output = Server> + Send + use<> {
    Discovery::new(DiscoveryRequest::new(issuer))
}

/// Fetches a server's metadata like [`discover`], with the rules, the order of URLs or the URL that the request sets.
pub fn discover_with(request: DiscoveryRequest) -> impl Exchange<Output = Server> + Send + use<> {
    Discovery::new(request)
}

/// Fetches the metadata of a protected resource (RFC 9728), which names the authorization servers that issue
/// tokens for it. No redirect is followed, and the document must name this resource.
///
/// # Errors
/// From the steps: `resource_metadata.*`, `reply.*`, `denied.*`.
pub fn discover_resource(
    request: ResourceDiscoveryRequest,
) -> impl Exchange<Output = ProtectedResourceMetadata> + Send + use<> {
    ResourceDiscovery::new(request)
}

/// Finds the issuer of a user by WebFinger, at the host in the identifier that the user typed (OpenID Connect Discovery
/// section 2). No redirect is followed. A user can enter any host, so fetch the issuer's metadata only from public
/// addresses, see [`DiscoveryRequest::address_policy`].
///
/// # Errors
/// From the steps: `webfinger.*`, `reply.*`, `denied.*`.
pub fn discover_issuer(
    identifier: UserIdentifier,
) -> impl Exchange<Output = Issuer> + Send + use<> {
    Call::new(identifier.anonymous_config(), Webfinger { identifier })
}

/// Determines how to get tokens for an unknown API: its metadata, its authorization server, the client to use and the
/// scope to request. It does not register a client or request a token; the caller does.
///
/// # Errors
/// From the steps: those of [`discover_resource`] and [`discover`]; `connect.*`, `pkce.*`,
/// `client_auth.no_usable_method`.
pub fn connect_resource(
    request: ConnectRequest,
) -> impl Exchange<Output = Connection> + Send + use<> {
    resource_connection::connect(request)
}

/// A client of one authorization server. Cheap to clone.
///
/// No method opens a socket: each request to the server is an [`Exchange`], which a driver runs.
#[derive(Debug, Clone)]
pub struct Client(Arc<ClientConfig>);

impl Client {
    /// Creates a client of `server`.
    ///
    /// # Errors
    /// `client_auth.client_id`; `client_auth.secret_syntax` for a secret that starts or ends with whitespace;
    /// `client_auth.colon_in_raw_id`; `key.algorithm` or `key.used_at_two_servers` for a key that cannot sign for this server;
    /// `misuse.setup` for a client id that does not fit `spiffe_x509`.
    pub fn new(server: Server, id: ClientId, auth: ClientAuth) -> Result<Self, Error> {
        ClientConfig::new(server, id, auth).map(|config| Self(Arc::new(config)))
    }

    /// Creates a client that is not registered at this server yet, for calls without a client id: [`register`], and
    /// custom endpoints. Calls that need a client id are refused.
    ///
    /// # Errors
    /// None here. A call that needs a client id fails with `client_auth.client_id`.
    #[must_use]
    pub fn unregistered(server: Server) -> Self {
        Self(Arc::new(ClientConfig::anonymous(server)))
    }

    /// Whether this is the same client, or a clone of it. Another client with the same settings is not.
    #[must_use]
    pub fn is_clone_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    #[cfg(feature = "sha2")]
    pub(crate) fn config(&self) -> &ClientConfig {
        &self.0
    }

    /// Adds this header to every request, such as a `User-Agent` the server insists on.
    ///
    /// # Errors
    /// `http.header_value`.
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, Error> {
        Arc::make_mut(&mut self.0).add_header(name, value)?;
        Ok(self)
    }

    /// Sets the redirect URIs registered for this client: any other is refused before a browser is opened.
    #[must_use]
    pub fn with_redirect_uris(mut self, uris: impl IntoIterator<Item = RedirectUri>) -> Self {
        Arc::make_mut(&mut self.0).redirect_uris = Some(uris.into_iter().collect());
        self
    }

    /// The client's server.
    pub fn server(&self) -> &Server {
        &self.0.server
    }

    /// The client id.
    pub fn client_id(&self) -> &ClientId {
        &self.0.client_id
    }

    /// How the client authenticates.
    pub fn auth(&self) -> &ClientAuth {
        &self.0.auth
    }

    /// Starts an authorization. Returns the URL to open and the pending flow, which the caller keeps until the
    /// callback.
    ///
    /// State, nonce (with `openid`) and PKCE are always sent, except PKCE if the server is known to fail with it
    /// ([`Quirk::WithoutPkce`](crate::quirk::Quirk::WithoutPkce)).
    ///
    /// # Errors
    /// `endpoint.missing`, `redirect_uri.not_registered`, `pkce.*`, `form.*`, `profile.forbidden`,
    /// `authorization.push_required`, `authorization.request_object_required`.
    #[cfg(feature = "sha2")]
    pub fn authorize(
        &self,
        at: &Moment,
        request: AuthorizationRequest,
    ) -> Result<(Url, PendingAuthorization), Error> {
        let authorization = Begin::at_once(Arc::clone(&self.0), at, request, None)?;
        Ok((authorization.url, authorization.pending))
    }

    /// Starts an authorization as an exchange. The request is first pushed to the server (RFC 9126) if the server
    /// requires that or the request asks for it; otherwise the exchange ends at its first step.
    ///
    /// # Errors
    /// The errors of [`Self::authorize`]; from the steps: `denied.*` and `reply.*`.
    #[cfg(feature = "sha2")]
    pub fn begin_authorization(
        &self,
        request: AuthorizationRequest,
    ) -> impl Exchange<Output = Authorization> + Send + use<> {
        Begin::new(Arc::clone(&self.0), request, None)
    }

    /// Starts an authorization as an exchange ([`Self::begin_authorization`]), with the state, nonce and code verifier
    /// that the host generated and hashed.
    pub fn begin_authorization_with(
        &self,
        values: HostGeneratedValues,
        request: AuthorizationRequest,
    ) -> impl Exchange<Output = Authorization> + Send + use<> {
        Begin::new(Arc::clone(&self.0), request, Some(values))
    }

    /// Starts an authorization ([`Self::authorize`]), with the state, nonce and code verifier that the host generated
    /// and hashed.
    ///
    /// # Errors
    /// The errors of [`Self::authorize`].
    pub fn authorize_with_values(
        &self,
        now: UnixTime,
        values: HostGeneratedValues,
        request: AuthorizationRequest,
    ) -> Result<(Url, PendingAuthorization), Error> {
        let at = Moment::without_randomness(now);
        let authorization = Begin::at_once(Arc::clone(&self.0), &at, request, Some(&values))?;
        Ok((authorization.url, authorization.pending))
    }

    /// Checks the callback and, if it belongs to this flow, exchanges its code for tokens. With `openid` the ID
    /// token is verified, with the nonce of this flow.
    ///
    /// `callback` is the whole URL that was requested, or the posted form. The call consumes the flow: to reject a
    /// callback that belongs to another flow and keep this one, call [`PendingAuthorization::recognizes`] first.
    ///
    /// # Errors
    /// `callback.*`, `stored.issuer`; from the steps: `denied.*`, `id_token.*`, `jws.*`, `jwt.*`.
    pub fn redeem(
        &self,
        pending: PendingAuthorization,
        callback: &str,
    ) -> Result<impl Exchange<Output = Login> + Send + use<>, Error> {
        let accepted = pending
            .accept(&self.0, callback)
            .map_err(|error| error.at_endpoint("authorization").redact(&[]))?;
        let config = Arc::clone(&self.0);
        Ok(accepted.then(move |_, redemption| Ok(redeem::redeem(config, redemption))))
    }

    /// Whether a callback carries this flow's state, see [`PendingAuthorization::recognizes`]; an encrypted response
    /// (JARM) is decrypted for this.
    pub fn recognizes(&self, pending: &PendingAuthorization, callback: &str) -> bool {
        pending.recognizes_with(Some(&self.0), callback)
    }

    /// Whether a signed authorization response (JARM), the value of `response`, reports an error. It is not verified,
    /// so anyone may have made it: use this at most to choose the page that a user sees when no flow belongs to a
    /// callback. An encrypted response is decrypted.
    pub fn claims_error(&self, response: &str) -> bool {
        claims_error(&self.0, response)
    }

    /// Verifies an ID token of this server for this client: signature, claims, hashes (OpenID Connect Core
    /// section 3.1.3.7). Keys are fetched as needed, and kept for all clones of the client.
    ///
    /// # Errors
    /// `jws.*`, `jwt.*`, `id_token.*`, `jwks.malformed` and `endpoint.missing`, from the steps.
    pub fn verify_id_token(
        &self,
        token: Secret<String>,
        checks: IdTokenChecks,
    ) -> impl Exchange<Output = IdToken> + Send + use<> {
        verification::id_token(Arc::clone(&self.0), token, checks)
    }

    /// Creates a verifier of the access tokens that callers present to `audience`, an API of this client's own, with
    /// the server's keys.
    pub fn access_token_verifier(&self, audience: impl Into<String>) -> AccessTokenVerifier {
        AccessTokenVerifier::for_config(Arc::clone(&self.0), audience.into())
    }

    /// Creates a verifier of the access tokens that callers present to `audience`, an API that is registered as this
    /// client, by introspection (RFC 7662): for opaque tokens, and to learn of revocations. If the response names no
    /// audience, the server has to check it, as section 4 requires. Each token costs a request, unless
    /// [`AccessTokenVerifier::with_introspection_cache`] is used.
    ///
    /// ```
    /// # use oauth_core::{Client, Error};
    /// # use std::time::Duration;
    /// # fn api(client: &Client) {
    /// let verifier = client
    ///     .introspecting_verifier("https://api.example")
    ///     .with_introspection_cache(Duration::from_secs(30), 1000);
    /// # }
    /// ```
    #[cfg(feature = "sha2")]
    pub fn introspecting_verifier(&self, audience: impl Into<String>) -> AccessTokenVerifier {
        AccessTokenVerifier::introspecting(Arc::clone(&self.0), audience.into())
    }

    /// Verifies the signature of a token in compact serialization with this server's keys, or the client's secret, and
    /// returns the signed payload. The caller must check its claims.
    ///
    /// # Errors
    /// `jws.*`, `jwks.malformed` and `endpoint.missing`, from the steps.
    pub fn verify_signature(
        &self,
        token: Secret<String>,
        allowed_algs: Vec<Alg>,
    ) -> impl Exchange<Output = Vec<u8>> + Send + use<> {
        self.verify(token, allowed_algs)
            .and_then(|_, jws| Ok(jws.payload().to_vec()))
    }

    fn verify(&self, token: Secret<String>, allowed_algs: Vec<Alg>) -> Verification {
        Verification::new(Arc::clone(&self.0), token, allowed_algs)
    }

    /// Caches the server's public keys, such as those of another process ([`KeySet::to_json`]), as fetched at the time
    /// `at`.
    pub fn keep_keys(&self, at: UnixTime, keys: KeySet) {
        self.0.shared.keys.store_keys(at, Arc::new(keys), None);
    }

    /// The cached public keys of the server, to store them.
    pub fn keys(&self) -> Option<Arc<KeySet>> {
        self.0.shared.keys.cached_keys()
    }

    /// The cached public keys of the server as JSON, with when they were fetched and how long they are valid: if they
    /// are stored, a cold start or a new worker needs no request for them. The keys are not secret, but anyone who can
    /// change them controls which signatures are accepted: store them where no one else can write.
    pub fn export_keys(&self) -> Option<String> {
        let config = &self.0;
        config.shared.keys.export(config.server.issuer().as_str())
    }

    /// Adds the keys that [`Self::export_keys`] wrote, unless newer ones are cached.
    ///
    /// # Errors
    /// `stored.malformed`; `stored.issuer` for the keys of another server.
    pub fn import_keys(&self, text: &str) -> Result<(), Error> {
        let config = &self.0;
        let issuer = config.server.issuer().as_str();
        config.shared.keys.import(issuer, text)
    }

    /// Redeems a refresh token, for the whole scope that was granted. If the server sends no new refresh token, the new
    /// tokens keep the old one. For a narrower scope, or with parameters, use [`Self::token`] with [`Refresh`].
    ///
    /// # Errors
    /// `denied.*`; for an ID token that does not match that of the login, `id_token.*`, `jws.*` and `jwt.*`. All come
    /// from the steps.
    pub fn refresh(&self, token: &RefreshToken) -> impl Exchange<Output = Tokens> + Send + use<> {
        self.token(Refresh::new(token.clone()), TokenRequest::new())
    }

    /// A refresh token of this client that does not come from [`Tokens`], such as one from another
    /// program's store. `scope` is the granted scope; empty if it is unknown. `Tokens::from` converts it for a token
    /// source that renews it.
    pub fn refresh_token(&self, token: impl Into<Secret<String>>, scope: Scope) -> RefreshToken {
        RefreshToken {
            secret: token.into(),
            requested: scope.clone(),
            scope,
            resources: AuthorizedResources::default(),
            id_token: None,
            step_up_login: None,
            dpop_jkt: None,
            certificate: KnownCertificate::default(),
            expires_at: None,
            renews: match self.0.server.renewal(None) {
                Some(_) => RenewalTokenKind::AsAccessToken(None),
                None => RenewalTokenKind::AsRefreshToken,
            },
            authorization_expires_at: None,
            binding: Arc::clone(&self.0.binding),
        }
    }

    /// Gets a token for the client itself. `token_request` may be just a [`Scope`]; an empty one leaves the choice to the
    /// server.
    pub fn client_credentials<R: Into<TokenRequest>>(
        &self,
        token_request: R,
    ) -> impl Exchange<Output = Tokens> + Send + use<R> {
        assertion_grant::client_own_tokens(Arc::clone(&self.0), token_request.into())
    }

    /// Exchanges any grant for tokens, for `token_request`: a [`TokenRequest`], or just a [`Scope`].
    pub fn token<G: Grant + Send + 'static, R: Into<TokenRequest>>(
        &self,
        grant: G,
        token_request: R,
    ) -> impl Exchange<Output = Tokens> + Send + use<G, R> {
        self.call(TokenEndpoint::new(grant, token_request.into()))
    }

    /// Checks that these tokens belong to this client and this server. Call it before a token from a store is
    /// sent anywhere: [`Self::refresh`] does so itself; a token string cannot be checked.
    ///
    /// # Errors
    /// `stored.issuer`.
    pub fn check_owner(&self, tokens: &Tokens) -> Result<(), Error> {
        if tokens.binding == self.0.binding {
            Ok(())
        } else {
            Err(ValidationFailure::StoredIssuer.into())
        }
    }

    /// Creates a keeper, which renews the tokens of this grant in this process. The owner of the grant determines how
    /// the tokens are renewed, and its id determines what is requested. If the client has a DPoP key, that key is part
    /// of the name: workers share tokens only if they share the key.
    pub fn keeper(&self, id: GrantId) -> Keeper {
        #[cfg(feature = "sha2")]
        let id = match &self.0.dpop {
            Some(key) if id.dpop_jkt.is_none() => id.with_dpop_jkt(key.thumbprint()),
            _ => id,
        };
        Keeper::new(Arc::clone(&self.0), id)
    }

    /// Calls any endpoint, including a custom one.
    pub fn call<E: Endpoint>(&self, endpoint: E) -> Call<E> {
        Call::new(Arc::clone(&self.0), endpoint)
    }

    /// Revokes a token: one from [`Tokens`], or any other as a [`Revocation`].
    pub fn revoke<R: Into<Revocation>>(
        &self,
        token: R,
    ) -> impl Exchange<Output = ()> + Send + use<R> {
        self.call(token.into())
    }

    /// Requests the claims of the user who signed in; `subject` is the `sub` of the ID token (OpenID Connect Core
    /// section 5.3). The response is JSON or, if the client is registered for that, a JWT, which is decrypted and
    /// verified with the server's keys ([`Self::with_userinfo_algs`], [`Self::with_userinfo_encryption`]).
    ///
    /// # Errors
    /// `userinfo.subject` and `userinfo.malformed`, `userinfo.not_signed`, `jwe.*`, `jws.*`, `jwt.*`, `denied.*`,
    /// from the steps.
    pub fn userinfo(
        &self,
        tokens: Arc<Tokens>,
        subject: String,
    ) -> impl Exchange<Output = Claims> + Send + use<> {
        userinfo::userinfo(Arc::clone(&self.0), tokens, subject)
    }

    /// Introspects a token (RFC 7662). A signed response, if one is requested, is verified with the server's keys (RFC
    /// 9701).
    ///
    /// # Errors
    /// `introspection.*`, `denied.*`; for a signed response `jwe.*`, `jws.*`, `jwt.*`, from the steps.
    pub fn introspect(
        &self,
        request: Introspection,
    ) -> impl Exchange<Output = IntrospectionResponse> + Send + use<> {
        introspection::introspect(Arc::clone(&self.0), request)
    }
}

// Defined here because `client` builds on flows, and no flow may import `client`.
#[cfg(feature = "sha2")]
impl Api {
    /// Sends tokens that are bound to the DPoP key of `client` with a proof of that key (RFC 9449
    /// section 7), and shares the nonces of the API with all clones of the client.
    ///
    /// # Errors
    /// `key.missing` if the client has no such key.
    pub fn with_dpop(self, client: &Client) -> Result<Self, Error> {
        self.with_client_config(client.config())
    }
}

#[cfg(feature = "sha2")]
impl Proofs {
    /// Uses the DPoP key of this client from now on, with the nonces that all its clones share; no key if the client
    /// has none.
    pub fn set_client(&self, client: &Client) {
        self.use_client(client.config());
    }
}
