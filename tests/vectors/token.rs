//! Groups about the token endpoint's response: `token-response`, `token-error`.

use oauth_core::error::Error;
use oauth_core::issuer::Issuer;
use oauth_core::moment::UnixTime;
use oauth_core::quirk::{Quirk, Rules, Strictness};
use oauth_core::server::{EndpointKind, Server};
use oauth_core::token::MAX_LIFETIME;
use oauth_core::{Client, ClientAuth, ClientId, Moment};
use serde_json::{Value, json};

use crate::conversation::{Conversation, TurnInput};
use crate::expect::outcome;
use crate::fields::Reply;
use crate::format::{Failure, Vector, Verdict, check, check_equal, expand, texts};
use crate::runner::{Outcome, Runner, as_example, public, stored_tokens};
use crate::transcript::{TokensOutput, TurnOutput};

pub(crate) fn moment(seconds: u64) -> Moment {
    Moment::fixed(UnixTime::from_secs(seconds), [7; 32])
}

pub(crate) fn response(vector: &Vector, runner: &mut Runner) -> Verdict {
    let expected = &vector.expected;
    let lenient = read(vector, runner, Rules::default())?;
    if let Some(tokens) = outcome(expected, lenient)? {
        compare(&expected["ok"], &tokens)?;
        if let Some(then) = expected["then"].get("build_authorization_header") {
            outcome(then, attached(runner, &tokens)?)?;
        }
        if let (Some(warning), Some(warnings)) = (expected["warning"].as_str(), tokens.warnings()) {
            check(warning, warnings.iter().any(|code| code == warning))?;
        }
    }
    if let Some(strict) = expected.get("strict") {
        let rules = Rules {
            strictness: Strictness::Strict,
            ..Rules::default()
        };
        let verdict = read(vector, runner, rules)
            .and_then(|read| outcome(strict, read))
            .map(drop);
        runner.allow_unsupported(verdict)?;
    }
    if let Some(quirk) = expected.get("quirk") {
        let verdict = with_quirk(vector, runner, quirk);
        runner.allow_unsupported(verdict)?;
    }
    Ok(())
}

/// The `Authorization` header for this token.
fn attached(runner: &mut Runner, tokens: &TokensOutput) -> Outcome<String> {
    let token = tokens.text("access_token")?;
    let attach = TurnInput::Attach {
        url: "https://api.example/x".to_owned(),
        headers: std::collections::BTreeMap::new(),
        body: None,
        origins: Some(vec!["https://api.example".to_owned()]),
        tokens: Some(stored_tokens(json!({ "access_token": token }))),
    };
    let server = as_example(&Rules::default());
    let conversation = Conversation::new(Some(server), Some(public("s6BhdRkqt3"))).then(0, attach);
    match runner.play(&conversation)?.pop() {
        Some(TurnOutput::Attached(header)) => Ok(Ok(header)),
        Some(TurnOutput::Error(refusal)) => Ok(Err(refusal)),
        other => Err(format!("want a header, got {other:?}").into()),
    }
}

/// The vector's quirk must change the result, or the part of it that is compared.
fn with_quirk(vector: &Vector, runner: &mut Runner, named: &Value) -> Verdict {
    let quirk = quirk(named, &vector.input).ok_or_else(|| format!("no quirk for {named}"))?;
    let rules = Rules {
        quirks: vec![quirk],
        ..Rules::default()
    };
    let before = read(vector, runner, Rules::default())?;
    let after = read(vector, runner, rules)?;
    match (before, after) {
        (Err(before), Err(after)) => {
            check("the quirk changes the error", before.code != after.code)
        }
        (Err(_), Ok(_)) => Ok(()),
        (Ok(before), Ok(after)) => {
            check_equal("scope", after.scope()?, texts(&named["scope"]))?;
            check(
                "the quirk changes the scope",
                before.scope()? != after.scope()?,
            )
        }
        (Ok(_), Err(after)) => Err(format!("the quirk breaks it: {}", after.message).into()),
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

/// Runs a token request that gets the vector's response.
fn read(vector: &Vector, runner: &mut Runner, rules: Rules) -> Outcome<TokensOutput> {
    // A secret that must not be rendered is the one that this client sends.
    let secret = vector.expected["debug_and_display_do_not_contain"]
        .as_str()
        .unwrap_or("gX1fBat3bV");
    runner.token(&rules, secret, reply(vector)?)
}

/// A client for vectors that only the core runs.
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

pub(crate) fn reply(vector: &Vector) -> Result<Reply, Failure> {
    let status = vector.input["status"].as_u64().unwrap_or(200);
    let body = match &vector.input["body"] {
        Value::String(text) => expand(text),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let members = [
        ("content_type", "content-type"),
        ("location", "location"),
        ("www_authenticate", "www-authenticate"),
        ("retry_after", "retry-after"),
    ];
    let fields = members
        .iter()
        .filter_map(|(member, name)| Some((*name, vector.text(member)?)));
    let status = u16::try_from(status).map_err(|_| "no such status")?;
    Ok(Reply::new(status, &fields.collect::<Vec<_>>(), body))
}

fn compare(want: &Value, tokens: &TokensOutput) -> Verdict {
    for (name, want) in want.as_object().into_iter().flatten() {
        match name.as_str() {
            "expires_in" if want == "saturated" => {
                check_equal(name, tokens.get(name)?, Value::from(MAX_LIFETIME))?;
                // A page computes the expiration time itself; elsewhere it must not wrap around.
                if let Some(end) = tokens.0.get("expires_at").and_then(Value::as_u64) {
                    check("not treated as expired", end > 4_000_000_000)?;
                }
            }
            "token_type" => {
                if let Some(named) = tokens.0.get(name) {
                    check_equal(name, named, want)?;
                }
            }
            "access_token" | "expires_in" | "refresh_token" | "id_token" => {
                check_equal(name, &tokens.get(name)?, want)?;
            }
            "scope" => check_equal(name, tokens.scope()?, texts(want))?,
            "extra" => {
                let extra = tokens.get("extra")?;
                for (member, value) in want.as_object().into_iter().flatten() {
                    check_equal(member, extra.get(member), Some(value))?;
                }
            }
            other => check_equal(other, tokens.get("extra")?.get(other), Some(want))?,
        }
    }
    Ok(())
}
