//! [`LogoutToken`]: a logout token whose signature and claims were verified. The claims are checked here, the signature
//! in `flow/verification.rs`; received tokens are remembered in `replay_cache.rs`.
//!
//! OpenID Connect Back-Channel Logout <https://openid.net/specs/openid-connect-backchannel-1_0.html#Validation>

use std::fmt;
use std::time::Duration;

use crate::client_config::ClientConfig;
use crate::error::{Error, ValidationFailure};
use crate::jose::claims::malformed_claim;
use crate::jose::{CLOCK_SKEW, Claims, Jws, Validity};
use crate::json::Value;
use crate::moment::UnixTime;
use crate::token::id_token::{self, IdToken};

pub use crate::replay_cache::ReplayProtection;

/// The event that makes a token a logout token (section 2.4).
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// The longest `jti` that is accepted, in bytes, because it is remembered.
const MAX_JTI: usize = 512;

/// A verified logout token. Only verification creates one.
#[derive(Clone)]
pub struct LogoutToken {
    claims: Claims,
    issued_at: UnixTime,
    forget_at: UnixTime,
}

impl LogoutToken {
    /// The issuer of the logout token.
    pub fn issuer(&self) -> &str {
        self.text("iss").unwrap_or_default()
    }

    /// `sub`: the user who was signed out. Without [`Self::sid`], the token ends all sessions of this subject.
    pub fn subject(&self) -> Option<&str> {
        self.text("sub")
    }

    /// `sid`: the session that has ended, as in the ID token of its login.
    pub fn sid(&self) -> Option<&str> {
        self.text("sid")
    }

    /// The identifier of this token, unique for its issuer.
    pub fn jti(&self) -> &str {
        self.text("jti").unwrap_or_default()
    }

    /// When the token was issued.
    pub const fn issued_at(&self) -> UnixTime {
        self.issued_at
    }

    /// When the token expires; `None` for a token without `exp` that was accepted anyway.
    pub fn expires_at(&self) -> Option<UnixTime> {
        self.claims.time("exp").ok().flatten()
    }

    /// The time from which [`Self::jti`] need not be remembered, because the token is then refused for its age.
    pub const fn forget_at(&self) -> UnixTime {
        self.forget_at
    }

    /// All claims.
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// Whether this token ends a session of this client (section 2.7): the session with its `sid`, or all sessions of
    /// its subject if it has none. A session without a stored `sid` is ended if the subject matches, because it may be
    /// the one. A `sid` is only compared within one issuer.
    pub fn ends(&self, session: &Session) -> bool {
        if session.issuer != self.issuer() {
            return false;
        }
        match (self.sid(), session.sid.as_deref()) {
            (Some(ended), Some(sid)) => ended == sid,
            _ => self.subject().is_some() && session.subject.as_deref() == self.subject(),
        }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.claims.text(name).ok().flatten()
    }
}

impl fmt::Debug for LogoutToken {
    /// Shows only the names of claims, because they are personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogoutToken")
            .field("claims", &self.claims)
            .finish_non_exhaustive()
    }
}

/// What identifies a session of a client: store it with each session, from the ID token of its login.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Session {
    /// `iss`
    pub issuer: String,
    /// `sub`
    pub subject: Option<String>,
    /// `sid`, if the server named one.
    pub sid: Option<String>,
}

impl Session {
    /// A session at this issuer.
    pub fn new(
        issuer: impl Into<String>,
        subject: impl Into<Option<String>>,
        sid: impl Into<Option<String>>,
    ) -> Self {
        Self {
            issuer: issuer.into(),
            subject: subject.into(),
            sid: sid.into(),
        }
    }

    /// The session that started with the login that returned this ID token.
    pub fn from_id_token(id_token: &IdToken) -> Self {
        let sid = id_token.claims().text("sid").ok().flatten();
        let subject = id_token.subject().to_owned();
        Self::new(id_token.issuer(), subject, sid.map(str::to_owned))
    }
}

/// What a logout token must contain. Issuer, client id and algorithms come from the client.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LogoutTokenChecks {
    /// Audiences that are accepted in addition to the client and those that it trusts
    /// ([`Client::with_trusted_audiences`](crate::Client::with_trusted_audiences)).
    pub trusted_audiences: Vec<String>,
    /// The tolerated clock skew; at most five minutes count.
    pub clock_skew: Duration,
    /// Where received tokens are remembered.
    pub replay: ReplayProtection,
    /// Accepts a token without `exp`, as older servers issue it, if it was issued within this time. A few minutes are
    /// enough.
    pub max_age_without_expiry: Option<Duration>,
}

impl Default for LogoutTokenChecks {
    fn default() -> Self {
        Self {
            trusted_audiences: Vec::new(),
            clock_skew: CLOCK_SKEW,
            replay: ReplayProtection::default(),
            max_age_without_expiry: None,
        }
    }
}

impl LogoutTokenChecks {
    /// Checks a token whose signature is valid, by the rules of section 2.6.
    pub(crate) fn check(
        &self,
        config: &ClientConfig,
        jws: &Jws,
        now: UnixTime,
    ) -> Result<LogoutToken, Error> {
        // "logout+jwt" is recommended, and older servers send no type or "JWT" (section 2.4).
        if !jws.has_type(&["jwt", "logout+jwt"]) {
            let typ = jws.typ.as_deref().unwrap_or_default();
            return Err(Error::from(ValidationFailure::JwtType).about(typ));
        }
        let claims = Claims::parse(jws.payload())?;
        // A `nonce` is prohibited so that a logout token is invalid "in place of an ID Token" (section 2.4), and the
        // other way round.
        if claims.as_map().contains_key("nonce") {
            return Err(Error::from(ValidationFailure::JwtUnexpectedClaim).about("nonce"));
        }
        id_token::issuer(&config.server, &claims)?;
        self.audience(config, &claims)?;
        let (issued_at, forget_at) = self.issued_and_expiry(&claims, now)?;
        let (subject, sid) = (claims.text("sub")?, claims.text("sid")?);
        if subject.or(sid).is_none() {
            return Err(Error::from(ValidationFailure::JwtClaimMissing).about("sub or sid"));
        }
        if [subject, sid].contains(&Some("")) {
            return Err(malformed_claim("sub or sid"));
        }
        check_event(&claims)?;
        let jti = Claims::require_claim("jti", claims.text("jti")?)?;
        if jti.is_empty() || jti.len() > MAX_JTI {
            return Err(malformed_claim("jti"));
        }
        if self.replay == ReplayProtection::Process {
            // Checked last, so that a refused token is not remembered.
            let issuer = claims.text("iss")?.unwrap_or_default();
            let name = (issuer.to_owned(), jti.to_owned());
            let is_new = config.shared.replays.remember(name, forget_at, now);
            if !is_new {
                return Err(Error::from(ValidationFailure::LogoutTokenReplayed).about(jti));
            }
        }
        Ok(LogoutToken {
            claims,
            issued_at,
            forget_at,
        })
    }

    /// "in the same way they are validated in ID Tokens" (step 3).
    fn audience(&self, config: &ClientConfig, claims: &Claims) -> Result<(), Error> {
        let client_id = config.client_id.as_str();
        Claims::require_claim("aud", claims.as_map().get("aud"))?;
        let audience = claims.audience()?;
        let is_trusted = |audience_member: &&str| {
            let mut trusted = self
                .trusted_audiences
                .iter()
                .chain(&config.trusted_audiences);
            *audience_member == client_id || trusted.any(|trusted| trusted == *audience_member)
        };
        let failure = if !audience.contains(&client_id) {
            ValidationFailure::JwtAudience
        } else if !audience.iter().all(is_trusted) {
            ValidationFailure::JwtUntrustedAudience
        } else {
            return Ok(());
        };
        let detail = format!("it names {}, expected {client_id}", audience.join(" "));
        Err(Error::from(failure).about(&detail))
    }

    /// When the token was issued, and when it becomes too old to be accepted.
    fn issued_and_expiry(
        &self,
        claims: &Claims,
        now: UnixTime,
    ) -> Result<(UnixTime, UnixTime), Error> {
        let validity = Validity {
            now,
            clock_skew: self.clock_skew,
        };
        let expires_at = claims.time("exp")?;
        let (None, Some(age)) = (expires_at, self.max_age_without_expiry) else {
            let issued = validity.check(claims)?;
            let expires_at = Claims::require_claim("exp", expires_at)?;
            return Ok((issued, expires_at.after(self.clock_skew)));
        };
        let issued = Claims::require_claim("iat", claims.time("iat")?)?;
        validity.check_issued_at(issued)?;
        let expires_at = issued.after(age).after(self.clock_skew);
        if now >= expires_at {
            return Err(validity.time_error(ValidationFailure::JwtTooOld, issued));
        }
        Ok((issued, expires_at))
    }
}

/// "events ... its value is a JSON object containing the member name" of the event, whose own value "MUST be a
/// JSON object" (section 2.4).
fn check_event(claims: &Claims) -> Result<(), Error> {
    match Claims::require_claim("events", claims.as_map().get("events"))? {
        Value::Object(events) => match events.get(EVENT) {
            Some(Value::Object(_)) => Ok(()),
            Some(_) => Err(malformed_claim("events")),
            None => Err(ValidationFailure::LogoutTokenEvent.into()),
        },
        _ => Err(malformed_claim("events")),
    }
}
