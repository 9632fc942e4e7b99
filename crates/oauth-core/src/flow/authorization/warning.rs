//! [`AuthorizationWarning`]: what is wrong with an authorization request that is made anyway.

#[cfg(all(test, feature = "sha2"))]
mod tests;

use super::AuthorizationRequest;
use super::begin::RequestDelivery;
use crate::authorization_details;
use crate::browser_build::IS_BROWSER_BUILD;
use crate::client_config::ClientConfig;

/// A flaw of an authorization request that is made anyway.
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

/// The flaws of a request that reaches the server like this. Builds for pages look for none, to save bytes.
pub(super) fn of(
    config: &ClientConfig,
    request: &AuthorizationRequest,
    delivery: &RequestDelivery,
) -> Vec<AuthorizationWarning> {
    let mut warnings = Vec::new();
    if IS_BROWSER_BUILD {
        return warnings;
    }
    let named = |name: &str| request.extra.iter().find(|(known, _)| known == name);
    let wanted = named("acr_values");
    let supported = config.server.named_list("acr_values_supported");
    if let (Some((_, wanted)), Some(supported)) = (wanted, supported)
        && !wanted
            .split(' ')
            .any(|acr| supported.iter().any(|known| known == acr))
    {
        warnings.push(AuthorizationWarning::AcrValuesUnsupported);
    }
    let mut details = request
        .token_request
        .named(authorization_details::PARAMETER);
    let has_details = details.next().is_some() || named(authorization_details::PARAMETER).is_some();
    let is_open =
        matches!(delivery, RequestDelivery::Browser) && config.request_signing().is_none();
    if is_open && has_details {
        warnings.push(AuthorizationWarning::AuthorizationDetailsUnprotected);
    }
    warnings
}
