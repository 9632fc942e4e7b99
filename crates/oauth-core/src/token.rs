//! [`Tokens`]: the tokens of a grant, bound to the server and client they belong to. The members of a token response
//! are checked in `endpoint/token.rs`; which characters a token may contain in a header, in `flow/resource.rs`.

pub mod access_token;
pub(crate) mod authorized_resources;
pub mod id_token;
pub mod logout_token;
mod refresh_token;
pub mod standard_claims;
pub mod step_up_requirement;
mod stored;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::http::HeaderValue;

use crate::authorization_details::{self, AuthorizationDetails};
use crate::browser_build::IS_BROWSER_BUILD;
use crate::certificate::KnownCertificate;
use crate::client_auth;
use crate::client_config::Binding;
use crate::error::{Error, Misuse, ProtocolViolation, ServerError};
use crate::extra::Extra;
use crate::json::{self, Value};
use crate::moment::UnixTime;
use crate::scope::Scope;
use crate::secret::Secret;
use step_up_requirement::{StepUp, StepUpLogin};
pub(crate) use stored::Stored;
use stored::unreadable_error;

pub use refresh_token::RefreshToken;
pub(crate) use refresh_token::RenewalTokenKind;

/// The longest lifetime of a token, in seconds: 136 years. Larger numbers saturate.
pub const MAX_LIFETIME: u64 = u32::MAX as u64;

/// The two kinds of token, for `token_type_hint` (RFC 7009 section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenKind {
    /// `access_token`
    Access,
    /// `refresh_token`
    Refresh,
}

impl TokenKind {
    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Access => "access_token",
            Self::Refresh => "refresh_token",
        }
    }
}

/// How an access token is used (RFC 6749 section 7.1).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenType {
    /// A bearer token: anyone who holds it can use it (RFC 6750).
    Bearer,
    /// A token bound to a key, sent with a proof of that key (RFC 9449).
    Dpop,
    /// Another type, unchanged, that a custom grant has accepted. Such a token can be stored but not sent.
    Other(String),
}

impl TokenType {
    /// The name on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Bearer => "Bearer",
            Self::Dpop => "DPoP",
            Self::Other(name) => name,
        }
    }

    /// The type with this name. "Value is case insensitive" (RFC 6749 section 5.1)
    pub fn from_name(name: &str) -> Self {
        match () {
            () if name.eq_ignore_ascii_case("bearer") => Self::Bearer,
            () if name.eq_ignore_ascii_case("dpop") => Self::Dpop,
            // "N_A" (RFC 8693 section 2.2.1). A page exchanges no tokens.
            () if !IS_BROWSER_BUILD && name.eq_ignore_ascii_case("n_a") => {
                Self::Other("N_A".to_owned())
            }
            () => Self::Other(name.to_owned()),
        }
    }
}

/// A defect of a token response that was accepted anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// `expires_in` was not a number of seconds; the lifetime counts as unknown.
    MalformedExpiresIn,
    /// The response to a token exchange does not name the type of the issued token, which RFC 8693 section 2.2.1
    /// requires. Several vendors omit it, and its `token_type` still says whether the token is a Bearer one, so only
    /// [`Strictness::Strict`](crate::quirk::Strictness::Strict) refuses that. An identity assertion without it is
    /// always refused, because its type decides where it may be sent.
    IssuedTokenTypeMissing,
    /// `refresh_token_timeout`, or the server's own member for it, was not a number of seconds; the expiry of the
    /// refresh token counts as unknown.
    MalformedRefreshTokenTimeout,
    /// `authorization_expires_in`, or the server's own member for it, was not a number of seconds; the end of the
    /// authorization counts as unknown.
    MalformedAuthorizationExpiresIn,
    /// According to the response, the refresh token outlives the authorization: the earlier end counts.
    RefreshTokenTimeoutExceedsAuthorization,
    /// `scope` contained names that RFC 6749 does not allow, or more than 64 KiB; they were left out.
    MalformedScope,
    /// Not all requested permissions of `authorization_details` were granted (RFC 9396).
    AuthorizationDetailsMissing,
    /// The server granted more than was requested.
    ScopeWidened,
    /// Members that RFC 6749 does not define were left out, because together they are larger than 256 KiB.
    ExtraTooLarge,
    /// The access token contains characters that RFC 6750 section 2.1 does not allow. It is sent as it
    /// is.
    TokenNotToken68,
    /// The login was meant to meet a step-up requirement (RFC 9470), but its ID token has none of the required `acr`
    /// values: the API may refuse the access token for the same reason again.
    AcrNotMet,
    /// The ID token of a refresh has expired or was issued in the future, according to this clock. The token was
    /// accepted, because it came directly from the server: check the clocks.
    IdTokenTimes,
}

impl Warning {
    /// A stable name of the warning.
    pub const fn code(self) -> &'static str {
        match self {
            Self::MalformedExpiresIn => "malformed_expires_in",
            Self::IssuedTokenTypeMissing => "issued_token_type_missing",
            Self::MalformedRefreshTokenTimeout => "malformed_refresh_token_timeout",
            Self::MalformedAuthorizationExpiresIn => "malformed_authorization_expires_in",
            Self::RefreshTokenTimeoutExceedsAuthorization => {
                "refresh_token_timeout_exceeds_authorization"
            }
            Self::MalformedScope => "malformed_scope",
            Self::AuthorizationDetailsMissing => "authorization_details_missing",
            Self::ScopeWidened => "scope_widened",
            Self::TokenNotToken68 => "token_not_token68",
            Self::AcrNotMet => "acr_not_met",
            Self::IdTokenTimes => "id_token_times",
            Self::ExtraTooLarge => "extra_too_large",
        }
    }
}

/// The member of a token response that names the type of the issued token.
pub(crate) const ISSUED_TOKEN_TYPE: &str = "issued_token_type";

/// Whether a token has expired or is about to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Valid for longer than the given leeway.
    Fresh,
    /// Expired, or about to expire within the leeway.
    Stale,
    /// The server stated no lifetime: only a 401 shows that the token has expired.
    Unknown,
}

/// The tokens of one grant (RFC 6749 section 5.1).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Tokens {
    /// The access token. Opaque to the client (RFC 9068 section 6).
    pub access_token: Secret<String>,
    /// How the access token is used.
    pub token_type: TokenType,
    /// When the token response arrived.
    pub received_at: UnixTime,
    /// The lifetime in seconds from that time, if the server named one.
    pub expires_in: Option<u64>,
    /// When the user's authorization ends, even if tokens are renewed before, if the server said so:
    /// `authorization_expires_in` (draft-ietf-oauth-refresh-token-expiration-03 section 6.1). Only the user can extend
    /// it. It may also be extended or ended elsewhere.
    pub authorization_expires_at: Option<UnixTime>,
    /// The granted scope: as the server stated it, or as requested if it stated none.
    pub scope: Scope,
    /// The refresh token: a new one, or after a refresh the old one if the server sent none.
    pub refresh_token: Option<RefreshToken>,
    /// The newest ID token of the grant, as received. It is not verified: verify it before use. An ID token from a
    /// refresh must be for the same user at the same server, or it is refused (OpenID Connect Core section
    /// 12.2); if a refresh returns none, the previous one is kept.
    pub id_token: Option<Secret<String>>,
    /// The members that RFC 6749 does not define.
    pub extra: Extra,
    /// The defects of the token response.
    pub warnings: Vec<Warning>,
    /// The step-up login from which the tokens come, if any.
    pub(crate) step_up_login: Option<Arc<StepUpLogin>>,
    /// The certificate that the access token is bound to.
    pub(crate) certificate: KnownCertificate,
    pub(crate) binding: Arc<Binding>,
}

impl Tokens {
    /// Whether the tokens are renewed with the access token instead of a refresh token
    /// ([`SelfRenewal`](crate::self_renewal::SelfRenewal)).
    pub(crate) fn renews_with_access_token(&self) -> bool {
        let refresh = self.refresh_token.as_ref();
        refresh.is_some_and(|refresh| refresh.secret().matches(self.access_token.expose()))
    }

    /// An access token that does not come from a grant of this crate, such as one made in a provider's console: it has
    /// no issuer and no known expiry, and cannot be renewed.
    pub fn bearer(access_token: impl Into<Secret<String>>) -> Self {
        let binding = Binding {
            issuer: String::new(),
            client_id: String::new(),
        };
        Self {
            access_token: access_token.into(),
            token_type: TokenType::Bearer,
            received_at: UnixTime::from_secs(0),
            expires_in: None,
            authorization_expires_at: None,
            scope: Scope::default(),
            refresh_token: None,
            id_token: None,
            extra: Extra::default(),
            warnings: Vec::new(),
            step_up_login: None,
            certificate: KnownCertificate::default(),
            binding: Arc::new(binding),
        }
    }

    /// What an API required of the user at the login of these tokens (RFC 9470), if they come from a step-up.
    pub fn step_up(&self) -> Option<&StepUp> {
        Some(&self.step_up_login.as_ref()?.step_up)
    }

    /// The type of the access token that a token exchange has issued (RFC 8693 section 2.2.1), if the server names it:
    /// a URI, such as those of [`token_type`](crate::grant::token_type).
    pub fn issued_token_type(&self) -> Option<&str> {
        self.extra.get(ISSUED_TOKEN_TYPE)?.as_str()
    }

    /// The permissions that were granted (RFC 9396 section 7), if the server lists them; it may have enriched them.
    ///
    /// # Errors
    /// `token_response.malformed` if they are malformed.
    pub fn authorization_details(&self) -> Result<Option<AuthorizationDetails>, Error> {
        let details = self.extra.get(authorization_details::PARAMETER);
        // As everywhere in a response, null is the same as absence.
        let details = details.filter(|details| !matches!(details, Value::Null));
        let read = details.map(AuthorizationDetails::from_value).transpose();
        read.map_err(|error| {
            let member = error.detail().unwrap_or_default();
            Error::from(ProtocolViolation::TokenShape)
                .about(member)
                .at_endpoint("token")
        })
    }

    /// Returns the tokens with this expiry of the access token.
    #[must_use]
    pub const fn expiring_at(mut self, expires_at: UnixTime) -> Self {
        self.expires_in = Some(
            expires_at
                .as_secs()
                .saturating_sub(self.received_at.as_secs()),
        );
        self
    }

    /// Checks that a token that cannot be renewed is still usable. `refused` is a token that a resource server refused,
    /// if any.
    ///
    /// # Errors
    /// `grant.revoked` if it is the refused one, `grant.expired` if it has expired.
    pub fn check_fixed(&self, now: UnixTime, refused: Option<&Self>) -> Result<(), Error> {
        let is_this_token =
            |refused: &Self| self.access_token.matches(refused.access_token.expose());
        if refused.is_some_and(is_this_token) {
            return Err(ServerError::revoked().into());
        }
        match self.expires_at() {
            Some(expires_at) if now >= expires_at => Err(Misuse::TokenExpired.into()),
            _ => Ok(()),
        }
    }

    /// The access token, if it is a bearer token. A token that is bound to a key is never sent as a bearer token, but
    /// with a proof of that key.
    ///
    /// # Errors
    /// `key.missing`, `token.unsupported_token_type`.
    pub fn bearer_token(&self) -> Result<&Secret<String>, Error> {
        match &self.token_type {
            TokenType::Bearer => Ok(&self.access_token),
            TokenType::Dpop => Err(Misuse::KeyMissing.into()),
            TokenType::Other(name) => {
                Err(Error::from(ProtocolViolation::TokenTypeUnknown).about(name))
            }
        }
    }

    /// Whether the token was made by [`Self::bearer`], so that it has no issuer and client.
    pub(crate) fn has_no_issuer(&self) -> bool {
        self.binding.issuer.is_empty() && self.binding.client_id.is_empty()
    }

    /// Adds a warning if not all requested permissions were granted (RFC 9396 section 7).
    pub(crate) fn compare_details(
        &mut self,
        requested: Option<&AuthorizationDetails>,
    ) -> Result<(), Error> {
        let Some(requested) = requested else {
            return Ok(());
        };
        let granted = self.authorization_details()?.unwrap_or_default();
        if requested.missing_from(&granted).next().is_some() {
            self.warnings.push(Warning::AuthorizationDetailsMissing);
        }
        Ok(())
    }

    /// When the access token expires, if the server named a lifetime: never later than the authorization.
    pub fn expires_at(&self) -> Option<UnixTime> {
        let end = self
            .expires_in
            .map(|seconds| self.received_at.after(Duration::from_secs(seconds)));
        match (end, self.authorization_expires_at) {
            (Some(end), Some(authorization_end)) => Some(end.min(authorization_end)),
            (end, authorization_end) => end.or(authorization_end),
        }
    }

    /// When the refresh token expires if it is not used before, see [`RefreshToken::expires_at`].
    pub fn refresh_token_expires_at(&self) -> Option<UnixTime> {
        self.refresh_token.as_ref()?.expires_at
    }

    /// Whether the access token is still valid at `now`, with `leeway` to spare.
    pub fn freshness(&self, now: UnixTime, leeway: Duration) -> Freshness {
        match self.expires_at() {
            None => Freshness::Unknown,
            Some(expires_at) if now.after(leeway) < expires_at => Freshness::Fresh,
            Some(_) => Freshness::Stale,
        }
    }

    /// The issuer of the tokens.
    pub fn issuer(&self) -> &str {
        &self.binding.issuer
    }

    /// The client to which the tokens were issued.
    pub fn client_id(&self) -> &str {
        &self.binding.client_id
    }

    /// The tokens as JSON, with everything needed to continue after a restart. Store it where secrets belong.
    pub fn to_json(&self) -> Secret<String> {
        Secret::new(json::to_text(&self.to_stored()))
    }

    pub(crate) fn to_stored(&self) -> Stored {
        let refresh = self.refresh_token.as_ref();
        Stored {
            // Version 2 for a DPoP token, because a release that knows only version 1 would send it as a bearer token.
            version: match self.token_type {
                TokenType::Bearer => 1,
                TokenType::Dpop | TokenType::Other(_) => 2,
            },
            token_type: Some(self.token_type.as_str().to_owned()),
            issuer: self.binding.issuer.clone(),
            client_id: self.binding.client_id.clone(),
            access_token: self.access_token.expose().clone(),
            received_at: self.received_at,
            expires_in: self.expires_in,
            authorization_until: self.authorization_expires_at,
            scope: self.scope.clone(),
            refresh_token: refresh.map(|token| token.secret.expose().clone()),
            refresh_scope: refresh.map(|token| token.scope.clone()),
            requested_scope: refresh
                .filter(|token| !token.scope.covers(&token.requested))
                .map(|token| token.requested.clone()),
            resources: refresh
                .map(|token| token.resources.clone())
                .unwrap_or_default(),
            id_token: self.id_token.as_ref().map(|token| token.expose().clone()),
            answered: self.step_up_login.as_deref().cloned(),
            refresh_jkt: refresh
                .and_then(|token| token.dpop_jkt.as_deref())
                .map(str::to_owned),
            refresh_token_use_by: self.refresh_token_expires_at(),
            x5t_s256: self.certificate.clone(),
            extra: self.extra.0.clone(),
        }
    }

    /// Reads what [`Self::to_json`] wrote. The owner is checked when the tokens are used.
    ///
    /// # Errors
    /// `stored.malformed`, which names a member that is missing.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        Self::from_stored(json::from_text(text).ok_or_else(|| unreadable_error(text))?)
    }

    pub(crate) fn from_stored(stored: Stored) -> Result<Self, Error> {
        let token_type = match (stored.version, stored.token_type.as_deref()) {
            (1, None) => TokenType::Bearer,
            (1 | 2, Some(name)) => TokenType::from_name(name),
            _ => return Err(Error::from(Misuse::StoredForm).about("version")),
        };
        if stored.version == 1 && token_type != TokenType::Bearer {
            return Err(Error::from(Misuse::StoredForm).about("token_type"));
        }
        let binding = Arc::new(Binding {
            issuer: stored.issuer,
            client_id: stored.client_id,
        });
        let refresh_scope = stored.refresh_scope.unwrap_or_else(|| stored.scope.clone());
        let requested = stored
            .requested_scope
            .unwrap_or_else(|| refresh_scope.clone());
        let renews = if stored.refresh_token.as_ref() == Some(&stored.access_token) {
            RenewalTokenKind::AsAccessToken(stored.expires_in)
        } else {
            RenewalTokenKind::AsRefreshToken
        };
        let id_token = stored.id_token.map(Secret::new);
        let step_up_login = stored.answered.map(Arc::new);
        Ok(Self {
            access_token: Secret::new(stored.access_token),
            token_type,
            received_at: stored.received_at,
            expires_in: stored.expires_in,
            authorization_expires_at: stored.authorization_until,
            scope: stored.scope,
            refresh_token: stored.refresh_token.map(|secret| RefreshToken {
                secret: Secret::new(secret),
                scope: refresh_scope,
                requested,
                resources: stored.resources,
                id_token: id_token.clone(),
                step_up_login: step_up_login.clone(),
                dpop_jkt: stored.refresh_jkt.map(Into::into),
                certificate: stored.x5t_s256.clone(),
                expires_at: stored.refresh_token_use_by,
                renews,
                authorization_expires_at: stored.authorization_until,
                binding: Arc::clone(&binding),
            }),
            id_token,
            step_up_login,
            certificate: stored.x5t_s256,
            extra: Extra(stored.extra),
            warnings: Vec::new(),
            binding,
        })
    }
}

/// The value of an `Authorization` header with this token, according to its type.
///
/// # Errors
/// `token.not_ascii`, `token.not_token68`; `token.unsupported_token_type` for a type without a known header form.
pub(crate) fn authorization_header(
    token_type: &TokenType,
    token: &Secret<String>,
) -> Result<HeaderValue, Error> {
    let scheme = match token_type {
        TokenType::Bearer | TokenType::Dpop => token_type.as_str(),
        TokenType::Other(name) => {
            return Err(Error::from(ProtocolViolation::TokenTypeUnknown).about(name));
        }
    };
    let text = token.expose();
    if !text.is_ascii() {
        return Err(Misuse::TokenNotAscii.into());
    }
    let is_empty = text.trim_end_matches('=').is_empty();
    if is_empty || !text.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(Misuse::TokenNotToken68.into());
    }
    client_auth::header_value([scheme, " ", text].concat())
}
