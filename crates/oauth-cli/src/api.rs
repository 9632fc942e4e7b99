//! The API of a profile: the origins that may receive its tokens, and its rate limit headers.

use oauth_core::danger;
use oauth_core::error::Error;
use oauth_core::flow::resource::{Api, Resource};
use oauth_providers::Provider;

use crate::profile::Profile;

/// The API with the given origins, those of the profile and those of the provider's own API.
pub(crate) fn api(
    profile: &Profile,
    provider: Option<&Provider>,
    extra_origins: &[String],
) -> Result<Api, Error> {
    let mut origins = profile.origins.clone();
    origins.extend_from_slice(extra_origins);
    if let Some(provider) = provider {
        origins.extend(provider.api_origins()?);
    }
    let origins = origins.iter().map(String::as_str);
    let resource = if profile.is_local() {
        danger::loopback_resource(origins)?
    } else {
        Resource::new(origins)?
    };
    let api = Api::new(resource);
    match provider {
        Some(provider) => api
            .with_limiter(provider.api()?.limiter().clone())
            .with_expired_token_replies(provider.expired_token_replies()?),
        None => Ok(api),
    }
}
