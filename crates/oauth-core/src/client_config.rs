//! The configuration of one client at one server: client id, authentication, redirect URIs, DPoP
//! key. Shared by all calls of the client.

use std::sync::Arc;

use crate::browser_build::IS_BROWSER_BUILD;
#[cfg(feature = "sha2")]
use crate::duplicate_backchannel_request::PendingRequests;
use crate::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use crate::http::{HeaderMap, HeaderName, HeaderValue};

use crate::assertion::ClientGrantMethod;
use crate::breaker::Breaker;
use crate::certificate::KnownCertificate;
use crate::client_auth::{self, Certificate, ClientAuth, Method};
pub use crate::client_id::ClientId;
use crate::crypto::SigningKey;
use crate::dpop::{DpopKey, Nonces, ServerClocks};
use crate::error::{Error, Misuse};
use crate::form::Form;
use crate::jose::{Alg, DecryptJwe, KeyCache};
use crate::redirect_uri::RedirectUri;
#[cfg(all(feature = "sha2", not(all(feature = "js", target_family = "wasm"))))]
use crate::replay_cache::DpopProofs;
use crate::replay_cache::LogoutTokens;
use crate::request_encryption::EncryptJwe;
use crate::request_signing::RequestSigning;
use crate::security_profile::{Requirement, SecurityProfile};
use crate::server::{EndpointKind, FlagDefault, Server};
use crate::url::Url;

/// The issuer and client that tokens belong to. A token is never sent to another server or by another client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binding {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
}

impl Binding {
    pub(crate) fn new(server: &Server, client_id: &ClientId) -> Self {
        Self {
            issuer: server.issuer().as_str().to_owned(),
            client_id: client_id.as_str().to_owned(),
        }
    }
}

/// State shared by all clones of a client.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Stops requests for a while once the server has failed for several grants of this client.
    pub(crate) breaker: Breaker,
    /// The newest DPoP nonces.
    pub(crate) nonces: Nonces,
    /// The clock differences of the servers that get DPoP proofs.
    pub(crate) clocks: ServerClocks,
    /// The server's public keys.
    pub(crate) keys: KeyCache,
    /// The logout tokens received so far, so that none is accepted twice.
    pub(crate) replays: LogoutTokens,
    /// The DPoP proofs received so far by an API.
    #[cfg(all(feature = "sha2", not(all(feature = "js", target_family = "wasm"))))]
    pub(crate) proofs: DpopProofs,
    /// Backchannel (CIBA) requests that wait for the user.
    #[cfg(feature = "sha2")]
    pub(crate) pending_backchannel: PendingRequests,
}

/// The binding of tokens to something other than a DPoP key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenBinding {
    None,
    /// The certificate of the connection.
    Certificate,
}

/// A server, and this client as that server knows it.
#[derive(Debug, Clone)]
pub struct ClientConfig {
    pub(crate) server: Server,
    pub(crate) client_id: ClientId,
    pub(crate) auth: ClientAuth,
    /// The header fields that most requests start with: `Content-Type` for a form, `Accept` for
    /// JSON, and `Authorization` for `client_secret_basic`. Computed once.
    pub(crate) headers: HeaderMap,
    pub(crate) redirect_uris: Option<Vec<RedirectUri>>,
    /// The issuer and client that new tokens belong to.
    pub(crate) binding: Arc<Binding>,
    /// The key that tokens are bound to.
    pub(crate) dpop: Option<DpopKey>,
    /// The accepted values of `id_token_signed_response_alg` (OpenID Connect Dynamic Client Registration section 2).
    pub(crate) id_token_algs: Option<Vec<Alg>>,
    /// Audiences that ID tokens may name in addition to the client.
    pub(crate) trusted_audiences: Vec<String>,
    /// `id_token_encrypted_response_alg` and `_enc`.
    pub(crate) id_token_encryption: Option<Arc<dyn DecryptJwe>>,
    /// The accepted values of `userinfo_signed_response_alg`.
    pub(crate) userinfo_algs: Option<Vec<Alg>>,
    /// `userinfo_encrypted_response_alg` and `_enc`.
    pub(crate) userinfo_encryption: Option<Arc<dyn DecryptJwe>>,
    /// The encryption of access tokens for the APIs that verify them as this client.
    pub(crate) access_token_encryption: Option<Arc<dyn DecryptJwe>>,
    /// The accepted values of `authorization_signed_response_alg` (JARM section 3).
    pub(crate) authorization_algs: Option<Vec<Alg>>,
    /// `authorization_encrypted_response_alg` and `_enc`.
    pub(crate) authorization_encryption: Option<Arc<dyn DecryptJwe>>,
    /// The signing of authorization requests.
    pub(crate) request_signing: Option<RequestSigning>,
    /// The encryption of authorization requests after they have been signed.
    pub(crate) request_encryption: Option<Arc<dyn EncryptJwe>>,
    /// Whether tokens are bound to the certificate of the connection (RFC 8705 section 3).
    pub(crate) token_binding: TokenBinding,
    /// The certificate that the HTTP client presents, to which new tokens are bound.
    pub(crate) certificate: KnownCertificate,
    /// The security profile that the client enforces, such as FAPI 2.0.
    pub(crate) profile: Option<SecurityProfile>,
    /// The grant for the client's own tokens, if it is not `client_credentials`.
    pub(crate) own_tokens: Option<ClientGrantMethod>,
    /// State that all clones share, even after one of them has been reconfigured.
    pub(crate) shared: Arc<Shared>,
    /// The `Authorization` header of a client that uses `client_secret_basic`. Computed once.
    basic: Option<HeaderValue>,
}

impl ClientConfig {
    pub(crate) fn new(
        server: Server,
        client_id: ClientId,
        auth: ClientAuth,
    ) -> Result<Self, Error> {
        client_id.check()?;
        if IS_BROWSER_BUILD && !matches!(auth.0, Method::None | Method::Unnamed) {
            return Err(Misuse::SecretNotAllowed.into());
        }
        auth.check_secret()?;
        if let Some(jwt) = auth.jwt() {
            jwt.check(&server)?;
        }
        // "the client_id parameter ... MUST be the SPIFFE ID" (OAuth SPIFFE Client Authentication section 3.2).
        let is_svid = !IS_BROWSER_BUILD && matches!(auth.0, Method::Tls(Certificate::Svid));
        if is_svid && !client_auth::is_spiffe_id(client_id.as_str()) {
            return Err(
                Error::from(Misuse::Setup).about("the client id of spiffe_x509 is a SPIFFE ID")
            );
        }
        let basic = match &auth.0 {
            Method::Basic(secret) if !IS_BROWSER_BUILD => Some(client_auth::basic(
                client_id.as_str(),
                secret.expose(),
                server.rules(),
            )?),
            _ => None,
        };
        let base = Self::with_client_id(server, client_id);
        let mut headers = base.headers.clone();
        if let Some(basic) = &basic {
            headers.insert(AUTHORIZATION, basic.clone());
        }
        Ok(Self {
            auth,
            basic,
            headers,
            ..base
        })
    }

    /// A configuration without a client, for requests that need none.
    pub(crate) fn anonymous(server: Server) -> Self {
        Self::with_client_id(server, ClientId::new(""))
    }

    fn with_client_id(server: Server, client_id: ClientId) -> Self {
        let binding = Arc::new(Binding::new(&server, &client_id));
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        headers.insert(CONTENT_TYPE, form);
        Self {
            server,
            client_id,
            auth: ClientAuth::none(),
            headers,
            redirect_uris: None,
            binding,
            dpop: None,
            id_token_algs: None,
            trusted_audiences: Vec::new(),
            id_token_encryption: None,
            userinfo_algs: None,
            userinfo_encryption: None,
            access_token_encryption: None,
            authorization_algs: None,
            authorization_encryption: None,
            request_signing: None,
            request_encryption: None,
            token_binding: TokenBinding::None,
            certificate: KnownCertificate::default(),
            profile: None,
            own_tokens: None,
            shared: Arc::default(),
            basic: None,
        }
    }

    /// The `Authorization` header of a request with this purpose (a grant type or an endpoint's name), if the client
    /// uses `client_secret_basic` for it.
    pub(crate) fn basic(&self, purpose: &str) -> Option<&HeaderValue> {
        let basic = self.basic.as_ref();
        basic.filter(|_| !IS_BROWSER_BUILD && !self.server.rules().wants_body_credentials(purpose))
    }

    /// Writes the client id and the credentials into a form. `signed` is the JWT that authenticates this request, if
    /// the client uses one.
    pub(crate) fn write_credentials(&self, form: &mut Form, signed: Option<&str>) {
        let parameter = self.server.rules().client_id_parameter();
        self.auth
            .write((parameter, self.client_id.as_str()), signed, form);
    }

    pub(crate) fn add_header(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let invalid_header = || Error::from(Misuse::HeaderValue).about(&format!("headers: {name}"));
        let header_name: HeaderName = name.parse().map_err(|_| invalid_header())?;
        let reserved = [
            "host",
            "authorization",
            "accept",
            "connection",
            "transfer-encoding",
        ];
        let has_reserved_prefix = ["content-", "proxy-"]
            .iter()
            .any(|prefix| header_name.as_str().starts_with(prefix));
        if has_reserved_prefix || reserved.contains(&header_name.as_str()) {
            return Err(invalid_header());
        }
        let mut value = HeaderValue::from_str(value).map_err(|_| invalid_header())?;
        value.set_sensitive(true);
        self.headers.insert(header_name, value);
        Ok(())
    }

    /// The identity provider's issuer and the client registered there, if this client and its users get tokens by a
    /// sign-in at that provider.
    pub(crate) fn identity_provider(&self) -> Option<&[String; 2]> {
        let own_tokens = self.own_tokens.as_ref().filter(|_| !IS_BROWSER_BUILD);
        own_tokens.and_then(ClientGrantMethod::identity_provider)
    }

    /// Whether this client and its users get tokens by a sign-in at an identity provider.
    pub(crate) fn has_sign_in_elsewhere(&self) -> bool {
        self.identity_provider().is_some()
    }

    /// The URL of the token endpoint.
    pub(crate) fn token_url(&self) -> Option<&Url> {
        let url = if self.shows_certificate() {
            self.server.mtls_endpoint(EndpointKind::Token)
        } else {
            self.server.endpoint(EndpointKind::Token)
        };
        url.ok()
    }

    /// The thumbprint of the key that refresh tokens of this client are bound to: "refresh tokens issued to public
    /// clients" are bound; a client that authenticates may change its key (RFC 9449 section 5).
    #[cfg(feature = "sha2")]
    pub(crate) fn refresh_jkt(&self) -> Option<String> {
        let key = self.dpop.as_ref().filter(|_| !self.auth.is_confidential());
        key.map(DpopKey::thumbprint)
    }

    /// Without SHA-256 no thumbprint can be computed.
    #[cfg(not(feature = "sha2"))]
    #[allow(clippy::unused_self)] // the same signature as with `sha2`
    pub(crate) const fn refresh_jkt(&self) -> Option<String> {
        None
    }

    /// Whether the client presents a certificate on its connections (RFC 8705).
    pub(crate) const fn shows_certificate(&self) -> bool {
        !IS_BROWSER_BUILD && matches!(self.auth.0, Method::Tls(_))
            || matches!(self.token_binding, TokenBinding::Certificate)
    }

    /// How authorization requests are signed: as configured, or with the key of `private_key_jwt` if the server or the
    /// profile requires a signature.
    pub(crate) fn request_signing(&self) -> Option<RequestSigning> {
        if IS_BROWSER_BUILD {
            return None;
        }
        let is_wanted = || {
            let required = "require_signed_request_object";
            let requires = |profile: SecurityProfile| profile.requires(Requirement::SignedRequest);
            self.server.flag(required, FlagDefault::False) || self.profile.is_some_and(requires)
        };
        let of_the_client = || {
            let key = self.auth.jwt()?.key()?;
            is_wanted().then(|| RequestSigning::new(key.clone()))
        };
        self.request_signing.clone().or_else(of_the_client)
    }

    /// Refuses a configuration that the client's profile forbids.
    ///
    /// # Errors
    /// `profile.forbidden`.
    pub(crate) fn check_profile(&self) -> Result<(), Error> {
        let Some(profile) = self.profile else {
            return Ok(());
        };
        let name = self.auth.name();
        // Neither JWT-SVIDs nor X.509-SVIDs are among the methods that the profiles name.
        let is_registered = |certificate: &Certificate| *certificate != Certificate::Svid;
        let has_key = || match &self.auth.0 {
            Method::Tls(certificate) => is_registered(certificate),
            _ => name == "private_key_jwt",
        };
        profile.require(Requirement::AuthenticationByKey, has_key, name)?;
        let jwt = self.auth.jwt();
        let names_issuer = || jwt.is_none_or(|jwt| jwt.audience_is_issuer());
        profile.require(
            Requirement::IssuerAsAudience,
            names_issuer,
            "another is configured",
        )?;
        let is_bound = || self.dpop.is_some() || self.shows_certificate();
        profile.require(
            Requirement::SenderConstrainedTokens,
            is_bound,
            "the client has no key for that",
        )?;
        let is_read = || self.server.is_discovered();
        profile.require(
            Requirement::Discovery,
            is_read,
            "these were configured by hand",
        )?;
        let keys = [
            jwt.and_then(|jwt| jwt.key()).map(SigningKey::alg),
            self.dpop.as_ref().map(|key| key.signing_key().alg()),
            self.request_signing
                .as_ref()
                .map(|signing| signing.key().alg()),
        ];
        for alg in keys.into_iter().flatten() {
            profile.require(
                Requirement::Algorithms,
                || profile.allows(alg),
                alg.as_str(),
            )?;
        }
        Ok(())
    }

    /// Whether the client's profile allows signatures of this algorithm.
    pub(crate) fn allows_alg(&self, alg: Alg) -> bool {
        self.profile.is_none_or(|profile| profile.allows(alg))
    }

    /// Refuses agreed algorithms none of which the client's profile allows.
    ///
    /// # Errors
    /// `profile.forbidden`.
    pub(crate) fn check_agreed_algs(&self, agreed: &[Alg]) -> Result<(), Error> {
        let Some(profile) = self.profile else {
            return Ok(());
        };
        let is_met = || agreed.iter().any(|alg| profile.allows(*alg));
        let names: Vec<_> = agreed.iter().map(|alg| alg.as_str()).collect();
        profile.require(Requirement::Algorithms, is_met, &names.join(" "))
    }

    /// Whether the client is registered for UserInfo responses in the form of JWTs.
    pub(crate) const fn has_userinfo_jwt(&self) -> bool {
        // A browser page never registers for JWT responses.
        !IS_BROWSER_BUILD && (self.userinfo_algs.is_some() || self.userinfo_encryption.is_some())
    }

    /// Whether the client may use this redirect URI: one of the configured list covers it, or no list is
    /// configured.
    pub(crate) fn allows_redirect_uri(&self, uri: &RedirectUri) -> bool {
        self.redirect_uris.as_ref().is_none_or(|registered| {
            registered
                .iter()
                .any(|registered_uri| registered_uri.allows_request_uri(uri))
        })
    }
}
