//! `GET {jwks_uri}`: the server's public keys. When they are fetched is decided in `flow/verification.rs`, and how
//! often in `jose/key_cache.rs`.
//!
//! RFC 7517 <https://www.rfc-editor.org/rfc/rfc7517#section-5>,
//! OpenID Connect Core <https://openid.net/specs/openid-connect-core-1_0.html#RotateSigKeys>

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::{Context, Endpoint, EndpointRequest, Reply};
use crate::error::{Error, ProtocolViolation};
use crate::http::StatusCode;
use crate::http::header::CACHE_CONTROL;
use crate::jose::KeySet;
use crate::server::EndpointKind;

/// Fetches the server's public keys.
#[derive(Debug, Clone, Copy)]
pub struct Jwks;

/// The keys, and how long the server allows caching them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FetchedKeys {
    /// The keys.
    pub keys: KeySet,
    /// `max-age` of `Cache-Control`; zero for `no-store` and `no-cache` (RFC 9111 section 5.2.2).
    pub max_age: Option<Duration>,
}

impl Endpoint for Jwks {
    const NAME: &'static str = "jwks";
    type Output = FetchedKeys;

    fn request(&self, _: &Context<'_>) -> Result<EndpointRequest, Error> {
        Ok(EndpointRequest::get(EndpointKind::Jwks))
    }

    fn read(&self, _: &Context<'_>, reply: Reply<'_>) -> Result<FetchedKeys, Error> {
        if reply.status() != StatusCode::OK {
            return Err(reply.oauth_error());
        }
        let fields = reply.headers().get_all(CACHE_CONTROL).iter();
        let max_age = fields
            .filter_map(|field| max_age(field.to_str().ok()?))
            .min();
        let object = reply.object_or(ProtocolViolation::JwksShape)?;
        let keys = KeySet::read(&object)?;
        Ok(FetchedKeys { keys, max_age })
    }
}

/// The maximum age in one `Cache-Control` field.
fn max_age(field: &str) -> Option<Duration> {
    let value_of = |directive: &str| {
        let directive = directive.trim().to_ascii_lowercase();
        match directive.split_once('=') {
            Some(("max-age", seconds)) => seconds
                .trim_matches('"')
                .parse()
                .ok()
                .map(Duration::from_secs),
            None if ["no-store", "no-cache"].contains(&directive.as_str()) => Some(Duration::ZERO),
            _ => None,
        }
    };
    field.split(',').filter_map(value_of).min()
}
