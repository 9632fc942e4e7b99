//! Groups `well-known` and `metadata-validation`.

use bytes::Bytes;
use http::Response;
use oauth_core::error::Error;
use oauth_core::issuer::{Issuer, WellKnown};
use oauth_core::quirk::{Rules, Strictness};
use oauth_core::server::{EndpointKind, Flag, Server};
use oauth_core::{Exchange, Input, Step, danger};
use oauth_testkit::serve::Served;
use oauth_testkit::twin::{Fault, Twin};
use serde_json::{Value, json};

use crate::MEMORY;
use crate::format::{Vector, Verdict, holds, outcome, same, texts};
use crate::token::{self, moment};

pub(crate) fn well_known(vector: &Vector) -> Verdict {
    let text = vector.must("issuer")?;
    let issuer = if vector.input["allow_insecure_loopback"] == true {
        danger::loopback_issuer(text)
    } else {
        Issuer::parse(text)
    };
    let Some(issuer) = outcome(&vector.expected, issuer)? else {
        return Ok(());
    };
    if let Some(urls) = vector.expected.get("urls_in_order") {
        let places: Vec<_> = issuer
            .well_known_places()
            .iter()
            .map(|url| url.as_str().to_owned())
            .collect();
        return same("urls_in_order", places, texts(urls));
    }
    let kind = match vector.text("kind").unwrap_or("oauth-authorization-server") {
        "oauth-authorization-server" => WellKnown::AuthorizationServer,
        kind if kind.contains("inserted") => WellKnown::OpenIdInserted,
        kind if kind.contains("appended") => WellKnown::OpenIdAppended,
        other => return Err(format!("no kind {other}")),
    };
    let url = issuer.well_known(kind);
    same("url", Some(url.as_str()), vector.expected["url"].as_str())
}

pub(crate) fn validation(vector: &Vector) -> Verdict {
    if vector
        .text("body")
        .is_some_and(|body| body.contains("gzip"))
    {
        return gzip_bomb(vector);
    }
    let (server, requests) = fetch(vector, Strictness::Lenient)?;
    if let Some(strict) = vector.expected.get("strict") {
        outcome(strict, fetch(vector, Strictness::Strict)?.0)?;
    }
    if let Some(want) = vector.expected["requests"].as_u64() {
        same("requests", requests, want)?;
    }
    match outcome(&vector.expected, server)? {
        Some(server) => compare(vector, &server),
        None => Ok(()),
    }
}

/// Runs a discovery that is answered with the vector's document, or with its list of answers in
/// turn.
fn fetch(vector: &Vector, strictness: Strictness) -> Result<(Result<Server, Error>, u64), String> {
    let named = vector
        .text("issuer")
        .or(vector.input["document"]["issuer"].as_str());
    let issuer = Issuer::parse(named.ok_or("no issuer")?).map_err(|error| error.to_string())?;
    let rules = Rules {
        strictness,
        ..Rules::default()
    };
    let mut exchange = danger::discover_on_loopback(issuer, rules);
    let mut input = Input::Begin;
    let mut requests = 0;
    loop {
        match exchange.resume(moment(0), input) {
            Ok(Step::Send(_)) => {
                input = Input::Reply(answer(vector, requests)?);
                requests += 1;
            }
            Ok(Step::Done(server)) => return Ok((Ok(server), requests)),
            Ok(step) => return Err(format!("an odd step: {step:?}")),
            Err(error) => return Ok((Err(error), requests)),
        }
    }
}

fn answer(vector: &Vector, turn: u64) -> Result<Response<Bytes>, String> {
    let answers = vector.input["responses"].as_array();
    let document = match answers.and_then(|list| list.get(turn as usize)) {
        Some(Value::Number(status)) => {
            let status = status
                .as_u64()
                .and_then(|status| u16::try_from(status).ok());
            let reply = Response::builder().status(status.unwrap_or_default());
            return reply.body(Bytes::new()).map_err(|error| error.to_string());
        }
        Some(document) => Some(document),
        None => vector.input.get("document"),
    };
    match document {
        Some(document) => Response::builder()
            .header("content-type", "application/json")
            .body(Bytes::from(document.to_string()))
            .map_err(|error| error.to_string()),
        None => token::reply(vector),
    }
}

fn compare(vector: &Vector, server: &Server) -> Verdict {
    let uses_mtls = vector.input["client_uses_mtls"] == true;
    for (name, want) in vector.expected.as_object().into_iter().flatten() {
        match name.as_str() {
            "ok" | "note" | "strict" | "requests" => {}
            "grant_types_supported" => same(name, server.grant_types(), texts(want))?,
            "response_modes_supported" => same(name, server.response_modes(), texts(want))?,
            "token_endpoint_auth_methods_supported" => {
                same(name, server.token_endpoint_auth_methods(), texts(want))?;
            }
            "authorization_response_iss_parameter_supported" => {
                same(
                    name,
                    Some(server.names_itself_in_callbacks()),
                    want.as_bool(),
                )?;
            }
            // OpenID Connect Discovery section 3: the one flag whose silence means yes.
            "request_uri_parameter_supported_oidc" => {
                same(
                    name,
                    Some(server.flag("request_uri_parameter_supported", Flag::True)),
                    want.as_bool(),
                )?;
            }
            "request_parameter_supported_oidc" => {
                same(
                    name,
                    Some(server.flag("request_parameter_supported", Flag::False)),
                    want.as_bool(),
                )?;
            }
            endpoint if endpoint.ends_with("_endpoint") || endpoint == "jwks_uri" => {
                let mut kinds = EndpointKind::ALL.iter().copied();
                let kind = kinds
                    .find(|kind| kind.member() == endpoint)
                    .ok_or("no such endpoint")?;
                let url = if uses_mtls {
                    server.mtls_endpoint(kind)
                } else {
                    server.endpoint(kind)
                };
                if want
                    .as_str()
                    .is_some_and(|want| want.starts_with("falls back"))
                {
                    // Neither alias nor endpoint is there: the fall-back finds the top level's gap.
                    let plain = server.endpoint(kind).map_err(|error| error.code());
                    same(name, url.map_err(|error| error.code()), plain)?;
                } else {
                    same(name, url.ok().map(|url| url.as_str()), want.as_str())?;
                }
            }
            flag if want.is_boolean() => {
                same(flag, Some(server.flag(flag, Flag::False)), want.as_bool())?
            }
            other => return Err(format!("nothing compares {other}")),
        }
    }
    Ok(())
}

/// The real driver against a real socket: what counts is that nothing is held but a little.
fn gzip_bomb(vector: &Vector) -> Verdict {
    let served = Served::start(Twin::generic).map_err(|error| error.to_string())?;
    served.with(|twin| {
        for _ in 0..3 {
            twin.inject(Fault::GzipBomb { expanded: 1 << 30 });
        }
    });
    let issuer = danger::loopback_issuer(served.base()).map_err(|error| error.to_string())?;
    let driver = oauth_reqwest::blocking::Driver::new(reqwest::blocking::ClientBuilder::new())
        .map_err(|error| error.to_string())?;
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    let fetched = driver.run(danger::discover_on_loopback(issuer, Rules::default()));
    let peak = MEMORY.peak_usage().saturating_sub(before);
    outcome(&vector.expected, fetched)?;
    let limit = vector.expected["peak_memory_max_bytes"]
        .as_u64()
        .unwrap_or(u64::MAX);
    holds(
        &format!("peak of {peak} bytes is at most {limit}"),
        peak as u64 <= limit,
    )
}

/// A document for tests of other groups.
pub(crate) fn document(members: Value) -> Result<Server, Error> {
    let mut document = json!({ "issuer": "https://as.example" });
    if let (Some(document), Some(members)) = (document.as_object_mut(), members.as_object()) {
        document.extend(members.clone());
    }
    let text = document.to_string();
    let issuer = Issuer::parse("https://as.example")?;
    match oauth_core::json::parse(&text)? {
        oauth_core::json::Json::Object(object) => Server::read(&issuer, &object, Rules::default()),
        _ => Err(oauth_core::error::Fault::MetadataShape.into()),
    }
}
