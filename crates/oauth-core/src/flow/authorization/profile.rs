//! The requirements of a security profile for an authorization request.

use super::ResponseType;
use super::request::{AuthorizationRequest, Pkce};
use crate::client_config::ClientConfig;
use crate::error::Error;
use crate::pkce::PkceRequirement;
use crate::profile::{Profile, Requirement};
use crate::quirk::Quirk;

/// Turns on what the profile requires, and refuses what it forbids.
///
/// # Errors
/// `profile.forbidden`.
pub(super) fn apply(
    profile: Profile,
    config: &ClientConfig,
    request: &mut AuthorizationRequest,
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
    let breaks = config.server.rules().has(&Quirk::WithoutPkce);
    let has_pkce = || request.pkce == Pkce::S256 && !breaks;
    profile.require(Requirement::Pkce, has_pkce, "PKCE is switched off here")?;
    let signs = || config.request_signing().is_some();
    profile.require(
        Requirement::SignedRequest,
        signs,
        "the client has no key for them",
    )
}
