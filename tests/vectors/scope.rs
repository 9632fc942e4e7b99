//! Group `scope`: how scopes are read, requested and compared with what was granted.

use oauth_core::Scope;
use oauth_core::quirk::{Quirk, Rules, Strictness};
use serde_json::{Value, json};

use crate::conversation::{AuthorizeInput, Conversation, TurnInput};
use crate::expect::outcome;
use crate::fields::Reply;
use crate::format::{Failure, Vector, Verdict, check, check_equal, texts};
use crate::lang::Lang;
use crate::runner::{
    Outcome, Runner, as_example, confidential, public, request, sent, stored_tokens, tokens,
};
use crate::transcript::{TokensOutput, TurnOutput};

const OF_THE_CORE: &str = "only Rust exposes the core's advice on which scope to request next";

pub(crate) fn scope(vector: &Vector, runner: &mut Runner) -> Verdict {
    let input = &vector.input;
    if input.get("raw").is_some() {
        syntax(vector, runner)
    } else if input.get("requested").is_some() {
        granted(vector, runner, &input["requested"], None)
    } else if input.get("original").is_some() {
        let refresh = &input["refresh_request_scope"];
        granted(vector, runner, &input["original"], Some(refresh))
    } else if !runner.is_rust() {
        Err(Failure::OutOfReach(OF_THE_CORE))
    } else if input.get("previously_requested").is_some() {
        let before = of(&input["previously_requested"])?;
        let next = before.union(&parse(vector.required_text("challenge_scope")?)?);
        check_equal(
            "next",
            names(&next),
            texts(&vector.expected["next_request_scope"]),
        )
    } else {
        chosen(vector)
    }
}

fn syntax(vector: &Vector, runner: &mut Runner) -> Verdict {
    let raw = vector.required_text("raw")?;
    if let Some(requested_scopes) = outcome(&vector.expected, authorize_scopes(runner, raw)?)? {
        check_equal(
            "scopes",
            requested_scopes,
            texts(&vector.expected["scopes"]),
        )?;
        if let (Some(other), true) = (vector.expected.get("equal_as_set_to"), runner.is_rust()) {
            check_equal("as sets", parse(raw)?, of(other)?)?;
        }
    }
    if let Some(strict) = vector.expected.get("strict") {
        let rules = Rules {
            strictness: Strictness::Strict,
            ..Rules::default()
        };
        // For the client, a scope with invalid syntax is an error in the token response.
        let refused =
            grant(runner, &rules, &Scope::none(), &json!(raw), None).and_then(|refused| {
                check(
                    "strict refuses",
                    strict["error"].is_string() && refused.is_err(),
                )
            });
        runner.allow_unsupported(refused)?;
    }
    if let Some(quirk) = vector.expected.get("quirk") {
        let verdict = delimited(runner, raw, quirk);
        runner.allow_unsupported(verdict)?;
    }
    Ok(())
}

/// The scope names sent in a request for this scope.
fn authorize_scopes(runner: &mut Runner, raw: &str) -> Outcome<Vec<String>> {
    let server = as_example(&Rules::default());
    let scope = raw.to_owned();
    let sent = if runner.lang == Lang::Browser {
        let authorize_input = AuthorizeInput {
            redirect_uri: "https://app.example/cb".to_owned(),
            scope,
            ..AuthorizeInput::default()
        };
        let conversation = Conversation::new(Some(server), Some(public("s6BhdRkqt3")))
            .then(0, TurnInput::Authorize(authorize_input));
        match runner.play(&conversation)?.pop() {
            Some(TurnOutput::Authorized { url, .. }) => parameter(&url, "scope")?,
            Some(TurnOutput::Error(refusal)) => return Ok(Err(refusal)),
            other => return Err(format!("want a URL, got {other:?}").into()),
        }
    } else {
        let client = confidential("s6BhdRkqt3", "gX1fBat3bV");
        let conversation = Conversation::new(Some(server), Some(client))
            .then(0, TurnInput::ClientCredentials { scope });
        match sent(runner.play(&conversation)?.pop())? {
            Ok(request) => request.parameter("scope")?,
            Err(refusal) => return Ok(Err(refusal)),
        }
    };
    let sent = sent.unwrap_or_default();
    let names = sent.split(' ').filter(|name| !name.is_empty());
    Ok(Ok(names.map(str::to_owned).collect()))
}

/// A parameter of a URL.
pub(crate) fn parameter(url: &str, name: &str) -> Result<Option<String>, Failure> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let pairs: Vec<(String, String)> =
        serde_urlencoded::from_str(query).map_err(|error| error.to_string())?;
    Ok(pairs
        .into_iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value))
}

fn delimited(runner: &mut Runner, raw: &str, quirk: &Value) -> Verdict {
    let delimiter = quirk["scope_delimiter"]
        .as_str()
        .and_then(|text| text.chars().next());
    let rules = Rules {
        quirks: vec![Quirk::ScopeDelimiter(delimiter.ok_or("no delimiter")?)],
        ..Rules::default()
    };
    let tokens = grant(runner, &rules, &Scope::none(), &json!(raw), None)?;
    let tokens = tokens.map_err(|refusal| refusal.message)?;
    check_equal("scopes", tokens.scope()?, texts(&quirk["scopes"]))
}

fn granted(
    vector: &Vector,
    runner: &mut Runner,
    requested: &Value,
    refresh: Option<&Value>,
) -> Verdict {
    let requested = of(requested)?;
    let response_scope = match &vector.input["response_scope"] {
        Value::String(text) if text == "<absent>" => &Value::Null,
        other => other,
    };
    let refresh = refresh.map(of).transpose()?;
    let tokens = grant(
        runner,
        &Rules::default(),
        &requested,
        response_scope,
        refresh.as_ref(),
    )?;
    if let Some(tokens) = outcome(&vector.expected, tokens)? {
        check_equal(
            "granted",
            tokens.scope()?,
            texts(&vector.expected["granted"]),
        )?;
        if let Some(warnings) = tokens.warnings() {
            let is_widened = warnings.iter().any(|code| code == "scope_widened");
            check_equal("widened", is_widened, vector.expected["widened"] == true)?;
        }
    }
    if let Some(strict) = vector.expected.get("strict") {
        let rules = Rules {
            strictness: Strictness::Strict,
            ..Rules::default()
        };
        let verdict = grant(runner, &rules, &requested, response_scope, refresh.as_ref())
            .and_then(|tokens| outcome(strict, tokens))
            .map(drop);
        runner.allow_unsupported(verdict)?;
    }
    Ok(())
}

/// Requests the scope `requested`, or refreshes a grant of it, and gets `response_scope` in the response.
fn grant(
    runner: &mut Runner,
    rules: &Rules,
    requested: &Scope,
    response_scope: &Value,
    refresh: Option<&Scope>,
) -> Outcome<TokensOutput> {
    let server = Some(as_example(rules));
    let is_page = runner.lang == Lang::Browser;
    let client = if is_page {
        public("s6BhdRkqt3")
    } else {
        confidential("s6BhdRkqt3", "gX1fBat3bV")
    };
    let conversation = Conversation::new(server, Some(client));
    let scope = requested.as_str().to_owned();
    let conversation = match refresh {
        Some(narrower) => conversation.then(
            0,
            TurnInput::Refresh {
                scope: narrower.as_str().to_owned(),
                tokens: Some(stored_tokens(json!({ "scope": scope }))),
            },
        ),
        None if is_page => conversation.then(
            0,
            TurnInput::Redeem {
                callback: "https://app.example/cb?code=c&state=xyz".to_owned(),
                flow: Some(crate::runner::flow(json!({ "scope": scope }))),
            },
        ),
        None => conversation.then(0, TurnInput::ClientCredentials { scope }),
    };
    let mut body = json!({ "access_token": "a", "token_type": "Bearer" });
    if !response_scope.is_null() {
        body["scope"] = response_scope.clone();
    }
    let conversation = conversation.then(1, TurnInput::Reply(Reply::json(&body)));
    let mut outputs = runner.play(&conversation)?.into_iter();
    match outputs.next() {
        Some(TurnOutput::Error(refusal)) => return Ok(Err(refusal)),
        first => drop(request(first)?),
    }
    tokens(outputs.next())
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
    if vector.expected["scope"].is_array() {
        check_equal(
            "scope",
            chosen.as_ref().map(names),
            Some(texts(&vector.expected["scope"])),
        )
    } else {
        check_equal(
            "parameter",
            vector.expected["scope_parameter"].as_str(),
            Some("omitted"),
        )?;
        check_equal("scope", chosen, None)
    }
}

fn parse(text: &str) -> Result<Scope, String> {
    Scope::parse(text).map_err(|error| error.to_string())
}

fn of(list: &Value) -> Result<Scope, String> {
    let names = texts(list);
    Scope::from_names(names.iter().map(String::as_str)).map_err(|error| error.to_string())
}

fn names(scope: &Scope) -> Vec<String> {
    scope.iter().map(str::to_owned).collect()
}
