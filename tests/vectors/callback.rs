//! Groups about the authorization response: `authorization-response`, `rfc9207`, and the callbacks
//! of `rfc6749-example`.

use std::borrow::Cow;

use oauth_core::flow::authorization::{Callback, check_issuers};
use oauth_core::issuer::Issuer;
use oauth_core::jose::Alg;
use oauth_core::quirk::{Rules, Strictness};
use serde_json::{Value, json};

use crate::conversation::{Conversation, ServerConfig, TurnInput};
use crate::expect::outcome;
use crate::fields::Reply;
use crate::format::{Failure, Vector, Verdict, check_equal, texts};
use crate::jws::key_set;
use crate::packages::identity::{CODE, HASH};
use crate::packages::{self, Calls, NOW};
use crate::runner::{Outcome, Runner, flow, public, sent};

pub(crate) fn response(vector: &Vector, runner: &mut Runner) -> Verdict {
    if vector.input.get("callback").is_none() {
        return if runner.is_rust() {
            other_channels(vector)
        } else {
            in_other_channels(vector, runner)
        };
    }
    let lenient = outcome(&vector.expected, code(vector, runner, Strictness::Lenient)?)?;
    if let Some(strict) = vector.expected.get("strict") {
        let verdict = code(vector, runner, Strictness::Strict)
            .and_then(|code| outcome(strict, code))
            .map(drop);
        runner.allow_unsupported(verdict)?;
    }
    let want = vector.expected["ok"]["code"].as_str();
    match lenient {
        Some(code) if want.is_some() => check_equal("code", Some(code.as_str()), want),
        _ => Ok(()),
    }
}

/// Passes the callback to a pending flow. The code is read from the token request that follows,
/// so that what is really sent is compared.
fn code(vector: &Vector, runner: &mut Runner, strictness: Strictness) -> Outcome<String> {
    let callback = expanded_callback(vector)?;
    // RFC 6749 prints callbacks over plain http, which this library refuses as redirect URIs.
    let callback = match callback.strip_prefix("http://") {
        Some(rest) => format!("https://{rest}"),
        None => callback,
    };
    let arrived_at = callback.split(['?', '#']).next().unwrap_or_default();
    let redirect_uri = vector.text("expected_redirect_uri").unwrap_or(arrived_at);
    let issuer = vector.text("issuer").unwrap_or("https://as.example");
    let is_iss_announced = vector.input["authorization_response_iss_parameter_supported"].as_bool();
    let required = is_iss_announced == Some(true) || vector.input["require_iss"] == true;
    let mode = vector.text("response_mode").unwrap_or("query");
    let stored = flow(json!({
        "issuer": issuer, "issuer_required": required, "redirect_uri": redirect_uri,
        "state": vector.required_text("expected_state")?, "response_mode": mode,
    }));
    let rules = Rules {
        strictness,
        ..Rules::default()
    };
    let endpoints = json!({ "token_endpoint": "https://as.example/token" });
    let server = ServerConfig::of(issuer, endpoints, &rules);
    let redeem = TurnInput::Redeem {
        callback,
        flow: Some(stored),
    };
    let conversation = Conversation::new(Some(server), Some(public("s6BhdRkqt3"))).then(0, redeem);
    let request = match sent(runner.play(&conversation)?.pop())? {
        Ok(request) => request,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let code = request.parameter("code")?;
    code.map(Ok)
        .ok_or_else(|| "a request without a code".into())
}

fn expanded_callback(vector: &Vector) -> Result<String, Failure> {
    let callback = vector.required_text("callback")?;
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
        .map(Callback::from_pairs)
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

/// [`other_channels`] in a package: a signed response, or an ID token beside the code.
fn in_other_channels(vector: &Vector, runner: &mut Runner) -> Verdict {
    let issuer = vector.text("issuer").or(vector.text("iss_param"));
    let issuer = issuer.ok_or("no issuer to compare with")?;
    let required = vector.input["authorization_response_iss_parameter_supported"] == true;
    let mut of = json!({
        "issuer": issuer, "client_id": "client1", "started_at": NOW, "issuer_required": required,
    });
    let mut claims = packages::claims();
    let callback = match vector.text("jwt_iss") {
        Some(named) => {
            of["response_mode"] = vector.required_text("response_mode")?.into();
            claims["iss"] = named.into();
            claims["code"] = CODE.into();
            claims["state"] = "xyz".into();
            let response = packages::signed("rsa1", Alg::Rs256, None, &claims)?;
            let outer = texts(&vector.input["outer_params"]).into_iter();
            let outer = outer.map(|part| match part.as_str() {
                "response" => format!("response={response}"),
                _ => part,
            });
            let mark = if of["response_mode"] == "fragment.jwt" {
                '#'
            } else {
                '?'
            };
            let outer = outer.collect::<Vec<_>>().join("&");
            format!("https://app.example/cb{mark}{outer}")
        }
        None => {
            of["response_mode"] = "fragment".into();
            of["response_type"] = vector.required_text("response_type")?.into();
            of["scope"] = "openid".into();
            of["nonce"] = claims["nonce"].clone();
            claims["iss"] = vector.required_text("id_token_iss")?.into();
            claims["c_hash"] = HASH.into();
            let token = packages::signed("rsa1", Alg::Rs256, None, &claims)?;
            format!("https://app.example/cb#code={CODE}&state=xyz&iss={issuer}&id_token={token}")
        }
    };
    let redeem = TurnInput::Redeem {
        callback,
        flow: Some(flow(of)),
    };
    let calls = Calls::new(packages::server(issuer, &Value::Null), public("client1"));
    let calls = calls.call(NOW, redeem, vec![Reply::json(&key_set(&Value::Null))]);
    let came = calls.play(runner)?.pop().ok_or("no call")?;
    match came.end {
        Some(end) => packages::check_end(vector, end).map(drop),
        None => {
            let sent = came.sent.last().ok_or("nothing was sent")?;
            check_equal("code", sent.parameter("code")?.as_deref(), Some(CODE))?;
            check_equal("is accepted", vector.expected["ok"] == true, true)
        }
    }
}

/// Whether the input of a vector is a callback.
pub(crate) fn is_callback(input: &Value) -> bool {
    input.get("callback").is_some()
}
