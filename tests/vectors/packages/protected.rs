//! Signed authorization responses and requests, and step-up challenges of an API, in a package: `jarm`, `jar`,
//! `step-up`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Calls, check_end, client, record, server};
use crate::conversation::{AuthorizeInput, ClientConfig, Conversation, TokenInput, TurnInput};
use crate::fields::{Fields, Reply, Text};
use crate::format::{Failure, Vector, Verdict, check, check_equal, texts};
use crate::jws::{key_set, keys};
use crate::protected::signed_as_wanted;
use crate::runner::{self, Runner};
use crate::transcript::{Refusal, TurnOutput};

pub(super) const ISSUER: &str = "https://as.example";
const CALLBACK: &str = "https://client.example.com/cb";

pub(crate) fn jarm(vector: &Vector, runner: &mut Runner) -> Verdict {
    let expect = &vector.input["expect"];
    let member = |name: &str, usual: &str| expect[name].as_str().unwrap_or(usual).to_owned();
    let (issuer, id) = (member("issuer", ISSUER), member("client_id", "client1"));
    let algs = "authorization_signing_alg_values_supported";
    let metadata = json!({ algs: expect["allowed_algs"].as_array() });
    let metadata = if metadata[algs].is_null() {
        Value::Null
    } else {
        metadata
    };
    let now = expect["now"].as_u64().unwrap_or(super::NOW);
    let flow = runner::flow(json!({
        "issuer": issuer, "client_id": id, "redirect_uri": CALLBACK, "started_at": now,
        "response_mode": vector.text("response_mode").unwrap_or("jwt"),
        "state": vector.text("expected_state").unwrap_or("xyz"),
    }));
    let redeem = TurnInput::Redeem {
        callback: vector.required_text("callback")?.to_owned(),
        flow: Some(flow),
    };
    let calls = Calls::new(server(&issuer, &metadata), runner::public(&id));
    let calls = calls.call(now, redeem, vec![Reply::json(&key_set(&Value::Null))]);
    let came = calls.play(runner)?.pop().ok_or("no call")?;
    match (came.end, came.sent.last()) {
        (None, Some(sent)) => check_equal(
            "code",
            sent.parameter("code")?.as_deref(),
            vector.expected["ok"]["code"].as_str(),
        ),
        (Some(end), _) => check_end(vector, end).map(drop),
        (None, None) => Err("nothing was sent".into()),
    }
}

/// The URL of an authorization, or the refusal.
pub(super) fn authorized(
    runner: &mut Runner,
    metadata: &Value,
    client: ClientConfig,
    now: u64,
    authorize_input: AuthorizeInput,
) -> Result<Result<(String, Value), Refusal>, Failure> {
    let conversation = Conversation::new(Some(server(ISSUER, metadata)), Some(client));
    let conversation = conversation.then(now, TurnInput::Authorize(authorize_input));
    url(runner.play(&conversation)?.pop())
}

fn url(output: Option<TurnOutput>) -> Result<Result<(String, Value), Refusal>, Failure> {
    match output {
        Some(TurnOutput::Authorized { url, flow }) => {
            let flow = serde_json::from_str(&flow).map_err(|error| error.to_string())?;
            Ok(Ok((url, flow)))
        }
        Some(TurnOutput::Error(refusal)) => Ok(Err(refusal)),
        other => Err(format!("want a URL, got {other:?}").into()),
    }
}

pub(super) fn query(url: &str) -> Vec<(String, String)> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    serde_urlencoded::from_str(query).unwrap_or_default()
}

pub(super) fn refused(vector: &Vector, refusal: Refusal) -> Verdict {
    check_end(vector, Err(refusal)).map(drop)
}

fn authorize_input(redirect_uri: &str, scope: &str) -> AuthorizeInput {
    AuthorizeInput {
        redirect_uri: redirect_uri.to_owned(),
        scope: scope.to_owned(),
        ..AuthorizeInput::default()
    }
}

pub(crate) fn jar(vector: &Vector, runner: &mut Runner) -> Verdict {
    let plain = runner::public(vector.text("client_id").unwrap_or("client1"));
    let mut signs = plain.clone();
    let key = keys("client_ec").to_string();
    for (name, value) in [
        ("request_object_signing_alg", "ES256"),
        ("request_object_signing_key", key.as_str()),
    ] {
        signs.registration.insert(name.to_owned(), value.into());
    }
    let metadata = &vector.input["metadata"];
    match vector.text("build") {
        Some("request_object") => {
            let input_params = &vector.input["params"];
            let mut authorize_input = authorize_input(
                input_params["redirect_uri"].as_str().unwrap_or_default(),
                "openid",
            );
            authorize_input
                .extra
                .insert("max_age".to_owned(), input_params["max_age"].to_string());
            let now = vector.input["now"].as_u64().ok_or("no time")?;
            let made = authorized(runner, metadata, signs, now, authorize_input)?;
            let (url, flow) = made.map_err(|refusal| refusal.message)?;
            object(vector, &url, &flow, now)
        }
        Some("authorization_url_with_request") => {
            let more = texts(&vector.expected["oidc_compat_adds"]);
            for (scope, extra) in [("", Vec::new()), ("openid", more)] {
                let made = authorized(
                    runner,
                    metadata,
                    signs.clone(),
                    1,
                    authorize_input(CALLBACK, scope),
                )?;
                let (url, _) = made.map_err(|refusal| refusal.message)?;
                let mut names: Vec<_> = query(&url).into_iter().map(|(name, _)| name).collect();
                let mut expected_value = texts(&vector.expected["query_params"]);
                expected_value.extend(extra);
                names.sort_unstable();
                expected_value.sort_unstable();
                check_equal("parameters", names, expected_value)?;
            }
            Ok(())
        }
        Some("authorization_url") => {
            match authorized(runner, metadata, plain, 1, authorize_input(CALLBACK, ""))? {
                Err(refusal) => refused(vector, refusal),
                Ok((url, _)) => Err(format!("not refused: {url}").into()),
            }
        }
        Some(other) => Err(format!("nothing builds {other}").into()),
        None => {
            let mut authorize_input = authorize_input(CALLBACK, "");
            match vector.text("request_uri") {
                Some(uri) => authorize_input.request_uri = Some(uri.to_owned()),
                None => {
                    let uri = "https://client.example/r".to_owned();
                    authorize_input.extra.insert("request_uri".to_owned(), uri);
                }
            }
            match authorized(runner, metadata, signs, 1, authorize_input)? {
                Err(refusal) => refused(vector, refusal),
                Ok((url, _)) => Err(format!("not refused: {url}").into()),
            }
        }
    }
}

pub(super) fn part(jwt: &str, at: usize) -> Result<Value, Failure> {
    let part = jwt.split('.').nth(at).unwrap_or_default();
    let bytes = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string().into())
}

/// The request object in this URL is the one that the vector expects.
fn object(vector: &Vector, url: &str, flow: &Value, now: u64) -> Verdict {
    let pairs = query(url);
    let jwt = pairs.iter().find(|(name, _)| name == "request");
    let (_, jwt) = jwt.ok_or("no request object")?;
    let (header, claims) = (part(jwt, 0)?, part(jwt, 1)?);
    let expected = &vector.expected;
    signed_as_wanted(vector, &header, &claims, now)?;
    check_equal("state", &claims["state"], &flow["state"])?;
    let never = texts(&expected["must_not_contain"]);
    for name in never.iter().map(String::as_str).chain(["sub"]) {
        check(name, claims.get(name).is_none())?;
    }
    Ok(())
}

pub(crate) fn step_up(vector: &Vector, runner: &mut Runner) -> Verdict {
    if let Some(reply) = vector.input.get("introspection_response") {
        return introspected(vector, reply, runner);
    }
    if vector.input.get("cached_tokens").is_some() {
        return chosen(vector, runner);
    }
    if let Some(callback) = vector.text("callback") {
        let redeem = TurnInput::Redeem {
            callback: callback.to_owned(),
            flow: Some(runner::flow(json!({
                "client_id": "client1", "redirect_uri": CALLBACK,
                "state": vector.required_text("expected_state")?,
            }))),
        };
        let calls = Calls::new(server(ISSUER, &Value::Null), runner::public("client1"));
        let Err(refusal) = calls.call(1, redeem, Vec::new()).end(runner)? else {
            return Err("accepted".into());
        };
        check_equal(
            "code",
            refusal.error.as_deref(),
            vector.expected["code"].as_str(),
        )?;
        return check_equal("retry", refusal.advice == "retry", false);
    }
    let status = vector.input["status"]
        .as_u64()
        .and_then(|status| u16::try_from(status).ok());
    let status = status.ok_or("no status")?;
    let field = vector.required_text("www_authenticate")?.to_owned();
    let step_up_input = TurnInput::StepUp {
        status,
        challenges: vec![field.clone()],
    };
    let calls = || {
        Conversation::new(
            Some(server(ISSUER, &Value::Null)),
            Some(runner::public("client1")),
        )
    };
    let Some(TurnOutput::StepUp(required_step_up)) =
        runner.play(&calls().then(1, step_up_input))?.pop()
    else {
        return Err("the step-up was not reported".into());
    };
    match vector.expected["action"].as_str() {
        Some(action) if action.contains("retry once") => {
            check("no step-up is requested", required_step_up.is_null())?;
            let headers = Fields(vec![("www-authenticate".to_owned(), field)]);
            let verdict = TurnInput::Verdict { status, headers };
            match runner.play(&calls().then(1, verdict))?.pop() {
                Some(TurnOutput::Verdict(verdict)) => check("renewed", verdict.renews),
                other => Err(format!("want a verdict, got {other:?}").into()),
            }
        }
        Some(_) if vector.input["same_challenge_already_answered"] == true => {
            repeated(&required_step_up, runner)
        }
        Some(_) if vector.text("grant").is_some() => response_reaches_caller(status, field, runner),
        Some(_) => check("no step-up is possible", required_step_up.is_null()),
        None => {
            let mut authorize_input =
                authorize_input(CALLBACK, vector.text("granted_scope").unwrap_or_default());
            authorize_input.step_up = Some(required_step_up);
            let client_config = runner::public("client1");
            let made = authorized(runner, &Value::Null, client_config, 1, authorize_input)?;
            let (url, _) = made.map_err(|refusal| refusal.message)?;
            let params = query(&url);
            let expected_params = vector.expected["authorization_params"].as_array();
            for pair in expected_params.into_iter().flatten() {
                let [name, value] = [&pair[0], &pair[1]].map(|part| part.as_str());
                let found = params.iter().find(|(key, _)| Some(key.as_str()) == name);
                check_equal(
                    name.unwrap_or_default(),
                    found.map(|(_, value)| value.as_str()),
                    value,
                )?;
            }
            Ok(())
        }
    }
}

/// Where no user can be asked, the caller gets the response: one request to the API, and none to the server.
fn response_reaches_caller(status: u16, field: String, runner: &mut Runner) -> Verdict {
    let call = TurnInput::CallApi {
        method: "GET".to_owned(),
        url: "https://api.example/x".to_owned(),
        body: None,
        streams: false,
        origins: vec!["https://api.example".to_owned()],
        tokens: runner::stored_tokens(json!({ "client_id": "client1", "refresh_token": null })),
        replies: vec![Reply::new(status, &[("www-authenticate", &field)], "")],
    };
    let conversation = Conversation::new(
        Some(server(ISSUER, &Value::Null)),
        Some(runner::public("client1")),
    );
    let Some(TurnOutput::Called(called)) = runner.play(&conversation.then(1, call))?.pop() else {
        return Err("want a call".into());
    };
    check_equal("requests", called.sent.len(), 1)?;
    check_equal("status", called.status, Some(status))
}

/// The API repeats its challenge to tokens from a login that met it.
fn repeated(required_step_up: &Value, runner: &mut Runner) -> Verdict {
    check_equal(
        "the second time",
        satisfies(required_step_up, required_step_up, runner)?,
        true,
    )
}

/// Among tokens of logins with different authentication, those that meet the requirement are used.
fn chosen(vector: &Vector, runner: &mut Runner) -> Verdict {
    let challenge_for = |acr: &Value| json!({ "acr_values": acr });
    let needed = challenge_for(&vector.input["needed"]["acr_values"]);
    let mut met = Vec::new();
    let cached = vector.input["cached_tokens"].as_array();
    for (at, tokens) in cached.into_iter().flatten().enumerate() {
        if satisfies(&challenge_for(&json!([tokens["acr"]])), &needed, runner)? {
            met.push(at);
        }
    }
    let expected_value = vector.expected["use"].as_u64();
    let expected_value: Vec<_> = expected_value
        .and_then(|at| usize::try_from(at).ok())
        .into_iter()
        .collect();
    check_equal("used", met, expected_value)
}

/// Whether tokens of a login for `granted` meet `needed`, so that no login is necessary.
fn satisfies(granted: &Value, needed: &Value, runner: &mut Runner) -> Result<bool, Failure> {
    let mut authorize_input = authorize_input(CALLBACK, "");
    authorize_input.step_up = Some(granted.clone());
    let client_config = runner::public("client1");
    // Earlier tokens, which did not meet the challenge.
    let held = json!({ "client_id": "client1", "refresh_token": "r" });
    let before = TurnInput::Refresh {
        scope: String::new(),
        tokens: Some(runner::stored_tokens(held)),
    };
    let token = Reply::json(&json!({ "access_token": "b", "token_type": "Bearer" }));
    let start = Conversation::new(Some(server(ISSUER, &Value::Null)), Some(client_config));
    let start = start
        .then(1, before)
        .then(1, TurnInput::Reply(token.clone()));
    let first = start
        .clone()
        .then(1, TurnInput::Authorize(authorize_input.clone()));
    let (_, flow) = url(runner.play(&first)?.pop())?.map_err(|refusal| refusal.message)?;
    let state = flow["state"].as_str().unwrap_or_default();
    let redeem = TurnInput::Redeem {
        callback: format!("{CALLBACK}?code=c&state={state}"),
        flow: Some(Text(flow.to_string())),
    };
    authorize_input.step_up = Some(needed.clone());
    let again = start
        .then(1, redeem)
        .then(1, TurnInput::Reply(token))
        .then(1, TurnInput::Authorize(authorize_input));
    match url(runner.play(&again)?.pop())? {
        Ok(_) => Ok(false),
        Err(refusal) if refusal.code == "step_up.repeated" => Ok(true),
        Err(refusal) => Err(refusal.message.into()),
    }
}

fn introspected(vector: &Vector, reply: &Value, runner: &mut Runner) -> Verdict {
    let token_input = TurnInput::Introspect(TokenInput {
        token: Some("t".to_owned()),
        ..TokenInput::default()
    });
    let body: Value = serde_json::from_str(reply["body"].as_str().unwrap_or_default())
        .map_err(|error| error.to_string())?;
    let calls = Calls::new(server(ISSUER, &Value::Null), client("c", Some("s3cr3t")));
    let end = calls
        .call(1, token_input, vec![Reply::json(&body)])
        .end(runner)?;
    let token_fields = record(end.map_err(|refusal| refusal.message)?)?;
    for name in ["acr", "auth_time"] {
        check_equal(
            name,
            &token_fields["extra"][name],
            &vector.expected["ok"][name],
        )?;
    }
    Ok(())
}
