//! Group `redaction`: a secret is put everywhere it can stand, and must show nowhere.

use bytes::Bytes;
use http::{HeaderValue, Response};
use oauth_core::grant::Extension;
use oauth_core::quirk::Rules;
use oauth_core::{Error, Exchange, Input, Pending, Scope, Secret, Step, Tokens, danger};
use serde_json::json;

use crate::format::{self, Vector, Verdict, holds};
use crate::token::{client, moment};

/// Every text the library makes of what it holds.
#[derive(Default)]
struct Shown(Vec<(&'static str, String)>);

impl Shown {
    fn debug(&mut self, what: &'static str, value: &impl std::fmt::Debug) {
        self.0.push((what, format!("{value:?} {value:#?}")));
    }

    fn error(&mut self, what: &'static str, error: &Error) {
        let mut text = format!("{error} {error:?} {}", format::json(error));
        let mut source = std::error::Error::source(error);
        while let Some(error) = source {
            text.push_str(&format!(" {error} {error:?}"));
            source = error.source();
        }
        self.0.push((what, text));
    }
}

pub(crate) fn secret(vector: &Vector) -> Verdict {
    let mut shown = Shown::default();
    let value = match vector.text("callback_error_for") {
        Some(callback) => {
            wrong_callback(callback, &mut shown)?;
            "S3CR3T"
        }
        None => {
            let value = vector.must("value")?;
            everywhere(value, &mut shown)?;
            value
        }
    };
    let needle = vector
        .expected
        .as_object()
        .into_iter()
        .flatten()
        .find_map(|(name, text)| {
            name.ends_with("does_not_contain")
                .then(|| text.as_str())
                .flatten()
        })
        .unwrap_or(value);
    for (what, text) in &shown.0 {
        holds(
            &format!("{what} shows the secret: {text}"),
            !text.contains(needle),
        )?;
    }
    holds("something was shown", shown.0.len() > 3)
}

fn wrong_callback(callback: &str, shown: &mut Shown) -> Verdict {
    for uri in ["https://app.example/cb", "https://app.example/other"] {
        let pending = pending(uri, "another-state", None)?;
        shown.debug("pending", &pending);
        let client = client(Rules::default(), "secret").map_err(|error| error.to_string())?;
        let refused = client.redeem(pending, callback).err().ok_or("accepted")?;
        shown.error("callback error", &refused);
    }
    let url = callback
        .parse::<oauth_core::url::Url>()
        .map_err(|error| error.to_string())?;
    shown.debug("url", &url);
    Ok(())
}

fn everywhere(value: &str, shown: &mut Shown) -> Verdict {
    shown.debug("secret", &Secret::from(value));
    // As the client's own secret, in both ways to send it.
    let text = |error: Error| error.to_string();
    let basic = client(Rules::default(), value).map_err(text)?;
    shown.debug("client", &basic);
    converse(&mut basic.client_credentials(Scope::none()), value, shown)?;
    // As a parameter of a token request.
    for name in [
        "assertion",
        "refresh_token",
        "device_code",
        "subject_token",
        "pin",
    ] {
        let grant = Extension::new("urn:x")
            .and_then(|grant| grant.parameter(name, value))
            .map_err(text)?;
        shown.debug("grant", &grant);
        converse(&mut basic.token(grant), value, shown)?;
    }
    shown.debug("password", &danger::password("name", value, Scope::none()));
    // As anything a flow holds.
    let verifier = format!("{value}{}", "a".repeat(43)).replace('_', "-");
    let flow = pending("https://app.example/cb", value, Some((value, &verifier)))?;
    shown.debug("pending", &flow);
    shown.debug("stored flow", &flow.to_json());
    // As any member of a token response.
    let stored = json!({
        "version": 1, "issuer": "https://as.example", "client_id": "s6BhdRkqt3", "access_token": value,
        "received_at": 0, "expires_in": null, "scope": "", "refresh_token": value,
        "refresh_scope": null, "id_token": value, "extra": { "registration_access_token": value },
    });
    let tokens = Tokens::from_json(&stored.to_string()).map_err(text)?;
    shown.debug("tokens", &tokens);
    shown.debug("stored tokens", &tokens.to_json());
    Ok(())
}

/// Runs an exchange to a server that repeats what it was sent, in every way it can.
fn converse<E: Exchange>(exchange: &mut E, value: &str, shown: &mut Shown) -> Verdict {
    match exchange
        .resume(moment(0), Input::Begin)
        .map_err(|error| error.to_string())?
    {
        Step::Send(request) => {
            shown.debug("request headers", request.headers());
            let step: Step<()> = Step::Send(request);
            shown.debug("step", &step);
        }
        step => shown.debug("step", &step),
    }
    let body = json!({
        "error": "invalid_client", "error_description": format!("bad {value}"),
        "error_uri": format!("https://as.example/{value}"), "access_token": value, "hint": value,
    });
    let mut reply = Response::new(Bytes::from(body.to_string()));
    *reply.status_mut() = http::StatusCode::BAD_REQUEST;
    let json_type = HeaderValue::from_static("application/json");
    reply
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, json_type);
    let input = Input::Reply(reply);
    shown.debug("input", &input);
    let refused = exchange.resume(moment(1), input).err().ok_or("accepted")?;
    shown.error("refusal", &refused);
    Ok(())
}

fn pending(uri: &str, state: &str, more: Option<(&str, &str)>) -> Result<Pending, String> {
    let (nonce, verifier) = more.unzip();
    let stored = json!({
        "version": 1, "issuer": "https://as.example", "client_id": "s6BhdRkqt3",
        "issuer_required": false, "redirect_uri": uri, "state": state, "nonce": nonce,
        "code_verifier": verifier, "scope": "", "response_mode": "query", "started_at": 0,
    });
    Pending::from_json(&stored.to_string()).map_err(|error| error.to_string())
}
