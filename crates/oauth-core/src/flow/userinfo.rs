//! UserInfo: requested (`endpoint/userinfo.rs`), decrypted, verified, and compared with the ID token.
//!
//! OpenID Connect Core <https://openid.net/specs/openid-connect-core-1_0.html#UserInfoResponse>

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::browser_build::IS_BROWSER_BUILD;
use crate::call::Call;
use crate::client_config::ClientConfig;
use crate::endpoint::Endpoint as _;
use crate::endpoint::userinfo::{Response, UserInfo};
use crate::error::{Error, ProtocolViolation, ValidationFailure};
use crate::exchange::{Boxed, Exchange, ExchangeExt as _, Ready};
use crate::flow::verification::Verification;
use crate::jose::{CLOCK_SKEW, Claims, Jws, Validity, decrypt_if_encrypted};
use crate::moment::UnixTime;
use crate::secret::Secret;
use crate::token::Tokens;

/// Requests the claims of the user whom the verified ID token calls `subject`.
pub(crate) fn userinfo(
    config: Arc<ClientConfig>,
    tokens: Arc<Tokens>,
    subject: String,
) -> impl Exchange<Output = Claims> + Send + use<> {
    let call = Call::new(Arc::clone(&config), UserInfo { tokens });
    call.then(move |_, response| match response {
        Response::Plain(claims) => Ok(Ready::new(claims).boxed()),
        Response::Jwt(_) if IS_BROWSER_BUILD => Err(ValidationFailure::UserinfoNotSigned.into()),
        Response::Jwt(token) => claims_of_jwt(config, token),
    })
    .and_then(move |_, claims| compare(claims, &subject).map_err(as_userinfo_error))
}

fn as_userinfo_error(error: Error) -> Error {
    error.at_endpoint(UserInfo::NAME)
}

/// The claims of a response that is signed, encrypted or both, as the client is registered.
fn claims_of_jwt(config: Arc<ClientConfig>, token: Secret<String>) -> Result<Boxed<Claims>, Error> {
    let encryption = config.userinfo_encryption.clone();
    let Some(allowed) = config.userinfo_algs.clone() else {
        // "The UserInfo Response MAY be encrypted without also being signed."
        let text = decrypt_if_encrypted(token, encryption.as_deref()).map_err(as_userinfo_error)?;
        let claims = Claims::parse(text.expose().as_bytes()).map_err(as_userinfo_error)?;
        return Ok(Ready::new(claims).boxed());
    };
    let verification = Verification::new(Arc::clone(&config), token, allowed);
    let verified = verification.encrypted(encryption);
    let claims = verified
        .and_then(move |at, jws| signed(&config, &jws, at.now()).map_err(as_userinfo_error));
    Ok(claims.boxed())
}

/// The claims of a response whose signature is valid.
fn signed(config: &ClientConfig, jws: &Jws, now: UnixTime) -> Result<Claims, Error> {
    // A token of another kind that the same keys have signed is not a UserInfo response (RFC 8725 section 3.11).
    if !jws.has_type(&["jwt", "userinfo+jwt"]) {
        let typ = jws.typ.as_deref().unwrap_or_default();
        return Err(Error::from(ValidationFailure::JwtType).about(typ));
    }
    let claims = Claims::parse(jws.payload())?;
    if claims.get("events").is_some() {
        return Err(Error::from(ValidationFailure::JwtUnexpectedClaim).about("events"));
    }
    // A signed response names its issuer and its audience (OpenID Connect Core section 5.3.2): one that does not may
    // be for another client.
    let (issuer, client_id) = (config.server.issuer().as_str(), config.client_id.as_str());
    claims.check_issuer(issuer)?;
    claims.check_audience(client_id)?;
    let validity = Validity {
        now,
        clock_skew: CLOCK_SKEW,
    };
    validity.check_present(&claims)?;
    Ok(claims)
}

/// "The sub Claim in the UserInfo Response MUST be verified to exactly match the sub Claim in the ID Token; if
/// they do not match, the UserInfo Response values MUST NOT be used." (OpenID Connect Core section 5.3.2)
fn compare(claims: Claims, subject: &str) -> Result<Claims, Error> {
    match claims.text("sub").ok().flatten() {
        None => Err(Error::from(ProtocolViolation::UserinfoShape).about("sub")),
        Some(sub) if sub == subject => Ok(claims),
        Some(_) => Err(ValidationFailure::UserinfoSubject.into()),
    }
}
