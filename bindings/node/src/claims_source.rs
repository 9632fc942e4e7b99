//! Claims that other parties vouch for.

use napi::Result;
use napi_derive::napi;

use crate::error::fail;

/// A source of such claims.
#[napi(object, object_from_js = false)]
pub(crate) struct NativeClaimsSource {
    /// Its name.
    pub name: String,
    /// Those that it has.
    pub claims: Vec<String>,
    /// The claims, signed.
    pub jwt: Option<String>,
    /// Or where they are.
    pub endpoint: Option<String>,
    /// And the token for there.
    pub access_token: Option<String>,
}

/// The sources that these claims, as JSON, name.
#[napi]
pub(crate) fn claims_sources(claims: String) -> Result<Vec<NativeClaimsSource>> {
    let sources = oauth_facade::claims_sources(&claims).map_err(fail)?;
    let sources = sources.into_iter().map(|source| NativeClaimsSource {
        name: source.name,
        claims: source.claims,
        jwt: source.jwt.map(|jwt| jwt.expose().clone()),
        endpoint: source.endpoint,
        access_token: source.access_token.map(|token| token.expose().clone()),
    });
    Ok(sources.collect())
}
