//! [`IdToken`]: an ID token whose signature and claims were verified. The claims are checked here and in `id_token/`,
//! the signature in `flow/verification.rs`; the ID token of a refresh is compared with the one before in
//! `id_token/refreshed.rs`.
//!
//! OpenID Connect Core <https://openid.net/specs/openid-connect-core-1_0.html#IDTokenValidation>

mod audience;
mod issuer;
mod origin;
mod refreshed;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use crate::client_config::ClientConfig;
use crate::error::{Error, Misuse, ValidationFailure};
use crate::jose::claims::malformed_claim;
use crate::jose::{Alg, Claims, Jws, Validity};
use crate::json::{Map, Value};
use crate::moment::UnixTime;
use crate::quirk::Quirk;
use crate::secret::Secret;
use crate::security_profile::SecurityProfile;
use crate::server::Server;
use crate::token::step_up_requirement::acr_suffices;

pub use crate::jose::CLOCK_SKEW;
pub(crate) use issuer::{is_issuer_of_key, issuer};
pub use origin::{IdTokenOrigin, UnexpectedNonce};
pub(crate) use refreshed::check_refreshed_id_token;

/// A verified ID token. Only verification creates this type.
#[derive(Clone)]
pub struct IdToken {
    text: Secret<String>,
    claims: Claims,
}

impl IdToken {
    /// The user who signed in, identified together with the issuer: no other claim identifies a user (OpenID Connect
    /// Core section 5.7).
    pub fn subject(&self) -> &str {
        self.claims.text("sub").ok().flatten().unwrap_or_default()
    }

    /// The issuer of the ID token.
    pub fn issuer(&self) -> &str {
        self.claims.text("iss").ok().flatten().unwrap_or_default()
    }

    /// When the user last authenticated, if the server states it.
    pub fn auth_time(&self) -> Option<UnixTime> {
        self.claims.time("auth_time").ok().flatten()
    }

    /// `may_act`: who may act for the user (RFC 8693 section 4.4): see [`Claims::may_act`].
    pub fn may_act(&self) -> Option<&Map<String, Value>> {
        self.claims.may_act()
    }

    /// All claims.
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Returns all claims, and drops the rest.
    pub fn into_claims(self) -> Claims {
        self.claims
    }

    /// The token itself, for `id_token_hint`.
    pub const fn text(&self) -> &Secret<String> {
        &self.text
    }
}

impl fmt::Debug for IdToken {
    /// Shows no claims, because they are personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdToken")
            .field("claims", &self.claims)
            .finish_non_exhaustive()
    }
}

/// What an ID token must contain. Issuer, client id and algorithms come from the client.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct IdTokenChecks {
    /// How the token arrived. An unsolicited one must meet stricter rules.
    pub origin: IdTokenOrigin,
    /// The nonce that was sent.
    pub nonce: Option<Secret<String>>,
    /// Whether a token may have a `nonce` if the request sent none.
    pub unexpected_nonce: UnexpectedNonce,
    /// `max_age` of the request: `auth_time` must be present, and no older than this.
    pub max_age: Option<Duration>,
    /// When the request was made: with a `max_age` of zero, the user must have authenticated since.
    pub requested_at: Option<UnixTime>,
    /// Other clients of the same application at this server, such as its mobile app: the token may be for
    /// one of them, and `azp` may be one of them.
    pub client_ids: Vec<String>,
    /// Audiences that are accepted in addition to the client.
    pub trusted_audiences: Vec<String>,
    /// The accepted `acr` values, one of which is required.
    pub acr_values: Vec<String>,
    /// The access token that came with the ID token; `at_hash`, if present, must match it. It is required in an
    /// unsolicited token.
    pub access_token: Option<Secret<String>>,
    /// The code that came with the ID token through the browser; `c_hash` (section 3.3.2.11) is required and checked.
    pub code: Option<Secret<String>>,
    /// The state that came with the ID token through the browser; `s_hash`, if present, must match it.
    pub state: Option<Secret<String>>,
    /// The backchannel request for which the ID token was pushed (CIBA Core section 10.3.1): the token must name this
    /// request, and `at_hash` must be present.
    pub auth_req_id: Option<Secret<String>>,
    /// The refresh token that was pushed with the ID token; `urn:openid:params:jwt:claim:rt_hash` is required and must
    /// match it.
    pub refresh_token: Option<Secret<String>>,
    /// The largest accepted age of the token, by its `iat`.
    pub max_token_age: Option<Duration>,
    /// The tolerated clock skew; at most five minutes count.
    pub clock_skew: Duration,
    /// The claims of the login's ID token, if this token comes from a refresh.
    pub original: Option<Claims>,
}

impl Default for IdTokenChecks {
    fn default() -> Self {
        Self {
            origin: IdTokenOrigin::default(),
            nonce: None,
            unexpected_nonce: UnexpectedNonce::default(),
            max_age: None,
            requested_at: None,
            client_ids: Vec::new(),
            trusted_audiences: Vec::new(),
            acr_values: Vec::new(),
            access_token: None,
            code: None,
            state: None,
            auth_req_id: None,
            refresh_token: None,
            max_token_age: None,
            clock_skew: CLOCK_SKEW,
            original: None,
        }
    }
}

/// The maximum age of an ID token that was requested without a nonce: only its `iat` shows that it belongs to this
/// sign-in ("issued too far away from the current time", section 3.1.3.7, item 10).
pub(crate) const MAX_AGE_WITHOUT_NONCE: Duration = Duration::from_secs(24 * 60 * 60);

/// Claims that mark tokens of other kinds, whose audience may also be the client.
const OTHER_TOKEN_KINDS: [(&str, &[&str]); 2] = [
    (
        "token_use",
        &["access", "access_token", "refresh", "refresh_token"],
    ),
    ("typ", &["Bearer", "DPoP", "Logout", "Refresh", "Offline"]),
];

/// The claims of a pushed ID token (CIBA Core section 10.3.1).
const AUTH_REQ_ID: &str = "urn:openid:params:jwt:claim:auth_req_id";
const RT_HASH: &str = "urn:openid:params:jwt:claim:rt_hash";

/// A claim that contains a hash, and the hashed value.
#[derive(Debug)]
pub(crate) struct HashClaim {
    pub(crate) failure: ValidationFailure,
    pub(crate) value: Secret<String>,
    pub(crate) half: String,
}

impl IdTokenChecks {
    /// Checks a token whose signature is valid, by the rules of section 3.1.3.7 in their order, and returns the hashes
    /// that must still be compared.
    pub(crate) fn check(
        &self,
        config: &ClientConfig,
        token: Secret<String>,
        jws: &Jws,
        now: UnixTime,
    ) -> Result<(IdToken, Vec<HashClaim>), Error> {
        // "at+jwt" and "logout+jwt" are tokens of other kinds (RFC 8725 section 3.11).
        jws.check_type(&["jwt", "id_token+jwt"])?;
        let claims = Claims::parse(jws.payload())?;
        if claims.get("events").is_some() {
            // A logout token (OpenID Connect Back-Channel Logout section 2.4).
            return Err(Error::from(ValidationFailure::JwtUnexpectedClaim).about("events"));
        }
        claims.refuse_kinds(&OTHER_TOKEN_KINDS)?;
        issuer(&config.server, &claims)?;
        self.check_refreshed(config, &claims)?;
        let subject = Claims::require_claim("sub", claims.text("sub")?)?;
        if subject.is_empty() || subject.len() > 255 || !subject.is_ascii() {
            return Err(malformed_claim("sub"));
        }
        self.audience(config, &claims, jws.alg)?;
        self.check_times(&claims, now)?;
        self.check_nonce(config, &claims)?;
        self.check_authentication(&claims, now)?;
        self.check_auth_req_id(&claims)?;
        let hashes = self.hash_claims(&claims)?;
        Ok((
            IdToken {
                text: token,
                claims,
            },
            hashes,
        ))
    }

    fn check_times(&self, claims: &Claims, now: UnixTime) -> Result<(), Error> {
        let validity = Validity {
            now,
            clock_skew: self.clock_skew,
        };
        let issued = validity.check(claims)?;
        match self.max_token_age {
            Some(age) if validity.now > issued.after(age).after(self.clock_skew) => {
                Err(validity.time_error(ValidationFailure::JwtTooOld, issued))
            }
            _ => Ok(()),
        }
    }

    fn check_nonce(&self, config: &ClientConfig, claims: &Claims) -> Result<(), Error> {
        let nonce = claims.text("nonce")?;
        // Only the nonce binds an unsolicited token to this sign-in.
        let may_omit_nonce = self.origin == IdTokenOrigin::Answer
            && config.server.rules().has(&Quirk::IdTokensWithoutNonce);
        match (&self.nonce, nonce) {
            (None, Some(_)) if self.unexpected_nonce == UnexpectedNonce::Reject => {
                Err(Error::from(ValidationFailure::JwtUnexpectedClaim).about("nonce"))
            }
            (None, _) => Ok(()),
            (Some(sent), Some(nonce)) if sent.matches(nonce) => Ok(()),
            (Some(_), None) if may_omit_nonce => Ok(()),
            (Some(_), None) => Err(Error::from(ValidationFailure::JwtClaimMissing).about("nonce")),
            (Some(_), Some(_)) => Err(ValidationFailure::IdTokenNonce.into()),
        }
    }

    fn check_authentication(&self, claims: &Claims, now: UnixTime) -> Result<(), Error> {
        let auth_time = claims.time("auth_time")?;
        if auth_time.is_some_and(|authenticated_at| authenticated_at > now.after(self.clock_skew)) {
            return Err(malformed_claim("auth_time"));
        }
        if let Some(max_age) = self.max_age {
            let authenticated_at = auth_time.ok_or(ValidationFailure::IdTokenAuthTimeMissing)?;
            let is_too_old = now > authenticated_at.after(max_age).after(self.clock_skew);
            let requested_at = self.requested_at.filter(|_| max_age.is_zero());
            let is_before_request = requested_at
                .is_some_and(|requested_at| authenticated_at.after(self.clock_skew) < requested_at);
            if is_too_old || is_before_request {
                let detail = format!(
                    "authenticated at {}, now {}",
                    authenticated_at.as_secs(),
                    now.as_secs()
                );
                return Err(Error::from(ValidationFailure::IdTokenAuthTooOld).about(&detail));
            }
        }
        let acr = claims.text("acr")?;
        if !acr_suffices(acr, &self.acr_values) {
            let (acr_text, required) = (acr.unwrap_or("none"), self.acr_values.join(" "));
            let detail = format!("it names {acr_text}, expected {required}");
            return Err(Error::from(ValidationFailure::IdTokenAcr).about(&detail));
        }
        // "JSON array of strings" (section 2), unlike `aud`. An error at a refresh would lose the new refresh token.
        match claims.get("amr") {
            Some(Value::String(_)) if self.original.is_none() => Err(malformed_claim("amr")),
            _ => claims.texts("amr").map(drop),
        }
    }

    /// "the Client MUST ensure that the value of the auth_req_id claim in the ID Token" is that of its request.
    fn check_auth_req_id(&self, claims: &Claims) -> Result<(), Error> {
        let Some(expected) = &self.auth_req_id else {
            return Ok(());
        };
        let auth_req_id = Claims::require_claim(AUTH_REQ_ID, claims.text(AUTH_REQ_ID)?)?;
        Claims::require_claim("at_hash", claims.text("at_hash")?)?;
        if expected.matches(auth_req_id) {
            Ok(())
        } else {
            Err(ValidationFailure::CibaRequestChanged.into())
        }
    }

    /// The claims with hashes of what came with the token, such as `at_hash` (section 3.3.2.11).
    fn hash_claims(&self, claims: &Claims) -> Result<Vec<HashClaim>, Error> {
        let (at_hash, c_hash) = (claims.text("at_hash")?, claims.text("c_hash")?);
        let s_hash = claims.text("s_hash")?;
        if self.origin == IdTokenOrigin::Unsolicited && self.access_token.is_some() {
            // Required of a token from the browser (section 3.2.2.10): the access token may be another user's.
            Claims::require_claim("at_hash", at_hash)?;
        }
        let mut hashes = Vec::new();
        let optional = [
            (
                ValidationFailure::IdTokenAtHash,
                at_hash,
                &self.access_token,
            ),
            (ValidationFailure::IdTokenSHash, s_hash, &self.state),
        ];
        for (failure, half, value) in optional {
            if let (Some(half), Some(value)) = (half, value) {
                hashes.push(HashClaim {
                    failure,
                    value: value.clone(),
                    half: half.to_owned(),
                });
            }
        }
        if let Some(value) = &self.refresh_token {
            hashes.push(HashClaim {
                failure: ValidationFailure::IdTokenRtHash,
                value: value.clone(),
                half: Claims::require_claim(RT_HASH, claims.text(RT_HASH)?)?.to_owned(),
            });
        }
        if let Some(value) = &self.code {
            hashes.push(HashClaim {
                failure: ValidationFailure::IdTokenCHash,
                value: value.clone(),
                half: Claims::require_claim("c_hash", c_hash)?.to_owned(),
            });
        }
        Ok(hashes)
    }
}

/// The algorithms with which the ID tokens of a client may be signed.
pub(crate) fn allowed_algs(config: &ClientConfig) -> Vec<Alg> {
    let member = "id_token_signing_alg_values_supported";
    accepted_algs(config, config.id_token_algs.as_deref(), member)
}

/// The algorithms that a client accepts: those with which it is registered, or else those that the server lists in this
/// member of its metadata, except those with shared secrets, which must be agreed on. Of both, only those that the
/// client's profile allows.
pub(crate) fn accepted_algs(
    config: &ClientConfig,
    registered: Option<&[Alg]>,
    member: &str,
) -> Vec<Alg> {
    let mut algs = match registered {
        Some(registered) => {
            let is_public = config.auth.secret().is_none();
            let mut algs = registered.to_vec();
            algs.retain(|alg| !(alg.is_symmetric() && is_public));
            algs
        }
        None if config.server.named_list(member).is_none() => {
            let profile_algs = config.profile.and_then(SecurityProfile::default_algs);
            profile_algs.map_or_else(|| vec![Alg::Rs256], <[Alg]>::to_vec)
        }
        None => listed_algs(&config.server, member),
    };
    algs.retain(|alg| config.allows_alg(*alg));
    algs
}

/// The algorithms with which the server signs ID tokens, except those with shared secrets.
pub(crate) fn metadata_algs(server: &Server) -> Vec<Alg> {
    listed_algs(server, "id_token_signing_alg_values_supported")
}

fn listed_algs(server: &Server, member: &str) -> Vec<Alg> {
    let supported = server.named_list(member).unwrap_or_default();
    let algs = supported
        .iter()
        .filter_map(|name| Alg::from_name(name))
        .filter(|alg| !alg.is_symmetric());
    let algs: Vec<_> = algs.collect();
    // "The algorithm RS256 MUST be included" (OpenID Connect Discovery section 3).
    if algs.is_empty() {
        vec![Alg::Rs256]
    } else {
        algs
    }
}

/// The secret for a MAC (section 10.1). A secret that is too short is refused, because it can be guessed.
///
/// # Errors
/// `jws.key_too_small`.
pub(crate) fn mac_key(config: &ClientConfig, alg: Alg) -> Result<Secret<Vec<u8>>, Error> {
    let secret = config.auth.secret().ok_or(Misuse::SecretMissing)?;
    let least = alg.signature_bytes().unwrap_or_default();
    if secret.len() < least {
        let detail = format!("{} needs {least} bytes", alg.as_str());
        return Err(Error::from(ValidationFailure::JwsKeyTooSmall).about(&detail));
    }
    Ok(Secret::new(secret.as_bytes().to_vec()))
}
