//! The typed standard claims about a user, and aggregated and distributed claims.

use napi::Result;
use napi_derive::napi;
use oauth_facade::Record;

use crate::error::fail;
use crate::value::members;

/// A source of aggregated or distributed claims.
#[napi(object, object_from_js = false)]
pub(crate) struct NativeClaimsSource {
    /// Its name.
    pub name: String,
    /// The names of the claims that it supplies.
    pub claims: Vec<String>,
    /// The claims as a signed JWT (aggregated claims).
    pub jwt: Option<String>,
    /// The URL of the claims (distributed claims).
    pub endpoint: Option<String>,
    /// The access token for the endpoint.
    pub access_token: Option<String>,
}

/// The sources that a user's claims, a JSON object, refer to.
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

/// The members of the record of these claims, a JSON object.
#[napi]
pub(crate) fn user_claims(claims: String) -> Result<String> {
    let user = oauth_facade::user_claims(&claims).map_err(fail)?;
    Ok(match Record::from(user) {
        Record::Plain(_, told) => members(&told),
        _ => members(&[]),
    })
}
