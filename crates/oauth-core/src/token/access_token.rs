//! [`VerifiedAccessToken`]: an access token that an API has verified: audience, `cnf` (RFC 8705 section 3, RFC 9449 section 6),
//! and how the user authenticated (RFC 9470). What differs between servers is in `access_token/profile.rs`.
//!
//! RFC 9068 <https://www.rfc-editor.org/rfc/rfc9068#section-4>

#[cfg(feature = "sha2")]
mod introspected;
mod profile;

use std::fmt;
use std::time::Duration;

use crate::dpop::VerifiedDpopProof;
use crate::error::{Error, ValidationFailure};
use crate::jose::claims::malformed_claim;
use crate::jose::{CLOCK_SKEW, Claims, Jws, Validity};
use crate::json::{Map, Value};
use crate::moment::UnixTime;
use crate::scope::Scope;
use crate::security_profile::Clause;
use crate::server::Server;
use crate::token::id_token;

pub use profile::AccessTokenProfile;

/// A verified access token. Only verification creates this type. It does not contain the token's text, because an API
/// does not need it.
#[derive(Clone)]
pub struct VerifiedAccessToken {
    subject: String,
    client_id: Option<String>,
    scope: Scope,
    expires_at: Option<UnixTime>,
    claims: Claims,
    pub(crate) proof: Option<VerifiedDpopProof>,
}

impl VerifiedAccessToken {
    /// `sub`: the user, or the client if it acts for itself. The identifier of one user may differ between clients (RFC
    /// 9068 section 6).
    ///
    /// An introspection response need not have `sub` (RFC 7662 section 2.2). The subject is then the client, but only if
    /// nothing in the response shows a user, such as `username`, `email`, `acr`, `act` or the scope `openid`: otherwise
    /// the token is refused (`jwt.missing_claim`), because all users of a client would have the same subject. A server
    /// that tells nothing of its users needs `sub` in its responses before you use the subject as that of a user.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The client to which the token was issued. Only [`AccessTokenProfile::Jwt`] accepts tokens without it.
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// The granted scope. Empty if the token names none.
    pub const fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The issuer of the token: for a token that was introspected, that of the server if its response has no `iss`.
    pub fn issuer(&self) -> &str {
        self.claims.text("iss").ok().flatten().unwrap_or_default()
    }

    /// The audience; empty if the profile has no `aud`.
    pub fn audience(&self) -> Vec<&str> {
        self.claims.audience().unwrap_or_default()
    }

    /// When the token expires; `None` if an introspection response does not say.
    pub const fn expires_at(&self) -> Option<UnixTime> {
        self.expires_at
    }

    /// `cnf`: the key to which the token is bound (RFC 7800 section 3), whose possession has been proved.
    pub fn confirmation(&self) -> Option<&Map<String, Value>> {
        self.claims.get("cnf").and_then(Value::as_object)
    }

    /// The DPoP proof that came with the token, if [`verify_request`] verified one.
    ///
    /// [`verify_request`]: crate::flow::access_token::AccessTokenVerifier::verify_request
    pub const fn dpop_proof(&self) -> Option<&VerifiedDpopProof> {
        self.proof.as_ref()
    }

    /// `may_act`: the party that may act for the token's subject (RFC 8693 section 4.4), see [`Claims::may_act`].
    pub fn may_act(&self) -> Option<&Map<String, Value>> {
        self.claims.may_act()
    }

    /// All claims. They include groups, roles and entitlements (RFC 9068 section 2.2.3.1), which this crate does not
    /// evaluate. For a token that was introspected they are the members of the response, and `iss` is the issuer of the
    /// server if the response has none; no other claim is added.
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Returns all claims, and drops the rest.
    pub fn into_claims(self) -> Claims {
        self.claims
    }
}

impl fmt::Debug for VerifiedAccessToken {
    /// Shows only the names of claims, because they are personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedAccessToken")
            .field("claims", &self.claims)
            .finish_non_exhaustive()
    }
}

/// The keys whose possession the request has proved, as verified by the caller. A token that is bound to a key is only
/// valid in a request that proves possession of that key.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ProvenKeys {
    /// The thumbprint (RFC 7638, with SHA-256) of the key of a DPoP proof that the caller has verified for
    /// this request (RFC 9449 section 4.3), as a gateway may do. [`verify_request`] verifies proofs itself.
    ///
    /// [`verify_request`]: crate::flow::access_token::AccessTokenVerifier::verify_request
    pub jkt: Option<String>,
    /// The thumbprint of the client's certificate of this TLS connection (RFC 8705 section 3.1).
    pub x5t_s256: Option<String>,
}

impl ProvenKeys {
    /// No keys: the token was presented as a bearer token.
    pub const fn none() -> Self {
        Self {
            jkt: None,
            x5t_s256: None,
        }
    }

    /// Adds the key of a DPoP proof, by its thumbprint. A token that is not bound to it is refused.
    pub fn dpop(jkt: impl Into<String>) -> Self {
        Self {
            jkt: Some(jkt.into()),
            ..Self::none()
        }
    }

    /// A client certificate, in DER.
    #[cfg(feature = "sha2")]
    pub fn certificate_der(der: &[u8]) -> Self {
        use sha2::{Digest as _, Sha256};
        Self::certificate(crate::base64::url_safe(Sha256::digest(der)))
    }

    /// A client certificate, by its thumbprint. A token that is not bound to a key is accepted with it, too.
    pub fn certificate(x5t_s256: impl Into<String>) -> Self {
        Self {
            x5t_s256: Some(x5t_s256.into()),
            ..Self::none()
        }
    }
}

/// The largest clock skew that can be tolerated; with more, `exp` would have little effect.
pub(crate) const MAX_SKEW: Duration = Duration::from_secs(300);

/// What an access token must contain.
#[derive(Debug, Clone)]
pub(crate) struct Checks {
    pub(crate) profile: AccessTokenProfile,
    pub(crate) audience: Vec<String>,
    pub(crate) scope: Scope,
    pub(crate) acr_values: Vec<String>,
    pub(crate) max_age: Option<Duration>,
    pub(crate) clock_skew: Duration,
    /// The clause of the API's profile that accepts only tokens that are bound to a key.
    pub(crate) binding_clause: Option<&'static Clause>,
}

impl Checks {
    pub(crate) fn new(audience: String) -> Self {
        Self {
            profile: AccessTokenProfile::default(),
            audience: vec![audience],
            scope: Scope::none(),
            acr_values: Vec::new(),
            max_age: None,
            clock_skew: CLOCK_SKEW,
            binding_clause: None,
        }
    }

    /// Checks a token whose signature is valid by the rules of section 4: first its validity period, last the
    /// requirements of this request.
    pub(crate) fn check(
        &self,
        server: &Server,
        jws: &Jws,
        proven_keys: &ProvenKeys,
        now: UnixTime,
    ) -> Result<VerifiedAccessToken, Error> {
        let rules = self.profile.rules();
        rules.header(jws)?;
        let claims = Claims::parse(jws.payload())?;
        rules.check_token_use(jws, &claims)?;
        id_token::issuer(server, &claims)?;
        let subject = Claims::require_claim("sub", claims.text("sub")?)?.to_owned();
        if subject.is_empty() {
            return Err(malformed_claim("sub"));
        }
        let client_id = rules.client_id(&claims)?.map(str::to_owned);
        self.check_audience(rules.audience(&claims)?)?;
        rules.refuse_own_client_id(&claims, &self.audience)?;
        let validity = Validity {
            now,
            clock_skew: self.clock_skew,
        };
        validity.check(&claims)?;
        let expires_at = Claims::require_claim("exp", claims.time("exp")?)?;
        let scope = rules.scope(&claims)?;
        self.check_request_requirements(&claims, &scope, &validity, proven_keys)?;
        Ok(VerifiedAccessToken {
            subject,
            client_id,
            scope,
            expires_at: Some(expires_at),
            claims,
            proof: None,
        })
    }

    /// Checks what this request requires of a valid token.
    fn check_request_requirements(
        &self,
        claims: &Claims,
        scope: &Scope,
        validity: &Validity,
        proven_keys: &ProvenKeys,
    ) -> Result<(), Error> {
        check_possession(claims, proven_keys, self.binding_clause)?;
        self.check_authentication(claims, validity)?;
        if scope.covers(&self.scope) {
            return Ok(());
        }
        let detail = format!("it needs {}", self.scope.as_str());
        Err(Error::from(ValidationFailure::AccessTokenScope).about(&detail))
    }

    /// "The resource server MUST validate that the aud claim contains a resource indicator value corresponding to an
    /// identifier the resource server expects for itself": as complete strings.
    fn check_audience(&self, audience: Vec<&str>) -> Result<(), Error> {
        let is_expected = |member: &&str| self.audience.iter().any(|expected| expected == member);
        if audience.iter().any(is_expected) {
            return Ok(());
        }
        let (audience, expected) = (audience.join(" "), self.audience.join(" or "));
        let detail = format!("it names {audience}, expected {expected}");
        Err(Error::from(ValidationFailure::JwtAudience).about(&detail))
    }

    /// Checks how and when the user authenticated (RFC 9470 sections 6.1 and 6.2). If the token lacks the claim, the
    /// requirement is not met; `iat` does not replace `auth_time`.
    fn check_authentication(&self, claims: &Claims, validity: &Validity) -> Result<(), Error> {
        let unmet = |reason: &str| {
            Err(Error::from(ValidationFailure::AccessTokenAuthentication).about(reason))
        };
        let (acr, auth_time) = (claims.text("acr")?, claims.time("auth_time")?);
        if auth_time.is_some_and(|authenticated_at| authenticated_at > validity.latest_now()) {
            return Err(malformed_claim("auth_time"));
        }
        let is_required = |acr: &str| self.acr_values.iter().any(|required| required == acr);
        if !self.acr_values.is_empty() && !acr.is_some_and(is_required) {
            return unmet("acr");
        }
        let Some(max_age) = self.max_age else {
            return Ok(());
        };
        match auth_time {
            Some(authenticated_at)
                if validity.now <= authenticated_at.after(max_age).after(self.clock_skew) =>
            {
                Ok(())
            }
            _ => unmet("auth_time"),
        }
    }
}

/// Checks that the possession of every key to which the token is bound was proved (RFC 9449 section 7.1, RFC 8705
/// section 3). An unknown confirmation method counts as not proved.
fn check_possession(
    claims: &Claims,
    proven_keys: &ProvenKeys,
    binding_clause: Option<&Clause>,
) -> Result<(), Error> {
    let unproven =
        |reason: &str| Err(Error::from(ValidationFailure::AccessTokenProofRequired).about(reason));
    let confirmation = match claims.as_map().get("cnf") {
        None => match binding_clause {
            Some(clause) => return unproven(&format!("{clause}; the token is bound to none")),
            None => None,
        },
        // "the members of that object identify the proof-of-possession key" (RFC 7800 section 3.1): without any, no key
        // can be proved to be the one.
        Some(Value::Object(confirmation)) if confirmation.iter().next().is_none() => {
            return unproven("cnf");
        }
        Some(Value::Object(confirmation)) => Some(confirmation),
        Some(_) => return Err(malformed_claim("cnf")),
    };
    let mut is_bound_by_dpop = false;
    for (method, value) in confirmation
        .into_iter()
        .flat_map(|confirmation| confirmation.iter())
    {
        let proved = match method.as_str() {
            "jkt" => {
                is_bound_by_dpop = true;
                &proven_keys.jkt
            }
            "x5t#S256" => &proven_keys.x5t_s256,
            _ => return unproven(method),
        };
        let value = value.as_str().ok_or_else(|| malformed_claim("cnf"))?;
        if proved.as_deref() != Some(value) {
            return unproven(method);
        }
    }
    // The DPoP scheme is for bound tokens only ("the public key to which the access token is bound", RFC 9449 section
    // 7.1): a proof
    // with any other key says nothing about who may use the token.
    if proven_keys.jkt.is_some() && !is_bound_by_dpop {
        unproven("jkt")
    } else {
        Ok(())
    }
}
