//! [`AuthorizationWarning`]: problems of an authorization request that do not prevent it.

#[cfg(all(test, feature = "sha2"))]
mod tests;

use super::AuthorizationRequest;
use super::begin::RequestDelivery;
use crate::authorization_details::PARAMETER as DETAILS;
use crate::client_config::ClientConfig;

/// A problem of an authorization request that does not prevent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AuthorizationWarning {
    /// According to its metadata (`acr_values_supported`), the server knows none of the requested `acr_values`: the
    /// login will hardly satisfy the API that requires them (RFC 9470 section 7).
    AcrValuesUnsupported,
    /// The requested `authorization_details` go through the browser unsigned, so that they can be changed on the way.
    /// Push the request or sign it (RFC 9396 section 12).
    AuthorizationDetailsUnprotected,
}

impl AuthorizationWarning {
    /// A stable name of the warning.
    pub const fn code(self) -> &'static str {
        match self {
            Self::AcrValuesUnsupported => "acr_values_unsupported",
            Self::AuthorizationDetailsUnprotected => "authorization_details_unprotected",
        }
    }
}

/// The warnings of a request that is delivered in this way.
pub(super) fn warnings_for(
    config: &ClientConfig,
    request: &AuthorizationRequest,
    delivery: &RequestDelivery,
) -> &'static [AuthorizationWarning] {
    use AuthorizationWarning::{AcrValuesUnsupported, AuthorizationDetailsUnprotected};
    let is_unprotected =
        matches!(delivery, RequestDelivery::Browser) && config.request_signing().is_none();
    let has_details = || {
        let mut typed = request.token_request.values_of(DETAILS);
        typed.next().is_some() || extra(request, DETAILS).is_some()
    };
    match (
        supports_no_requested_acr(config, request),
        is_unprotected && has_details(),
    ) {
        (true, true) => &[AcrValuesUnsupported, AuthorizationDetailsUnprotected],
        (true, false) => &[AcrValuesUnsupported],
        (false, true) => &[AuthorizationDetailsUnprotected],
        (false, false) => &[],
    }
}

/// Whether the server lists `acr` values, and none of those that are requested.
fn supports_no_requested_acr(config: &ClientConfig, request: &AuthorizationRequest) -> bool {
    let supported = config.server.named_list("acr_values_supported");
    let (Some(requested), Some(supported)) = (extra(request, "acr_values"), supported) else {
        return false;
    };
    let is_supported = |acr| supported.iter().any(|value| value == acr);
    !requested.split(' ').any(is_supported)
}

fn extra<'a>(request: &'a AuthorizationRequest, name: &str) -> Option<&'a str> {
    let mut extra = request.extra.iter();
    let parameter = extra.find(|(key, _)| key == name);
    parameter.map(|(_, value)| value.as_str())
}
