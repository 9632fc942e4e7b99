//! Identity assertion grants: access to another organization's server with an existing sign-in. The identity provider
//! issues an assertion for that server, which exchanges it for a token. No browser is needed, and the identity
//! provider decides. The token request, and the `token_type` that its response must have, are in `grant/id_jag.rs`.
//!
//! draft-ietf-oauth-identity-assertion-authz-grant
//! <https://datatracker.ietf.org/doc/draft-ietf-oauth-identity-assertion-authz-grant/>; MCP calls it enterprise-managed
//! authorization.

mod access;
#[cfg(not(all(feature = "js", target_family = "wasm")))]
mod sign_in;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::call::Call;
use crate::client_config::ClientConfig;
use crate::client_metadata::ID_JAG;
use crate::endpoint::token::TokenEndpoint;
use crate::error::{Error, Misuse, ProtocolViolation, ValidationFailure};
use crate::exchange::{Boxed, ExchangeExt as _, Ready};
use crate::grant::{IdJag, IdentitySubject, JwtBearer, TokenRequest, token_type};
use crate::jose::{CLOCK_SKEW, Claims, Unverified, Validity};
use crate::moment::UnixTime;
use crate::scope::Scope;
use crate::secret::Secret;
use crate::server::Server;
use crate::token::Tokens;

pub use access::IdentityAccess;
#[cfg(not(all(feature = "js", target_family = "wasm")))]
pub(crate) use sign_in::SignInElsewhere;
#[cfg(not(all(feature = "js", target_family = "wasm")))]
pub use sign_in::SubjectSlot;

/// The type of the assertion (section 3).
const TYPE: &str = "oauth-id-jag+jwt";

/// The request to the identity provider.
#[derive(Debug, Clone)]
pub struct IdentityAssertionRequest {
    subject: IdentitySubject,
    audience: String,
    token_request: TokenRequest,
}

/// An assertion for one other server: a secret that grants no access by itself and may be valid only once, because
/// servers may refuse one that they have already seen.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct IdentityAssertion {
    /// The assertion, to be sent to the server of `audience` and nowhere else.
    pub assertion: Secret<String>,
    /// The issuer of the server that the assertion is for.
    pub audience: String,
    /// When the assertion expires, if known.
    pub expires_at: Option<UnixTime>,
    /// The scope that the identity provider allows, which may be less than requested.
    pub scope: Scope,
}

impl IdentityAssertionRequest {
    /// A request for an assertion for the server of this issuer, and for what will be requested there: scope, resource
    /// (its RFC 9728 identifier) and `authorization_details`.
    ///
    /// # Errors
    /// `identity_assertion.audience` without an audience, or with a second one in `token_request`.
    pub fn new(
        subject: IdentitySubject,
        audience: impl Into<String>,
        token_request: impl Into<TokenRequest>,
    ) -> Result<Self, Error> {
        let (audience, token_request) = (audience.into(), token_request.into());
        if audience.is_empty() || token_request.values_of("audience").next().is_some() {
            return Err(Misuse::IdentityAudience.into());
        }
        Ok(Self {
            subject,
            audience,
            token_request,
        })
    }
}

/// Whether a server announces that it accepts identity assertions (section 7.2). If it does not, they may still be
/// tried if they are configured.
pub fn is_advertised(server: &Server) -> bool {
    let profiles = server.list("authorization_grant_profiles_supported", &[]);
    profiles.iter().any(|name| name == ID_JAG)
}

/// Sends the request to the identity provider; `config` is a client of it.
pub(crate) fn request(
    config: Arc<ClientConfig>,
    request: IdentityAssertionRequest,
) -> Boxed<IdentityAssertion> {
    let checked = Ready::new(()).and_then(move |at, ()| {
        check_issued_to_client(&config, &request.subject, at.now())?;
        Ok((config, request))
    });
    let assertion = checked.then(|_, (config, request)| {
        let grant = IdJag::new(&request.subject)?;
        let token_request = request.token_request.audience(&request.audience);
        let call = Call::new(
            Arc::clone(&config),
            TokenEndpoint::new(grant, token_request),
        );
        let audience = request.audience;
        Ok(call.and_then(move |_, tokens| read(&config, tokens, audience)))
    });
    assertion.boxed()
}

/// The ID token must have been issued to this client: one of another client, or an expired one, would only be refused,
/// and is not sent.
fn check_issued_to_client(
    config: &ClientConfig,
    subject: &IdentitySubject,
    now: UnixTime,
) -> Result<(), Error> {
    let IdentitySubject::IdToken(token) = subject else {
        return Ok(());
    };
    let token = Unverified::parse(token.expose())?;
    let Some(claims) = token.claims() else {
        return Ok(());
    };
    claims.check_audience(config.client_id.as_str())?;
    match claims.time("exp")? {
        Some(expires) => validity(now).not_expired(expires),
        None => Ok(()),
    }
}

const fn validity(now: UnixTime) -> Validity {
    Validity {
        now,
        clock_skew: CLOCK_SKEW,
    }
}

/// The type determines what the string may be used for, so it is never read leniently. The assertion itself is read but
/// not verified: this client is not its audience, but must not send it to another one.
fn read(
    config: &ClientConfig,
    tokens: Tokens,
    audience: String,
) -> Result<IdentityAssertion, Error> {
    match tokens.issued_token_type() {
        Some(token_type::ID_JAG) => {}
        Some(other) => {
            return Err(Error::from(ProtocolViolation::IssuedTokenTypeOther).about(other));
        }
        None => return Err(ProtocolViolation::IssuedTokenTypeMissing.into()),
    }
    let expires = tokens.expires_in.map(Duration::from_secs);
    let mut expires_at = expires.map(|expires_in| tokens.received_at.after(expires_in));
    let assertion = Unverified::parse(tokens.access_token.expose())?;
    if let Some(claims) = assertion.claims() {
        check_type(&assertion)?;
        claims.check_sole_audience(&audience)?;
        let exp = claims.time("exp")?;
        expires_at = expires_at.into_iter().chain(exp).min();
        check_key_binding(config, claims)?;
    }
    Ok(IdentityAssertion {
        assertion: tokens.access_token,
        audience,
        expires_at,
        scope: tokens.scope,
    })
}

/// Checks that the header names the type of these assertions (section 3.1), so that no other token is sent on as one. A
/// name without a slash abbreviates `application/` with that name, in any case (RFC 7515 section 4.1.9).
fn check_type(assertion: &Unverified) -> Result<(), Error> {
    let typ = assertion.header().get("typ").and_then(|typ| typ.as_str());
    let media_type = typ.unwrap_or_default().to_ascii_lowercase();
    let media_type = media_type
        .strip_prefix("application/")
        .unwrap_or(&media_type);
    if media_type == TYPE {
        Ok(())
    } else {
        Err(Error::from(ValidationFailure::JwtType).about(typ.unwrap_or("none")))
    }
}

/// A client that proved possession of a key gets an assertion that is bound to it (section 8).
#[cfg(feature = "sha2")]
fn check_key_binding(config: &ClientConfig, claims: &Claims) -> Result<(), Error> {
    let Some(key) = &config.dpop else {
        return Ok(());
    };
    let jkt = claims
        .get("cnf")
        .and_then(|cnf| cnf.as_object()?.get("jkt")?.as_str());
    if jkt == Some(&key.thumbprint()) {
        Ok(())
    } else {
        Err(ValidationFailure::TokenUnbound.into())
    }
}

#[cfg(not(feature = "sha2"))]
fn check_key_binding(_: &ClientConfig, _: &Claims) -> Result<(), Error> {
    Ok(())
}

/// Presents an assertion to its audience, as the client that is registered there.
pub(crate) fn redeem(
    config: Arc<ClientConfig>,
    assertion: IdentityAssertion,
    token_request: TokenRequest,
) -> Boxed<Tokens> {
    let checked = Ready::new(()).and_then(move |moment, ()| {
        let issuer = config.server.issuer().as_str();
        if assertion.audience != issuer {
            let detail = format!("it is for {}, this is {issuer}", assertion.audience);
            return Err(Error::from(ValidationFailure::JwtAudience).about(&detail));
        }
        if let Some(expires) = assertion.expires_at
            && moment.now() >= expires
        {
            return Err(validity(moment.now()).time_error(ValidationFailure::JwtExpired, expires));
        }
        let grant = JwtBearer::new(assertion.assertion)?;
        Ok((config, TokenEndpoint::new(grant, token_request)))
    });
    checked
        .then(|_, (config, token)| Ok(Call::new(config, token)))
        .boxed()
}

impl IdentityAssertion {
    /// Reads an assertion that was stored elsewhere. Its audience and expiry are read from it.
    ///
    /// # Errors
    /// `jws.malformed`, `jwt.*` if it is not an assertion for one server; an encrypted one cannot be read.
    pub fn parse(assertion: impl Into<Secret<String>>) -> Result<Self, Error> {
        let assertion = assertion.into();
        let token = Unverified::parse(assertion.expose())?;
        let claims = token.claims().ok_or(ValidationFailure::JweUnexpected)?;
        check_type(&token)?;
        let audience = match claims.audience()?.as_slice() {
            [audience] => (*audience).to_owned(),
            _ => return Err(ValidationFailure::JwtAudience.into()),
        };
        let scope = claims
            .text("scope")?
            .map_or(Ok(Scope::none()), Scope::parse)?;
        Ok(Self {
            audience,
            expires_at: claims.time("exp")?,
            scope,
            assertion,
        })
    }
}
