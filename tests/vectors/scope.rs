//! Group `scope`.

use bytes::Bytes;
use http::{HeaderValue, Response};
use oauth_core::error::Error;
use oauth_core::grant::Refresh;
use oauth_core::quirk::{Quirk, Rules, Strictness};
use oauth_core::token::Warning;
use oauth_core::{Exchange, Input, Scope, Step, Tokens};
use serde_json::{Value, json};

use crate::format::{Vector, Verdict, holds, outcome, same, texts};
use crate::token::{client, moment};

pub(crate) fn scope(vector: &Vector) -> Verdict {
    let input = &vector.input;
    if input.get("raw").is_some() {
        syntax(vector)
    } else if input.get("requested").is_some() {
        granted(vector, &input["requested"], None)
    } else if input.get("original").is_some() {
        granted(
            vector,
            &input["original"],
            Some(&input["refresh_request_scope"]),
        )
    } else if input.get("previously_requested").is_some() {
        let before = of(&input["previously_requested"])?;
        let next = before.union(&parse(vector.must("challenge_scope")?)?);
        same(
            "next",
            names(&next),
            texts(&vector.expected["next_request_scope"]),
        )
    } else {
        chosen(vector)
    }
}

fn syntax(vector: &Vector) -> Verdict {
    let raw = vector.must("raw")?;
    if let Some(scope) = outcome(&vector.expected, Scope::parse(raw))? {
        same("scopes", names(&scope), texts(&vector.expected["scopes"]))?;
        if let Some(other) = vector.expected.get("equal_as_set_to") {
            same("as sets", scope, of(other)?)?;
        }
    }
    if let Some(strict) = vector.expected.get("strict") {
        let rules = Rules {
            strictness: Strictness::Strict,
            ..Rules::default()
        };
        let refused = grant(&rules, &Scope::none(), &json!(raw), None);
        // To the client a scope that breaks the syntax is one fault of the token response.
        holds(
            "strict refuses",
            strict["error"].is_string() && refused.is_err(),
        )?;
    }
    if let Some(quirk) = vector.expected.get("quirk") {
        let delimiter = quirk["scope_delimiter"]
            .as_str()
            .and_then(|text| text.chars().next());
        let quirks = vec![Quirk::ScopeDelimiter(delimiter.ok_or("no delimiter")?)];
        let rules = Rules {
            quirks,
            ..Rules::default()
        };
        let tokens = grant(&rules, &Scope::none(), &json!(raw), None).map_err(|e| e.to_string())?;
        same("scopes", names(&tokens.scope), texts(&quirk["scopes"]))?;
    }
    Ok(())
}

fn granted(vector: &Vector, asked: &Value, refresh: Option<&Value>) -> Verdict {
    let asked = of(asked)?;
    let said = match &vector.input["response_scope"] {
        Value::String(text) if text == "<absent>" => &Value::Null,
        other => other,
    };
    let refresh = refresh.map(of).transpose()?;
    let tokens = grant(&Rules::default(), &asked, said, refresh.as_ref());
    if let Some(tokens) = outcome(&vector.expected, tokens)? {
        same(
            "granted",
            names(&tokens.scope),
            texts(&vector.expected["granted"]),
        )?;
        let is_widened = tokens.warnings.contains(&Warning::ScopeWidened);
        same("widened", is_widened, vector.expected["widened"] == true)?;
    }
    if let Some(strict) = vector.expected.get("strict") {
        let rules = Rules {
            strictness: Strictness::Strict,
            ..Rules::default()
        };
        outcome(strict, grant(&rules, &asked, said, refresh.as_ref()))?;
    }
    Ok(())
}

/// Asks for `asked`, or refreshes a grant of it, and is told `said`.
fn grant(
    rules: &Rules,
    asked: &Scope,
    said: &Value,
    refresh: Option<&Scope>,
) -> Result<Tokens, Error> {
    let client = client(rules.clone(), "secret")?;
    match refresh {
        None => run(client.client_credentials(asked.clone()), said),
        Some(narrower) => {
            let stored = json!({
                "version": 1, "issuer": "https://as.example", "client_id": "s6BhdRkqt3",
                "access_token": "a", "received_at": 0, "expires_in": null, "scope": asked.as_str(),
                "refresh_token": "r", "refresh_scope": null, "id_token": null,
            });
            let tokens = Tokens::from_json(&stored.to_string())?;
            let token = tokens
                .refresh_token
                .ok_or(oauth_core::error::Misuse::NoRefreshToken)?;
            run(
                client.token(Refresh {
                    token,
                    scope: narrower.clone(),
                }),
                said,
            )
        }
    }
}

fn run<E: Exchange<Output = Tokens>>(mut exchange: E, said: &Value) -> Result<Tokens, Error> {
    let mut body = json!({ "access_token": "a", "token_type": "Bearer" });
    if !said.is_null() {
        body["scope"] = said.clone();
    }
    let mut reply = Response::new(Bytes::from(body.to_string()));
    let json_type = HeaderValue::from_static("application/json");
    reply
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, json_type);
    let _ = exchange.resume(moment(0), Input::Begin)?;
    match exchange.resume(moment(1), Input::Reply(reply))? {
        Step::Done(tokens) => Ok(tokens),
        _ => Err(oauth_core::error::Misuse::OutOfOrder.into()),
    }
}

fn chosen(vector: &Vector) -> Verdict {
    let challenge = vector.text("challenge_scope").map(parse).transpose()?;
    let listed = vector.input["prm_scopes_supported"].is_array();
    let supported = if listed {
        Some(of(&vector.input["prm_scopes_supported"])?)
    } else {
        None
    };
    let chosen = Scope::choose(challenge.as_ref(), supported.as_ref());
    match vector.expected["scope"].is_array() {
        true => same(
            "scope",
            chosen.as_ref().map(names),
            Some(texts(&vector.expected["scope"])),
        ),
        false => {
            same(
                "parameter",
                vector.expected["scope_parameter"].as_str(),
                Some("omitted"),
            )?;
            same("scope", chosen, None)
        }
    }
}

fn parse(text: &str) -> Result<Scope, String> {
    Scope::parse(text).map_err(|error| error.to_string())
}

fn of(list: &Value) -> Result<Scope, String> {
    let names = texts(list);
    Scope::of(names.iter().map(String::as_str)).map_err(|error| error.to_string())
}

fn names(scope: &Scope) -> Vec<String> {
    scope.iter().map(str::to_owned).collect()
}
