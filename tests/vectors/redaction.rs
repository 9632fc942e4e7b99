//! Group `redaction`: a secret is put everywhere one can occur, and must not appear in any rendered text.
//!
//! Every language returns all texts that it renders of its objects: printed, in a debugger or in a
//! log. Rust returns more, as it has more objects.

use bytes::Bytes;
use http::{HeaderValue, Response};
use oauth_core::grant::Extension;
use oauth_core::quirk::Rules;
use oauth_core::{
    Error, Exchange, Input, PendingAuthorization, Scope, Secret, Step, Tokens, danger,
};
use serde_json::json;

use crate::conversation::{Conversation, TokenInput, TurnInput};
use crate::fields::Reply;
use crate::format::{Failure, Vector, Verdict, check};
use crate::lang::Lang;
use crate::runner::{Runner, as_example, confidential, flow, public, stored_tokens};
use crate::token::{client, moment};

/// The texts that the library renders of its objects.
#[derive(Default)]
struct ShownTexts(Vec<(&'static str, String)>);

impl ShownTexts {
    fn add_debug_text(&mut self, what: &'static str, value: &impl std::fmt::Debug) {
        self.0.push((what, format!("{value:?} {value:#?}")));
    }

    fn error(&mut self, what: &'static str, error: &Error) {
        let mut text = format!(
            "{error} {error:?} {}",
            serde_json::to_string(error).unwrap_or_default()
        );
        let mut source = std::error::Error::source(error);
        while let Some(error) = source {
            text.push_str(&format!(" {error} {error:?}"));
            source = error.source();
        }
        self.0.push((what, text));
    }
}

const PAGES: &str =
    "a page shows its errors to the user whose secrets they are, and looks for few spellings";

pub(crate) fn secret(vector: &Vector, runner: &mut Runner) -> Verdict {
    if runner.lang == Lang::Browser && vector.input["in_pages"] == false {
        return Err(Failure::OutOfReach(PAGES));
    }
    let claimed = vector.text("value").unwrap_or("S3CR3T");
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
        .unwrap_or(claimed);
    let callback = vector.text("callback_error_for");
    let mut texts = Vec::new();
    let is_sent = vector.input["is_sent"] != false;
    for conversation in conversations(claimed, callback.zip(Some(is_sent)), runner.lang) {
        texts.extend(runner.rendered_texts(&conversation)?);
    }
    clean(texts.iter().map(|text| (runner.lang.name(), text)), needle)?;
    if runner.is_rust() {
        let mut shown = ShownTexts::default();
        match callback {
            Some(callback) => wrong_callback(callback, &mut shown)?,
            None => everywhere(claimed, &mut shown)?,
        }
        clean(shown.0.iter().map(|(what, text)| (*what, text)), needle)?;
    }
    Ok(())
}

/// A code verifier that contains the secret, in characters it may have (RFC 7636 section 4.1).
fn verifier(value: &str) -> String {
    let plain = value.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    format!("{plain}{}", "a".repeat(43))
}

fn clean<'a>(shown: impl Iterator<Item = (&'a str, &'a String)>, needle: &str) -> Verdict {
    let mut count = 0;
    for (what, text) in shown {
        count += 1;
        check(
            &format!("{what} shows the secret: {text}"),
            !text.contains(needle),
        )?;
    }
    check("texts were rendered", count > 3)
}

/// Conversations with the secret in each possible position: as client secret, code, state,
/// verifier, token of either kind, password, and in the server's responses.
///
/// Of a callback, whether the code in it is sent, with the right state.
fn conversations(value: &str, callback: Option<(&str, bool)>, lang: Lang) -> Vec<Conversation> {
    let server = Some(as_example(&Rules::default()));
    let is_page = lang == Lang::Browser;
    let client = if is_page {
        public("s6BhdRkqt3")
    } else {
        confidential("s6BhdRkqt3", value)
    };
    let new = || Conversation::new(server.clone(), Some(client.clone()));
    let redeem = |callback: String, members| TurnInput::Redeem {
        callback,
        flow: Some(flow(members)),
    };
    if let Some((callback, is_sent)) = callback {
        let other = json!({ "state": "another-state" });
        let elsewhere = json!({ "redirect_uri": "https://app.example/other" });
        let public = Conversation::new(server.clone(), Some(public("s6BhdRkqt3")));
        let refused = public
            .then(0, redeem(callback.to_owned(), other.clone()))
            .then(0, redeem(callback.to_owned(), elsewhere))
            .then(0, redeem(callback.to_owned(), json!({ "state": "S3CR3T" })));
        let reply = || TurnInput::Reply(Reply::json(&json!({ "access_token": "S3CR3T" })));
        return vec![if is_sent {
            refused.then(0, reply())
        } else {
            refused
        }];
    }
    let verifier = verifier(value);
    let query = serde_urlencoded::to_string([("code", value), ("state", value)]);
    let held = json!({
        "state": value, "nonce": value, "code_verifier": verifier,
    });
    let callback = format!("https://app.example/cb?{}", query.unwrap_or_default());
    let tokens = json!({
        "access_token": value, "token_type": "Bearer", "refresh_token": value, "id_token": value,
        "registration_access_token": value,
    });
    let refused = json!({
        "error": "invalid_client", "error_description": format!("bad {value}"),
        "error_uri": format!("https://as.example/{value}"), "access_token": value, "hint": value,
    });
    let refused = Reply::new(
        400,
        &[("content-type", "application/json")],
        refused.to_string(),
    );
    let scope = String::new();
    let refresh = TurnInput::Refresh {
        scope: scope.clone(),
        tokens: Some(stored_tokens(
            json!({ "access_token": value, "refresh_token": value }),
        )),
    };
    let mut all = vec![
        new()
            .then(0, redeem(callback.clone(), held.clone()))
            .then(1, TurnInput::Reply(Reply::json(&tokens))),
        new()
            .then(0, redeem(callback, held))
            .then(1, TurnInput::Reply(refused.clone())),
        new()
            .then(0, refresh.clone())
            .then(1, TurnInput::Reply(refused.clone())),
        new()
            .then(0, refresh)
            .then(1, TurnInput::Lost("unknown".to_owned())),
    ];
    if !is_page {
        let token_input = TokenInput {
            token: Some(value.to_owned()),
            ..TokenInput::default()
        };
        let calls = [
            TurnInput::ClientCredentials {
                scope: scope.clone(),
            },
            TurnInput::Password {
                username: "name".to_owned(),
                password: value.to_owned(),
                scope,
            },
            TurnInput::Revoke(token_input.clone()),
            TurnInput::Introspect(token_input),
        ];
        all.extend(calls.map(|call| {
            new()
                .then(0, call)
                .then(1, TurnInput::Reply(refused.clone()))
        }));
    }
    all
}

fn wrong_callback(callback: &str, shown: &mut ShownTexts) -> Verdict {
    for uri in ["https://app.example/cb", "https://app.example/other"] {
        let pending = pending(uri, "another-state", None)?;
        shown.add_debug_text("pending", &pending);
        let client = client(Rules::default(), "secret").map_err(|error| error.to_string())?;
        let refused = client.redeem(pending, callback).err().ok_or("accepted")?;
        shown.error("callback error", &refused);
    }
    match callback.parse::<oauth_core::url::Url>() {
        Ok(url) => shown.add_debug_text("url", &url),
        Err(error) => shown.error("no URL", &error),
    }
    Ok(())
}

fn everywhere(value: &str, shown: &mut ShownTexts) -> Verdict {
    shown.add_debug_text("secret", &Secret::from(value));
    // As the client secret, sent in both ways.
    let text = |error: Error| error.to_string();
    let basic = client(Rules::default(), value).map_err(text)?;
    shown.add_debug_text("client", &basic);
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
        shown.add_debug_text("grant", &grant);
        converse(&mut basic.token(grant, Scope::none()), value, shown)?;
    }
    shown.add_debug_text("password", &danger::password("name", value));
    // As each secret of a flow.
    let verifier = verifier(value);
    let flow = pending("https://app.example/cb", value, Some((value, &verifier)))?;
    shown.add_debug_text("pending", &flow);
    shown.add_debug_text("stored flow", &flow.to_json());
    // As any member of a token response.
    let stored = json!({
        "version": 1, "issuer": "https://as.example", "client_id": "s6BhdRkqt3", "access_token": value,
        "received_at": 0, "expires_in": null, "scope": "", "refresh_token": value,
        "refresh_scope": null, "id_token": value, "extra": { "registration_access_token": value },
    });
    let tokens = Tokens::from_json(&stored.to_string()).map_err(text)?;
    shown.add_debug_text("tokens", &tokens);
    shown.add_debug_text("stored tokens", &tokens.to_json());
    Ok(())
}

/// Runs an exchange with a server that repeats the secret in every part of its response.
fn converse<E: Exchange>(exchange: &mut E, value: &str, shown: &mut ShownTexts) -> Verdict {
    match exchange
        .resume(&moment(0), Input::Begin)
        .map_err(|error| error.to_string())?
    {
        Step::Send(request) => {
            shown.add_debug_text("request headers", request.headers());
            let step: Step<()> = Step::Send(request);
            shown.add_debug_text("step", &step);
        }
        step => shown.add_debug_text("step", &step),
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
    shown.add_debug_text("input", &input);
    let refused = exchange.resume(&moment(1), input).err().ok_or("accepted")?;
    shown.error("refusal", &refused);
    Ok(())
}

fn pending(
    uri: &str,
    state: &str,
    more: Option<(&str, &str)>,
) -> Result<PendingAuthorization, String> {
    let (nonce, verifier) = more.unzip();
    let stored = json!({
        "version": 1, "issuer": "https://as.example", "client_id": "s6BhdRkqt3",
        "issuer_required": false, "redirect_uri": uri, "state": state, "nonce": nonce,
        "code_verifier": verifier, "scope": "", "response_mode": "query", "started_at": 0,
    });
    PendingAuthorization::from_json(&stored.to_string()).map_err(|error| error.to_string())
}
