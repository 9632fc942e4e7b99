//! Groups about the callback: `authorization-response`, `rfc9207`, and the callbacks of
//! `rfc6749-example`.

use std::borrow::Cow;

use oauth_core::error::{Error, Misuse};
use oauth_core::flow::authorization::{Callback, check_issuers};
use oauth_core::issuer::Issuer;
use oauth_core::quirk::{Rules, Strictness};
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{Client, ClientAuth, ClientId, Exchange, Input, Pending, Step};
use serde_json::{Value, json};

use crate::format::{Vector, Verdict, outcome, same};
use crate::token::moment;

pub(crate) fn response(vector: &Vector) -> Verdict {
    if vector.input.get("callback").is_none() {
        return other_channels(vector);
    }
    let lenient = outcome(&vector.expected, code(vector, Strictness::Lenient)?)?;
    if let Some(strict) = vector.expected.get("strict") {
        outcome(strict, code(vector, Strictness::Strict)?)?;
    }
    let want = vector.expected["ok"]["code"].as_str();
    match lenient {
        Some(code) if want.is_some() => same("code", Some(code.as_str()), want),
        _ => Ok(()),
    }
}

/// Sends the callback through a waiting flow; the code is read from the token request that
/// follows, so nothing but what is really sent is compared.
fn code(vector: &Vector, strictness: Strictness) -> Result<Result<String, Error>, String> {
    let callback = grown(vector)?;
    // RFC 6749 prints callbacks over plain http, which no redirect URI of ours may be.
    let callback = match callback.strip_prefix("http://") {
        Some(rest) => format!("https://{rest}"),
        None => callback,
    };
    let arrived_at = callback.split(['?', '#']).next().unwrap_or_default();
    let redirect_uri = vector.text("expected_redirect_uri").unwrap_or(arrived_at);
    let issuer = vector.text("issuer").unwrap_or("https://as.example");
    let promises = vector.input["authorization_response_iss_parameter_supported"].as_bool();
    let required = promises == Some(true) || vector.input["require_iss"] == true;
    let mode = vector.text("response_mode").unwrap_or("query");
    let stored = json!({
        "version": 1, "issuer": issuer, "client_id": "s6BhdRkqt3", "issuer_required": required,
        "redirect_uri": redirect_uri, "state": vector.must("expected_state")?, "nonce": null,
        "code_verifier": null, "scope": "", "response_mode": mode, "started_at": 0,
    });
    let pending = Pending::from_json(&stored.to_string()).map_err(|error| error.to_string())?;
    let client = client(issuer, strictness).map_err(|error| error.to_string())?;
    Ok(client.redeem(pending, &callback).and_then(|mut exchange| {
        match exchange.resume(moment(0), Input::Begin)? {
            Step::Send(request) => {
                let form: Vec<(String, String)> =
                    serde_urlencoded::from_bytes(request.body()).unwrap_or_default();
                let code = form.into_iter().find(|(name, _)| name == "code");
                code.map(|(_, code)| code)
                    .ok_or_else(|| Misuse::OutOfOrder.into())
            }
            _ => Err(Misuse::OutOfOrder.into()),
        }
    }))
}

fn client(issuer: &str, strictness: Strictness) -> Result<Client, Error> {
    let rules = Rules {
        strictness,
        ..Rules::default()
    };
    let server = Server::new(Issuer::parse(issuer)?)
        .with_endpoint(EndpointKind::Token, "https://as.example/token")?
        .with_rules(rules);
    Client::new(server, ClientId::new("s6BhdRkqt3"), ClientAuth::none())
}

fn grown(vector: &Vector) -> Result<String, String> {
    let callback = vector.must("callback")?;
    let Some(bytes) = vector.input["repeat_to_bytes"].as_u64() else {
        return Ok(callback.to_owned());
    };
    let note = callback.find("...(").zip(callback.find(')'));
    let (start, end) = note.ok_or("no place to grow")?;
    Ok(format!(
        "{}{}{}",
        &callback[..start],
        "a".repeat(bytes as usize),
        &callback[end + 1..]
    ))
}

/// Responses that name their issuer elsewhere than in a query: in a JARM response's claims, or in
/// an ID Token beside the parameter.
fn other_channels(vector: &Vector) -> Verdict {
    let id_token = vector.text("id_token_iss");
    let expected_issuer = vector
        .text("issuer")
        .or(vector.text("iss_param"))
        .ok_or("no issuer to compare with")?;
    let issuer = Issuer::parse(expected_issuer).map_err(|error| error.to_string())?;
    let claims = vector
        .text("jwt_iss")
        .map(|iss| vec![("iss".into(), Cow::from(iss))]);
    // With a JARM response only its claims are parameters; what stands beside it is not read.
    let from_claims = claims
        .map(Callback::of)
        .transpose()
        .map_err(|error| error.to_string())?;
    let named = match &from_claims {
        Some(callback) => callback.issuer(),
        None => vector.text("iss_param"),
    };
    let required = vector.input["authorization_response_iss_parameter_supported"] == true;
    let verdict = check_issuers(&issuer, &Rules::default(), required, [named, id_token]);
    outcome(&vector.expected, verdict).map(drop)
}

/// Whether an expectation is about what was read, not about how.
pub(crate) fn is_callback(input: &Value) -> bool {
    input.get("callback").is_some()
}
