//! Tokens of workloads, signed by a platform whose key is registered: for client authentication, and for token
//! exchange.
//!
//! RFC 7523 section 2.2, RFC 8693 section 2.1, OAuth SPIFFE Client Authentication section 3.1

use oauth_core::moment::UnixTime;
use serde_json::Value;

use super::authority::{Authority, Grant};
use super::client_auth::Client;
use super::jwt::Jwt;
use super::token_exchange;
use super::wire::ReceivedRequest;

/// The token type of a JWT as the subject of an exchange.
pub(super) const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const KINDS: [&str; 2] = [
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe",
];

/// Whether a workload needs no client authentication: its token identifies it. "Client authentication ... allows
/// additional authorization checks" (RFC 8693 section 2.1), and Google's exchange does without.
pub(super) fn nobody(request: &ReceivedRequest, grant_type: &str) -> bool {
    grant_type == token_exchange::GRANT && request.form("subject_token_type") == Some(JWT)
}

/// The confidential client, to which every workload of a registered platform is mapped. A platform issues the same
/// token until it replaces it, so a token may be used repeatedly.
pub(super) fn client(
    authority: &Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    assertion: &str,
) -> Result<Client, &'static str> {
    if !request
        .form("client_assertion_type")
        .is_some_and(|kind| KINDS.contains(&kind))
    {
        return Err("unsupported client_assertion_type");
    }
    let id = authority.rules.client_id;
    if request
        .form("client_id")
        .is_some_and(|claimed| claimed != id)
    {
        return Err("there is no such client");
    }
    token(authority, at, assertion)?;
    Ok(Client {
        id: id.to_owned(),
        is_public: false,
    })
}

/// Issues an access token whose subject is the workload, as named by its platform.
pub(super) fn exchanged(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    client: Client,
    subject: &str,
) -> Result<Value, (&'static str, &'static str)> {
    let jwt =
        token(authority, at, subject).map_err(|description| ("invalid_request", description))?;
    let scope = authority.scope(request.form("scope"));
    let grant = Grant {
        client_id: client.id,
        subject: jwt.text("sub").map(str::to_owned),
        scope: scope.map_err(|description| ("invalid_scope", description))?,
        family: authority.new_family(),
        resources: token_exchange::targets(request)?,
        ..Grant::default()
    };
    Ok(authority.issue(at, grant, false))
}

/// Parses a token of a registered platform that is only for this server and has not expired.
fn token(authority: &Authority, at: UnixTime, text: &str) -> Result<Jwt, &'static str> {
    let jwt = authority.trust.signed(Jwt::read(text)?)?;
    let is_us = |name: &Value| *name == *authority.rules.issuer;
    let names_this_server = match &jwt.claims["aud"] {
        Value::Array(many) => matches!(many.as_slice(), [one] if is_us(one)),
        one => is_us(one),
    };
    if !names_this_server {
        return Err("aud must be the issuer");
    }
    jwt.check_validity_period(at)?;
    Ok(jwt)
}
