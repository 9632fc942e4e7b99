//! Aggregated and distributed claims, which other parties assert (OpenID Connect Core section 5.6.2), as every language
//! returns them. They are parsed in `token/standard_claims.rs` of oauth-core.

use oauth_core::jose::Claims;
use oauth_core::token::standard_claims::ClaimsPlace;
use oauth_core::{Error, Secret};

/// A source of such claims: with a JWT if they are aggregated, with an endpoint if they are distributed.
#[derive(Debug)]
pub struct ClaimsSource {
    /// The source's name in the token.
    pub name: String,
    /// The claims that the source has.
    pub claims: Vec<String>,
    /// The JWT of the other party, not verified.
    pub jwt: Option<Secret<String>>,
    /// Where the claims are.
    pub endpoint: Option<String>,
    /// The token to send there.
    pub access_token: Option<Secret<String>>,
}

/// The sources that these claims, a JSON object, name.
///
/// # Errors
/// The errors of [`Claims::sources`], and `jwt.malformed` for no JSON object.
pub fn claims_sources(claims: &str) -> Result<Vec<ClaimsSource>, Error> {
    let claims = Claims::from_json(claims)?;
    let sources = claims.sources()?.into_iter();
    Ok(sources
        .map(|source| {
            let (jwt, endpoint, access_token) = match source.location {
                ClaimsPlace::Aggregated(jwt) => (Some(jwt), None, None),
                ClaimsPlace::Distributed {
                    endpoint,
                    access_token,
                } => (None, Some(endpoint.to_owned()), access_token),
                // The enum is of another crate, and has no more.
                _ => (None, None, None),
            };
            ClaimsSource {
                name: source.name.to_owned(),
                claims: source.claims.into_iter().map(str::to_owned).collect(),
                jwt,
                endpoint,
                access_token,
            }
        })
        .collect())
}
