//! The requirements of a security profile (`security_profile.rs` of the crate) for an authorization request.

use super::request::{AuthorizationRequest, Pkce};
use super::{HostGeneratedValues, ResponseType, jarm};
use crate::browser_build::IS_BROWSER_BUILD;
use crate::client_config::ClientConfig;
use crate::error::Error;
use crate::pkce::PkceRequirement;
use crate::quirk::Quirk;
use crate::security_profile::{Requirement, SecurityProfile};
use crate::token::id_token;

/// How long a signed request may be valid, in seconds (FAPI 2.0 Message Signing section 5.3.2).
const MAX_REQUEST_LIFETIME_SECONDS: u32 = 60 * 60;

/// How many characters a `nonce` may have: a server "may reject nonce values longer than 64 characters" (FAPI 2.0
/// Security Profile section 5.3.2.2).
const MAX_NONCE_LENGTH: usize = 64;

/// Enables the features that the profile requires, and refuses those that it forbids.
///
/// # Errors
/// `profile.forbidden`.
pub(super) fn apply(
    profile: SecurityProfile,
    config: &ClientConfig,
    request: &mut AuthorizationRequest,
    values: Option<&HostGeneratedValues>,
) -> Result<(), Error> {
    config.check_profile()?;
    if profile.requires(Requirement::PkceAdvertised) {
        request.pkce_requirement = PkceRequirement::Advertised;
    }
    if profile.requires(Requirement::SignedResponse) {
        request.response_mode = request.response_mode.signed();
    }
    request.issuer_required |= profile.requires(Requirement::IssuerInResponse);
    let kind = request.response_type;
    let is_code = || kind == ResponseType::Code;
    profile.require(Requirement::CodeOnly, is_code, kind.as_str())?;
    let breaks_with_pkce = config.server.rules().has(&Quirk::WithoutPkce);
    let has_pkce = || request.pkce == Pkce::S256 && !breaks_with_pkce;
    profile.require(Requirement::Pkce, has_pkce, "PKCE is switched off here")?;
    let signs = || config.request_signing().is_some();
    profile.require(
        Requirement::SignedRequest,
        signs,
        "the client has no key for them",
    )?;
    check_nonce(profile, request, values)?;
    check_signatures(profile, config, request)
}

/// Checks a nonce that the host has generated. One that is made here has 43 characters.
fn check_nonce(
    profile: SecurityProfile,
    request: &AuthorizationRequest,
    values: Option<&HostGeneratedValues>,
) -> Result<(), Error> {
    // No profile of a page demands this.
    if IS_BROWSER_BUILD {
        return Ok(());
    }
    let is_openid = request.token_request.scope.contains("openid");
    let length = values.map_or(0, HostGeneratedValues::nonce_length);
    let is_short = || !is_openid || length <= MAX_NONCE_LENGTH;
    profile.require(
        Requirement::ShortNonce,
        is_short,
        "the nonce of the host has more",
    )
}

/// Checks how long signed requests are valid, and that the user does not sign in for a token or a response that will be
/// refused for its algorithm.
fn check_signatures(
    profile: SecurityProfile,
    config: &ClientConfig,
    request: &AuthorizationRequest,
) -> Result<(), Error> {
    // No profile of a page demands any of this.
    if IS_BROWSER_BUILD {
        return Ok(());
    }
    let is_short = || {
        let signing = config.request_signing();
        signing.is_none_or(|signing| signing.lifetime_seconds() <= MAX_REQUEST_LIFETIME_SECONDS)
    };
    profile.require(
        Requirement::ShortRequest,
        is_short,
        "the client's are valid for longer",
    )?;
    let is_openid = request.token_request.scope.contains("openid");
    let has_id_token = || !is_openid || !id_token::allowed_algs(config).is_empty();
    profile.require(
        Requirement::Algorithms,
        has_id_token,
        "the client and the server agree on others for ID tokens",
    )?;
    let is_signed = request.response_mode.is_jwt();
    let has_response = || !is_signed || !jarm::allowed_algs(config).is_empty();
    profile.require(
        Requirement::Algorithms,
        has_response,
        "the client and the server agree on others for authorization responses",
    )
}
