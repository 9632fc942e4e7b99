//! `private_key_jwt` and `client_secret_jwt`: the client signs a new assertion for each request. Assertions that
//! another party has signed are in `federated.rs`. How long a secret that signs must be (RFC 7518 section 3.2) is
//! checked in `client_assertion.rs` of oauth-crypto.
//!
//! RFC 7523 <https://www.rfc-editor.org/rfc/rfc7523#section-2.2>, as RFC 10070 restricts it: the audience is the
//! issuer, as a single string, and the type is explicit.

use std::borrow::Cow;
use std::sync::OnceLock;

use super::jwt_methods::JWT_BEARER_ENCODED;
use super::{ClientJwt, ClientJwtOutcome, RequestFacts};
use crate::crypto::{AudienceKind, KeyUse, SigningKey};
use crate::error::{Error, Misuse};
use crate::form::Form;
use crate::jose::{self, Alg};
use crate::json::Members;
use crate::secret::Secret;
use crate::server::{EndpointKind, Server};

/// The default lifetime of an assertion, in seconds.
const DEFAULT_LIFETIME_SECONDS: u32 = 60;

/// The assertions that a client signs: the key, and the claims.
#[derive(Debug, Clone)]
pub struct ClientAssertion {
    key: SigningKey,
    secret: Option<Secret<String>>,
    lifetime: u32,
    audience: AssertionAudience,
    certificate: Option<String>,
    /// Computed with the first assertion.
    constant: OnceLock<ConstantPart>,
}

/// What all assertions of one client for one audience begin with: the header and the claims that never change.
#[derive(Debug, Clone)]
struct ConstantPart {
    audience: String,
    client_id: String,
    /// In base64url, as far as the claims are whole groups of three bytes.
    encoded: String,
    /// The bytes of the claims after those.
    rest: String,
}

/// The value of `aud` in an assertion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AssertionAudience {
    /// The server's issuer identifier, for every endpoint (RFC 10070).
    #[default]
    Issuer,
    /// The URL of the token endpoint, for servers that accept nothing else. Another server that the client uses could
    /// obtain an assertion whose audience is this server, so a key that signs such assertions is refused for a second
    /// server.
    TokenEndpoint,
    /// The URL of the endpoint that is called, for servers that have no issuer identifier.
    Endpoint,
    /// Another value that the server requires.
    Other(String),
}

/// The algorithms of private keys, in order of preference, for a client and a server that name none.
pub const PRIVATE_KEY_ALGS: [Alg; 11] = [
    Alg::Es256,
    Alg::Es384,
    Alg::Es512,
    Alg::EdDsa,
    Alg::Ed25519,
    Alg::Rs256,
    Alg::Ps256,
    Alg::Rs384,
    Alg::Rs512,
    Alg::Ps384,
    Alg::Ps512,
];

impl ClientAssertion {
    /// The algorithms to try for a private key at this server, in order of preference: its
    /// `token_endpoint_auth_signing_alg_values_supported` (RFC 8414 section 2), or else [`PRIVATE_KEY_ALGS`].
    pub fn algs_at(server: &Server) -> Vec<Alg> {
        let listed = server.list("token_endpoint_auth_signing_alg_values_supported", &[]);
        let listed = listed.iter().filter_map(|name| Alg::from_name(name));
        let listed: Vec<_> = listed.filter(|alg| !alg.is_symmetric()).collect();
        if listed.is_empty() {
            PRIVATE_KEY_ALGS.to_vec()
        } else {
            listed
        }
    }

    /// The HMAC for a client secret of this many bytes at this server: the first in its
    /// `token_endpoint_auth_signing_alg_values_supported` (RFC 8414 section 2) for which the secret is long enough (RFC
    /// 7518 section 3.2), or else the first; HS256 if it lists none.
    pub fn mac_alg_at(server: &Server, secret_bytes: usize) -> Alg {
        let listed = server.list("token_endpoint_auth_signing_alg_values_supported", &[]);
        let listed = listed.iter().filter_map(|name| Alg::from_name(name));
        let macs: Vec<_> = listed.filter(|alg| alg.is_symmetric()).collect();
        let is_secret_long_enough = |alg: &&Alg| {
            alg.signature_bytes()
                .is_some_and(|least| least <= secret_bytes)
        };
        let alg = macs.iter().find(is_secret_long_enough).or(macs.first());
        alg.copied().unwrap_or(Alg::Hs256)
    }

    /// Assertions signed by the client's private key: `private_key_jwt`. The key's name, if it has one, is the `kid`
    /// of the header.
    pub const fn new(key: SigningKey) -> Self {
        Self {
            key,
            secret: None,
            lifetime: DEFAULT_LIFETIME_SECONDS,
            audience: AssertionAudience::Issuer,
            certificate: None,
            constant: OnceLock::new(),
        }
    }

    /// Assertions authenticated by the client secret, as the key of an HMAC: `client_secret_jwt`. `key` computes the
    /// HMAC with `secret`; `oauth_crypto::client_secret_jwt` creates both.
    ///
    /// # Errors
    /// `key.algorithm` if the key's algorithm does not use a shared secret.
    pub fn with_shared_secret(
        secret: impl Into<Secret<String>>,
        key: SigningKey,
    ) -> Result<Self, Error> {
        if !key.alg().is_symmetric() {
            return Err(Error::from(Misuse::KeyAlgorithm).about(key.alg().as_str()));
        }
        Ok(Self {
            secret: Some(secret.into()),
            ..Self::new(key)
        })
    }

    /// Sets how many seconds each assertion is valid: 60 by default.
    #[must_use]
    pub const fn lifetime(mut self, seconds: u32) -> Self {
        self.lifetime = seconds;
        self
    }

    /// Sets the value of `aud`.
    #[must_use]
    pub fn audience(mut self, audience: AssertionAudience) -> Self {
        self.audience = audience;
        self
    }

    /// Names the certificate of the key in the header by the base64url of its SHA-256 hash
    /// (`x5t#S256`, RFC 7515 section 4.1.8), for servers that find the key by it (Microsoft Entra).
    #[must_use]
    pub fn certificate_thumbprint(mut self, x5t_s256: impl Into<String>) -> Self {
        self.certificate = Some(x5t_s256.into());
        self.constant = OnceLock::new();
        self
    }

    /// Records in `used` the servers for which this key signs. Values that share one `KeyUse` and have the same key
    /// name count as one key, even if the key was loaded twice. Without this, only clones of a [`SigningKey`] count as
    /// one key.
    #[must_use]
    pub fn noting_use(mut self, used: &KeyUse) -> Self {
        self.key.record_use(used);
        self
    }

    /// The key that signs the assertions.
    pub const fn key(&self) -> &SigningKey {
        &self.key
    }

    fn constant_part(&self, audience: &str, client_id: &str) -> ConstantPart {
        let mut header = String::new();
        let mut members = Members::begin(&mut header);
        members.text("alg", self.key.alg().as_str());
        if !self.key.id().is_empty() && self.secret.is_none() {
            members.text("kid", self.key.id());
        }
        members.text("typ", "client-authentication+jwt");
        if let Some(thumbprint) = &self.certificate {
            members.text("x5t#S256", thumbprint);
        }
        members.end();
        let mut claims = String::new();
        let mut members = Members::begin(&mut claims);
        members.text("aud", audience);
        members.text("iss", client_id);
        members.text("sub", client_id);
        let is_whole = |end: &usize| end.is_multiple_of(3) && claims.is_char_boundary(*end);
        let end = (0..=claims.len()).rev().find(is_whole).unwrap_or_default();
        let (whole, rest) = claims.split_at_checked(end).unwrap_or_default();
        ConstantPart {
            audience: audience.to_owned(),
            client_id: client_id.to_owned(),
            encoded: jose::signing_input(&header, whole),
            rest: rest.to_owned(),
        }
    }

    /// The value of `aud` in a request's assertion.
    fn audience_for<'a>(&'a self, facts: &RequestFacts<'a>) -> Result<&'a str, Error> {
        Ok(match &self.audience {
            AssertionAudience::Issuer => facts.server.issuer().as_str(),
            AssertionAudience::TokenEndpoint => {
                facts.server.endpoint(EndpointKind::Token)?.as_str()
            }
            AssertionAudience::Endpoint => facts.url.as_str(),
            AssertionAudience::Other(text) => text,
        })
    }
}

impl ClientJwt for ClientAssertion {
    fn name(&self) -> &'static str {
        if self.key.alg().is_symmetric() {
            "client_secret_jwt"
        } else {
            "private_key_jwt"
        }
    }

    fn audience_is_issuer(&self) -> bool {
        matches!(self.audience, AssertionAudience::Issuer)
    }

    fn key(&self) -> Option<&SigningKey> {
        self.secret.is_none().then_some(&self.key)
    }

    fn secret(&self) -> Option<&str> {
        self.secret.as_ref().map(|secret| secret.expose().as_str())
    }

    fn check(&self, server: &Server) -> Result<(), Error> {
        let alg = self.key.alg().as_str();
        if self.key.alg().is_symmetric() != self.secret.is_some() {
            return Err(Error::from(Misuse::KeyAlgorithm).about(alg));
        }
        let accepted = server.named_list("token_endpoint_auth_signing_alg_values_supported");
        if let Some(accepted) = accepted.filter(|accepted| !accepted.iter().any(|name| name == alg))
        {
            let detail = format!("{alg}; the server accepts {}", accepted.join(" "));
            return Err(Error::from(Misuse::KeyAlgorithm).about(&detail));
        }
        let audience = match self.audience {
            AssertionAudience::Issuer => AudienceKind::Issuer,
            _ => AudienceKind::Other,
        };
        self.key.use_at(server.issuer().as_str(), audience)
    }

    fn make(&self, facts: &RequestFacts<'_>) -> Result<ClientJwtOutcome<'_>, Error> {
        let (audience, client_id) = (self.audience_for(facts)?, facts.client_id.as_str());
        let first = self
            .constant
            .get_or_init(|| self.constant_part(audience, client_id));
        let constant = if first.audience == audience && first.client_id == client_id {
            Cow::Borrowed(first)
        } else {
            Cow::Owned(self.constant_part(audience, client_id))
        };
        let now = facts.at.now().as_secs();
        let mut claims = String::with_capacity(128);
        claims.push_str(&constant.rest);
        let mut members = Members::resume(&mut claims);
        members.number("exp", now.saturating_add(self.lifetime.into()));
        members.number("iat", now);
        // Each assertion has its own `jti`, because servers refuse one that they have already seen.
        let jti = facts.at.ticket_digits()?;
        members.text("jti", std::str::from_utf8(&jti).unwrap_or_default());
        members.end();
        let input = jose::signing_input_after(&constant.encoded, &claims, self.key.alg());
        Ok(ClientJwtOutcome::Unsigned(Cow::Borrowed(&self.key), input))
    }

    fn write(&self, (parameter, id): (&str, &str), jwt: &str, form: &mut Form) {
        form.push(parameter, id);
        form.push_encoded("client_assertion_type", JWT_BEARER_ENCODED);
        // A JWS consists of base64url and dots.
        form.push_encoded("client_assertion", jwt);
    }
}
