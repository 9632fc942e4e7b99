//! The claims about a person by type, and those that other parties vouch for.

use napi::Result;
use napi_derive::napi;
use oauth_facade::Record;

use crate::error::fail;
use crate::value::members;

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

/// The members of the record of these claims, a JSON object.
#[napi]
pub(crate) fn user_claims(claims: String) -> Result<String> {
    let user = oauth_facade::user_claims(&claims).map_err(fail)?;
    Ok(match Record::from(user) {
        Record::Plain(_, told) => members(&told),
        _ => members(&[]),
    })
}
