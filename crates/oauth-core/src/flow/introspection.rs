//! Token introspection, and the verification of signed responses if these are agreed on. The request, and the reading
//! of its response, are in `endpoint/introspection.rs`.
//!
//! RFC 9701 <https://www.rfc-editor.org/rfc/rfc9701#section-5>

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::call::Call;
use crate::client_config::ClientConfig;
use crate::endpoint::Endpoint as _;
use crate::endpoint::introspection::{
    self, Introspect, Introspection, IntrospectionResponse, Response, SignedResponse,
};
use crate::error::{Error, ProtocolViolation, ValidationFailure};
use crate::exchange::{Exchange, ExchangeExt as _, Ready};
use crate::flow::verification::Verification;
use crate::jose::DecryptJwe;
use crate::jose::claims::malformed_claim;
use crate::jose::{CLOCK_SKEW, Claims, Jws, Validity};
use crate::json::{self, Json};
use crate::moment::UnixTime;

/// Asks the server about a token.
pub(crate) fn introspect(
    config: Arc<ClientConfig>,
    request: Introspection,
) -> impl Exchange<Output = IntrospectionResponse> + Send + use<> {
    let signed = request.signed.clone().unwrap_or_default();
    let call = Call::new(Arc::clone(&config), Introspect(request));
    call.then(move |_, response| {
        let token = match response {
            Response::Plain(state) => return Ok(Ready::new(state).boxed()),
            Response::Jwt(token) => token,
        };
        let verification = Verification::new(Arc::clone(&config), token, signed.algs.clone());
        let encryption = signed.encryption.clone();
        let encryption = encryption.map(|encryption| Arc::new(encryption) as Arc<dyn DecryptJwe>);
        let verified = verification.encrypted(encryption).and_then(move |at, jws| {
            let state = read(&config, &signed, &jws, at.now());
            state.map_err(|error| error.at_endpoint(Introspect::NAME))
        });
        Ok(verified.boxed())
    })
}

/// Reads a response whose signature is valid.
fn read(
    config: &ClientConfig,
    signed: &SignedResponse,
    jws: &Jws,
    now: UnixTime,
) -> Result<IntrospectionResponse, Error> {
    // "typ: ... MUST be token-introspection+jwt": the token in question may be signed with the same keys.
    if jws.typ.is_none() || !jws.has_type(&["token-introspection+jwt"]) {
        let typ = jws.typ.as_deref().unwrap_or("none");
        return Err(Error::from(ValidationFailure::JwtType).about(typ));
    }
    let claims = Claims::parse(jws.payload())?;
    claims.check_issuer(config.server.issuer().as_str())?;
    // A response for another resource server may contain more than this one should know, or less.
    let audience = signed.audience.as_deref();
    claims.check_audience(audience.unwrap_or_else(|| config.client_id.as_str()))?;
    Claims::require_claim("iat", claims.time("iat")?)?;
    let validity = Validity {
        now,
        clock_skew: CLOCK_SKEW,
    };
    validity.check_present(&claims)?;
    // Claims outside of `token_introspection` are not about the token (RFC 9701 section 8.1).
    let text = std::str::from_utf8(jws.payload()).unwrap_or_default();
    let Json::Object(mut payload) = json::parse(text)? else {
        return Err(ProtocolViolation::JwtMalformed.into());
    };
    let name = "token_introspection";
    match Claims::require_claim(name, payload.take(name))? {
        Json::Object(object) => introspection::token_state(object, config.server.rules(), now),
        _ => Err(malformed_claim(name)),
    }
}
