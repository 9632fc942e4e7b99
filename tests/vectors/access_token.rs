//! Group `jwt-access-token`: what an API makes of the tokens that it is shown.

use std::time::Duration;

use oauth_core::Scope;
use oauth_core::challenge;
use oauth_core::flow::access_token::{AccessTokenVerifier, Scheme};
use oauth_core::issuer::Issuer;
use oauth_core::jose::KeySet;
use oauth_core::moment::UnixTime;
use oauth_core::server::{EndpointKind, Server};
use serde_json::Value;

use crate::format::{Vector, Verdict, holds, same, texts};
use crate::jws::{Verified, algs, key_set, refused, run};

pub(crate) fn access_token(vector: &Vector) -> Verdict {
    let expect = &vector.input["expect"];
    let verifier = verifier(expect).map_err(|error| error.to_string())?;
    let now = expect["now"].as_u64().ok_or("no time")?;
    let keys = key_set(&Value::Null);
    let known = KeySet::parse(&keys.to_string()).map_err(|error| error.to_string())?;
    verifier.keep_keys(UnixTime::from_secs(now), known);
    let Verified { result, fetches } = run(verifier.verify(vector.must("jwt")?), now, &[keys]);
    // Of a key that is not known, and of a signature that is not good, the server is asked once.
    let is_unsigned = ["at-kid-unknown", "at-bad-signature"].contains(&vector.id.as_str());
    same("fetches", fetches, usize::from(is_unsigned))?;
    let wanted = &vector.expected["ok"];
    let error = match result {
        Ok(token) => {
            holds("is accepted", *wanted == true || wanted.is_object())?;
            if wanted.is_object() {
                let scope: Vec<_> = token.scope().iter().map(str::to_owned).collect();
                same("scope", scope, texts(&wanted["scope"]))?;
            }
            return holds(
                "is of somebody",
                token.subject() == "u" && token.client_id() == "c",
            );
        }
        Err(error) => error,
    };
    refused(&error, vector)?;
    let refusal = verifier.refuse(Scheme::Bearer, &error);
    let status = vector.expected["http_status"].as_u64().unwrap_or(401);
    same("status", u64::from(refusal.status), status)?;
    let text = refusal.challenge.ok_or("no challenge")?;
    let said = challenge::parse([text.as_str()]).map_err(|error| error.to_string())?;
    let said = said.first().ok_or("no challenge")?;
    same("scheme", said.scheme.as_str(), "bearer")?;
    let wanted = vector.expected["challenge_has"].as_object();
    holds(
        "the challenge has an error",
        wanted.is_some() || said.param("error") == Some("invalid_token"),
    )?;
    for (name, value) in wanted.into_iter().flatten() {
        same(name, said.param(name), value.as_str())?;
    }
    Ok(())
}

/// A resource server: no client.
fn verifier(expect: &Value) -> Result<AccessTokenVerifier, oauth_core::Error> {
    let issuer = expect["issuer"].as_str().unwrap_or_default();
    let server = Server::new(Issuer::parse(issuer)?)
        .with_endpoint(EndpointKind::Jwks, &format!("{issuer}/jwks"))?;
    let audience = expect["audience"].as_str().unwrap_or_default();
    let scope = texts(&expect["required_scope"]);
    let acr = texts(&expect["acr_values"]);
    let mut verifier = AccessTokenVerifier::new(server, audience)
        .with_algs(algs(&expect["allowed_algs"]))
        .require_scope(Scope::of(scope.iter().map(String::as_str))?)
        .require_acr(acr.iter().map(String::as_str))?;
    if let Some(age) = expect["max_age"].as_u64() {
        verifier = verifier.require_max_age(Duration::from_secs(age));
    }
    if let Some(skew) = expect["clock_skew"].as_u64() {
        verifier = verifier.with_clock_skew(Duration::from_secs(skew));
    }
    Ok(verifier)
}
