//! Groups about the token endpoint's reply: `token-response`, `token-error`.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use oauth_core::error::{Error, Misuse};
use oauth_core::flow::resource;
use oauth_core::issuer::Issuer;
use oauth_core::moment::UnixTime;
use oauth_core::quirk::{Quirk, Rules, Strictness};
use oauth_core::server::{EndpointKind, Server};
use oauth_core::token::MAX_LIFETIME;
use oauth_core::{Client, ClientAuth, ClientId, Exchange, Input, Moment, Scope, Step, Tokens};
use serde_json::Value;

use crate::format::{Vector, Verdict, expand, holds, outcome, same, texts};

pub(crate) fn moment(seconds: u64) -> Moment {
    Moment::fixed(UnixTime::from_secs(seconds), [7; 32])
}

pub(crate) fn response(vector: &Vector) -> Verdict {
    let expected = &vector.expected;
    let lenient = read(vector, Rules::default())?;
    if let Some(tokens) = outcome(expected, lenient)? {
        compare(&expected["ok"], &tokens)?;
        if let Some(then) = expected["then"].get("build_authorization_header") {
            outcome(then, resource::bearer(&tokens.access_token))?;
        }
        if let Some(warning) = expected["warning"].as_str() {
            holds(
                warning,
                tokens.warnings.iter().any(|given| given.code() == warning),
            )?;
        }
    }
    if let Some(strict) = expected.get("strict") {
        let rules = Rules {
            strictness: Strictness::Strict,
            ..Rules::default()
        };
        outcome(strict, read(vector, rules)?)?;
    }
    if let Some(quirk) = expected.get("quirk") {
        with_quirk(vector, quirk)?;
    }
    Ok(())
}

/// An opt-in named by the vector must change the verdict, or the part of it that is shown.
fn with_quirk(vector: &Vector, named: &Value) -> Verdict {
    let quirk = quirk(named, &vector.input).ok_or_else(|| format!("no quirk for {named}"))?;
    let before = read(vector, Rules::default())?;
    let after = read(
        vector,
        Rules {
            quirks: vec![quirk],
            ..Rules::default()
        },
    )?;
    match (before, after) {
        (Err(before), Err(after)) => {
            holds("the quirk changes the error", before.code() != after.code())
        }
        (Err(_), Ok(_)) => Ok(()),
        (Ok(before), Ok(after)) => {
            let names: Vec<_> = after.scope.iter().map(str::to_owned).collect();
            same("scope", names, texts(&named["scope"]))?;
            holds("the quirk changes the scope", before.scope != after.scope)
        }
        (Ok(_), Err(after)) => Err(format!("the quirk breaks it: {after}")),
    }
}

fn quirk(named: &Value, input: &Value) -> Option<Quirk> {
    if let Some(delimiter) = named["scope_delimiter"].as_str() {
        return delimiter.chars().next().map(Quirk::ScopeDelimiter);
    }
    let text = named.as_str()?;
    if text.contains("assume_bearer") {
        Some(Quirk::AssumeBearer)
    } else if text.contains("camelCase") {
        // `tr-case-members` misspells a name in a way no vendor does; the mapping is tried all
        // the same on a body that has it.
        Some(Quirk::CamelCaseResponse)
    } else if text.contains("errors[0]") {
        Some(Quirk::ErrorsArray)
    } else if text.contains("as Bearer") {
        let body: Value = serde_json::from_str(input["body"].as_str()?).ok()?;
        Some(Quirk::BearerAlias(body["token_type"].as_str()?.to_owned()))
    } else {
        None
    }
}

/// Runs a client_credentials conversation whose reply is the vector's.
fn read(vector: &Vector, rules: Rules) -> Result<Result<Tokens, Error>, String> {
    let reply = reply(vector)?;
    // Where a secret must not show, it is the one this client sends.
    let secret = vector.expected["debug_and_display_do_not_contain"]
        .as_str()
        .unwrap_or("gX1fBat3bV");
    let mut exchange = client(rules, secret)
        .map_err(|error| error.to_string())?
        .client_credentials(Scope::none());
    let begun = exchange
        .resume(moment(0), Input::Begin)
        .map_err(|error| error.to_string())?;
    holds("a request is sent first", matches!(begun, Step::Send(_)))?;
    let outcome = match exchange.resume(moment(1), Input::Reply(reply)) {
        Ok(Step::Done(tokens)) => Ok(tokens),
        Ok(step) => return Err(format!("a second step: {step:?}")),
        Err(error) => Err(error),
    };
    let after = exchange.resume(moment(2), Input::Begin).err();
    same(
        "over",
        after.map(|error| error.code()),
        Some(Error::from(Misuse::Over).code()),
    )?;
    Ok(outcome)
}

pub(crate) fn client(rules: Rules, secret: &str) -> Result<Client, Error> {
    let server = Server::new(Issuer::parse("https://as.example")?)
        .with_endpoint(EndpointKind::Token, "https://as.example/token")?
        .with_rules(rules);
    Client::new(
        server,
        ClientId::new("s6BhdRkqt3"),
        ClientAuth::basic(secret),
    )
}

pub(crate) fn reply(vector: &Vector) -> Result<Response<Bytes>, String> {
    let status = vector.input["status"].as_u64().unwrap_or(200);
    let body = match &vector.input["body"] {
        Value::String(text) => expand(text),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let mut reply = Response::new(Bytes::from(body));
    let status = u16::try_from(status)
        .ok()
        .and_then(|status| StatusCode::from_u16(status).ok());
    *reply.status_mut() = status.ok_or("no such status")?;
    let fields = [
        ("content_type", CONTENT_TYPE),
        ("location", LOCATION),
        ("www_authenticate", WWW_AUTHENTICATE),
        ("retry_after", RETRY_AFTER),
    ];
    for (member, name) in fields {
        if let Some(text) = vector.text(member) {
            let value =
                HeaderValue::from_bytes(text.as_bytes()).map_err(|error| error.to_string())?;
            reply.headers_mut().insert(name, value);
        }
    }
    Ok(reply)
}

fn compare(want: &Value, tokens: &Tokens) -> Verdict {
    for (name, want) in want.as_object().into_iter().flatten() {
        match name.as_str() {
            "access_token" => same(
                name,
                Some(tokens.access_token.expose().as_str()),
                want.as_str(),
            )?,
            "token_type" => same(name, Some(tokens.token_type()), want.as_str())?,
            "expires_in" if want == "saturated" => {
                same(name, tokens.expires_in, Some(MAX_LIFETIME))?;
                let end = tokens.expires_at().ok_or("no end")?;
                holds(
                    "not treated as expired",
                    end > UnixTime::from_secs(4_000_000_000),
                )?;
            }
            "expires_in" => same(name, tokens.expires_in, want.as_u64())?,
            "refresh_token" => {
                let token = tokens
                    .refresh_token
                    .as_ref()
                    .map(|token| token.secret().expose().as_str());
                same(name, token, want.as_str())?;
            }
            "id_token" => {
                same(
                    name,
                    tokens
                        .id_token
                        .as_ref()
                        .map(|token| token.expose().as_str()),
                    want.as_str(),
                )?;
            }
            "scope" => {
                let names: Vec<_> = tokens.scope.iter().map(str::to_owned).collect();
                same(name, names, texts(want))?;
            }
            "extra" => {
                for (member, value) in want.as_object().into_iter().flatten() {
                    same(member, tokens.extra.get(member), Some(value))?;
                }
            }
            other => same(other, tokens.extra.get(other), Some(want))?,
        }
    }
    Ok(())
}
