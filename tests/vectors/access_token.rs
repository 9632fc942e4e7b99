//! Group `jwt-access-token`: a resource server verifies JWT access tokens (RFC 9068).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::Response;
use oauth_core::challenge;
use oauth_core::flow::access_token::{AccessTokenVerifier, Scheme};
use oauth_core::issuer::Issuer;
use oauth_core::jose::KeySet;
use oauth_core::moment::UnixTime;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::token::access_token::ProvenKeys;
use oauth_core::{Exchange, Input, Moment, Scope, Step};
use serde_json::{Value, json};

use crate::expect::wanted_classes;
use crate::format::{Vector, Verdict, check, check_equal, texts};
use crate::jws::{Verified, algs, client_with, key_set, refused, run};

/// The certificate of the vectors' client.
const CERTIFICATE: &str = "MIIBHjCBxaADAgECAgEBMAoGCCqGSM49BAMCMBkxFzAVBgNVBAMMDmNsaWVudC5leGFtcGxlMB4XDTIzMDEwMTAwMDAwMFoXDTQzMDEwMTAwMDAwMFowGTEXMBUGA1UEAwwOY2xpZW50LmV4YW1wbGUwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAThMPZ4zhzrGUbUpnTmcEtCVAkLDUbGEPSSkU/r4FC/J11dGDVcuQipZbONQrV6LjyxqFZfr/Ppp0oKQQAd52ocMAoGCCqGSM49BAMCA0gAMEUCIArHDTUYDIWvuurAvTa6Z/JDxK/9rm+YMkUo37pTRQzCAiEAi/33gMYbcIiKOB+2sM6z18FrLDWyhxowljmGWi4uhkY=";

pub(crate) fn access_token(vector: &Vector) -> Verdict {
    let expect = &vector.input["expect"];
    let verifier = verifier(expect).map_err(|error| error.to_string())?;
    let now = expect["now"].as_u64().ok_or("no time")?;
    let keys = key_set(&Value::Null);
    let jwk_set = KeySet::parse(&keys.to_string()).map_err(|error| error.to_string())?;
    verifier.keep_keys(UnixTime::from_secs(now), jwk_set);
    let Verified { result, fetches } =
        run(verifier.verify(vector.required_text("jwt")?), now, &[keys]);
    // The key set is fetched once for an unknown key, and once for a signature that does not verify.
    let expected_value = wanted_classes(&vector.expected);
    if expected_value.len() < 2 {
        let is_unsigned = expected_value.contains(&"no_matching_key")
            || expected_value.contains(&"bad_signature");
        check_equal("fetches", fetches, usize::from(is_unsigned))?;
    }
    let expected_value = &vector.expected["ok"];
    let error = match result {
        Ok(token) => {
            check(
                "is accepted",
                *expected_value == true || expected_value.is_object(),
            )?;
            if expected_value.is_object() {
                let scope: Vec<_> = token.scope().iter().map(str::to_owned).collect();
                check_equal("scope", scope, texts(&expected_value["scope"]))?;
            }
            let claims = payload(vector.required_text("jwt")?);
            check_equal("subject", Some(token.subject()), claims["sub"].as_str())?;
            return check_equal("client", token.client_id(), claims["client_id"].as_str());
        }
        Err(error) => error,
    };
    refused(&error, vector)?;
    let refusal = verifier.refuse(Scheme::Bearer, &error);
    let status = vector.expected["http_status"].as_u64();
    let status = status.unwrap_or(default_status(&vector.expected));
    check_equal("status", u64::from(refusal.status), status)?;
    let text = refusal.challenge.ok_or("no challenge")?;
    let challenges = challenge::parse([text.as_str()]).map_err(|error| error.to_string())?;
    let first_challenge = challenges.first().ok_or("no challenge")?;
    check_equal("scheme", first_challenge.scheme.as_str(), "bearer")?;
    let expected_value = vector.expected["challenge_has"].as_object();
    check(
        "the challenge has an error",
        expected_value.is_some()
            || first_challenge.param("error") == Some(challenge_error(&vector.expected)),
    )?;
    for (name, value) in expected_value.into_iter().flatten() {
        check_equal(name, first_challenge.param(name), value.as_str())?;
    }
    Ok(())
}

/// The error code of the challenge for this refusal (RFC 6750 section 3.1, RFC 9470 section 3).
pub(crate) fn challenge_error(expected: &Value) -> &'static str {
    match expected["error"].as_str() {
        Some("insufficient_scope") => "insufficient_scope",
        Some("insufficient_user_authentication") => "insufficient_user_authentication",
        _ => "invalid_token",
    }
}

/// The HTTP status of this refusal, if the vector names none.
pub(crate) fn default_status(expected: &Value) -> u64 {
    match challenge_error(expected) {
        "insufficient_scope" => 403,
        _ => 401,
    }
}

/// The claims of a token.
pub(crate) fn payload(jwt: &str) -> Value {
    let payload = URL_SAFE_NO_PAD.decode(jwt.split('.').nth(1).unwrap_or_default());
    serde_json::from_slice(&payload.unwrap_or_default()).unwrap_or_default()
}

/// The thumbprint of a certificate (RFC 8705 section 3.1).
pub(crate) fn thumbprint(vector: &Vector) -> Verdict {
    check_equal(
        "thumbprint",
        certificate(vector.required_text("certificate_der_base64")?)?
            .x5t_s256
            .as_deref(),
        vector.expected["x5t#S256"].as_str(),
    )
}

fn certificate(base64: &str) -> Result<ProvenKeys, String> {
    let der = STANDARD.decode(base64).map_err(|error| error.to_string())?;
    Ok(ProvenKeys::certificate_der(&der))
}

/// The certificate of the connection, in base64: by default that of the vectors' client.
pub(crate) fn presented(vector: &Vector) -> &str {
    let named = vector.text("presented_certificate");
    named
        .filter(|named| *named != "same")
        .unwrap_or(CERTIFICATE)
}

/// The thumbprint of that certificate.
pub(crate) fn presented_thumbprint(vector: &Vector) -> Result<String, String> {
    Ok(certificate(presented(vector))?.x5t_s256.unwrap_or_default())
}

/// A token bound to a certificate is refused over a connection with a different one, and accepted with its own.
pub(crate) fn bound(vector: &Vector) -> Verdict {
    let text = |error: oauth_core::Error| error.to_string();
    let proven = certificate(presented(vector))?;
    let introspect_thumbprint = |thumbprint: &Value| {
        let introspect = (EndpointKind::Introspection, "https://as.example/introspect");
        let client = client_with("https://as.example", "api", &[introspect]).map_err(text)?;
        let verifier = client.introspecting_verifier("https://rs.example");
        let mut exchange = verifier.verify_with("t0ken", proven.clone());
        let at = Moment::without_randomness(UnixTime::from_secs(1_700_000_000));
        let Ok(Step::Send(_)) = exchange.resume(&at, Input::Begin) else {
            return Err("the server is not called".to_owned());
        };
        let body = json!({
            "active": true, "aud": "https://rs.example", "sub": "u", "client_id": "c",
            "exp": 1_700_000_060, "cnf": { "x5t#S256": thumbprint },
        });
        let reply = Response::builder().header("content-type", "application/json");
        let reply = reply.body(Bytes::from(body.to_string()));
        let reply = reply.map_err(|error| error.to_string())?;
        Ok(exchange.resume(&at, Input::Reply(reply)))
    };
    match introspect_thumbprint(&vector.input["introspection_cnf"]["x5t#S256"])? {
        Err(error) => refused(&error, vector)?,
        Ok(_) => check("is accepted", vector.expected["ok"] == true)?,
    }
    let own_certificate = introspect_thumbprint(&json!(proven.x5t_s256))?;
    check(
        "is accepted with its own",
        matches!(own_certificate, Ok(Step::Done(_))),
    )
}

/// The verifier of a resource server, which is not a client.
fn verifier(expect: &Value) -> Result<AccessTokenVerifier, oauth_core::Error> {
    let issuer = expect["issuer"].as_str().unwrap_or_default();
    let server = Server::new(Issuer::parse(issuer)?)
        .with_endpoint(EndpointKind::Jwks, &format!("{issuer}/jwks"))?;
    let audience = expect["audience"].as_str().unwrap_or_default();
    let scope = texts(&expect["required_scope"]);
    let acr = texts(&expect["acr_values"]);
    let mut verifier = AccessTokenVerifier::new(server, audience)
        .with_algs(algs(&expect["allowed_algs"]))?
        .require_scope(Scope::from_names(scope.iter().map(String::as_str))?)
        .require_acr(acr.iter().map(String::as_str))?;
    if let Some(age) = expect["max_age"].as_u64() {
        verifier = verifier.require_max_age(Duration::from_secs(age));
    }
    if let Some(skew) = expect["clock_skew"].as_u64() {
        verifier = verifier.with_clock_skew(Duration::from_secs(skew));
    }
    Ok(verifier)
}
