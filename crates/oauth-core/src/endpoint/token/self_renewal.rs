//! Renewal of an access token with itself, at a proprietary endpoint (Meta's).
//!
//! The refresh token grant (RFC 6749 section 6) is in `grant/refresh_token.rs` and `endpoint/token.rs`.

use crate::endpoint::{Auth, Body, EndpointRequest};
use crate::error::{Error, Misuse};
use crate::form::Form;
use crate::http::Method;
use crate::moment::UnixTime;
use crate::self_renewal::SelfRenewal;
use crate::token::RefreshToken;

/// The request for another token.
///
/// # Errors
/// `grant.no_refresh_token` for a token that has expired.
pub(super) fn request(
    renewal: &SelfRenewal,
    token: &RefreshToken,
    now: UnixTime,
) -> Result<EndpointRequest, Error> {
    if token.expires_at.is_some_and(|expires_at| expires_at <= now) {
        return Err(Misuse::NoRefreshToken.into());
    }
    let mut form = Form::new();
    form.push("grant_type", &renewal.grant_type);
    form.push(&renewal.token_parameter, token.secret().expose());
    let body = if renewal.method == Method::GET {
        Body::Query(form)
    } else {
        Body::Form(form)
    };
    let auth = if renewal.authenticates {
        Auth::Client {
            purpose: "refresh_token",
        }
    } else {
        Auth::None
    };
    let request = EndpointRequest::new(renewal.method.clone(), &renewal.endpoint);
    Ok(request.body(body).auth(auth))
}
