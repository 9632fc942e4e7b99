//! Groups about grants that wait for a user on a different device: `device-flow`, `ciba`.

use oauth_core::jose::Alg;
use oauth_core::quirk::{Rules, Strictness};
use serde_json::{Value, json};

use crate::classes;
use crate::conversation::{ClientConfig, Conversation, ServerConfig, TurnInput};
use crate::expect::outcome;
use crate::fields::Reply;
use crate::format::{Failure, Vector, Verdict, check, check_equal, texts};
use crate::jws::key_set;
use crate::lang::Lang;
use crate::packages::signed;
use crate::runner::{Outcome, Runner, confidential, public, request};
use crate::transcript::{Done, Sent, TurnOutput};

/// The time at which every vector begins, in Unix seconds.
const NOW: u64 = 1_700_000_000;
const ISSUER: &str = "https://as.example";
const ID: &str = "1406020730";

fn server(rules: &Rules) -> ServerConfig {
    let endpoints = json!({
        "token_endpoint": "https://as.example/token",
        "device_authorization_endpoint": "https://as.example/device",
        "backchannel_authentication_endpoint": "https://as.example/bc",
        "jwks_uri": "https://as.example/jwks",
    });
    ServerConfig::of(ISSUER, endpoints, rules)
}

fn strict_rules() -> Rules {
    Rules {
        strictness: Strictness::Strict,
        ..Rules::default()
    }
}

/// The result of a call whose only request gets this response.
fn play_response(
    rules: &Rules,
    client: ClientConfig,
    call: TurnInput,
    response_spec: &Value,
    runner: &mut Runner,
) -> Outcome<Done> {
    let conversation = Conversation::new(Some(server(rules)), Some(client)).then(NOW, call);
    let conversation = conversation.then(NOW, TurnInput::Reply(reply(response_spec)?));
    let mut entries = runner.play(&conversation)?.into_iter();
    request(entries.next())?;
    match entries.next() {
        Some(TurnOutput::Done(done)) => Ok(Ok(done)),
        Some(TurnOutput::Error(refusal)) => Ok(Err(refusal)),
        other => Err(format!("want an end, got {other:?}").into()),
    }
}

/// A response in a vector; JSON unless it has a content type.
fn reply(response_spec: &Value) -> Result<Reply, Failure> {
    let mut headers = response_spec["headers"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    let kind = response_spec["content_type"]
        .as_str()
        .unwrap_or("application/json");
    headers.insert("content-type".to_owned(), kind.into());
    let headers: serde_json::Map<_, _> = headers
        .into_iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
        .collect();
    let written = json!({ "status": response_spec["status"], "headers": headers, "body": response_spec["body"] });
    serde_json::from_value(written).map_err(|error| error.to_string().into())
}

pub(crate) fn device(vector: &Vector, runner: &mut Runner) -> Verdict {
    let input = &vector.input;
    if let Some(form_values) = input["token_responses"].as_array() {
        let interval = input["interval"].as_u64().ok_or("no interval")?;
        let expires_in = input["expires_in"].as_u64().ok_or("no expires_in")?;
        let call = TurnInput::operation(
            "poll_device_token",
            json!({ "device_code": "d", "interval": interval, "expires_at": NOW + expires_in }),
        );
        return sequence(vector, form_values, public(ID), call, runner);
    }
    match vector.text("build") {
        Some("device_authorization") => {
            let scope = vector.required_text("scope")?;
            let operation = TurnInput::operation("device_authorization", json!({ "scope": scope }));
            built(vector, operation, runner)
        }
        Some("token_request") => {
            let code = vector.required_text("device_code")?;
            let operation = json!({ "device_code": code, "expires_at": NOW + 600 });
            built(
                vector,
                TurnInput::operation("poll_device_token", operation),
                runner,
            )
        }
        Some(other) => Err(format!("nothing builds {other}").into()),
        None if input.get("purpose").is_some() => prompt(vector, runner),
        None => response(vector, runner),
    }
}

/// Compares a request with all its parameters.
fn built(vector: &Vector, call: TurnInput, runner: &mut Runner) -> Verdict {
    let id = vector.required_text("client_id")?;
    let conversation = Conversation::new(Some(server(&Rules::default())), Some(public(id)));
    let conversation = conversation
        .then(NOW, call)
        .then(NOW + 5, TurnInput::Elapsed);
    let mut entries = runner.play(&conversation)?.into_iter();
    let sent: Sent = match entries.next() {
        Some(TurnOutput::Sleep(_)) => request(entries.next())?,
        first => request(first)?,
    };
    if let Some(method) = vector.expected["method"].as_str() {
        check_equal("method", sent.method.as_str(), method)?;
    }
    let mut form = sent.form()?;
    let mut expected_value: Vec<(String, String)> = vector.expected["params"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|pair| {
            texts(pair)
                .try_into()
                .ok()
                .map(|[name, value]: [String; 2]| (name, value))
        })
        .collect();
    form.sort();
    expected_value.sort();
    check_equal("parameters", form, expected_value)
}

fn device_code(vector: &Vector, rules: &Rules, runner: &mut Runner) -> Outcome<Value> {
    let call = TurnInput::operation("device_authorization", json!({}));
    let done = play_response(rules, public(ID), call, &vector.input, runner)?;
    match done {
        Ok(Done::Record(record)) => Ok(Ok(record)),
        Ok(other) => Err(format!("want a record, got {other:?}").into()),
        Err(refusal) => Ok(Err(refusal)),
    }
}

fn response(vector: &Vector, runner: &mut Runner) -> Verdict {
    let expected = &vector.expected;
    let got = device_code(vector, &Rules::default(), runner)?;
    // The poll never happens: the interval is the code's whole life.
    if expected.get("error_or_cap").is_some() {
        let code = got.map_err(|refusal| refusal.message)?;
        return check_equal("interval", &code["interval"], &code["expires_in"]);
    }
    if let Some(code) = outcome(expected, got)? {
        for (name, value) in expected["ok"].as_object().into_iter().flatten() {
            check_equal(name, code[name].as_f64(), value.as_f64())?;
        }
    }
    if let Some(expected_value) = expected.get("strict") {
        let verdict = device_code(vector, &strict_rules(), runner)
            .and_then(|got| outcome(expected_value, got))
            .map(drop);
        runner.allow_unsupported(verdict)?;
    }
    Ok(())
}

/// The text shown to the user, while no browser is opened.
fn prompt(vector: &Vector, runner: &mut Runner) -> Verdict {
    let purpose = vector.required_text("purpose")?;
    let call = TurnInput::operation("device_authorization", json!({ "purpose": purpose }));
    let response_body =
        json!({ "status": 200, "body": vector.input["device_response"].to_string() });
    let done = play_response(&Rules::default(), public(ID), call, &response_body, runner)?;
    let Ok(Done::Record(code)) = done else {
        return Err(format!("want a record, got {done:?}").into());
    };
    let prompt = code["prompt"].as_str().ok_or("no prompt")?;
    for part in texts(&vector.expected["prompt_has"]) {
        check(&part, prompt.contains(&part))?;
    }
    let prompt_text = vector.expected["prompt_says"].as_str().unwrap_or_default();
    check(prompt_text, prompt.contains(prompt_text))
}

/// The pauses between the polls, and the result.
fn sequence(
    vector: &Vector,
    response_specs: &[Value],
    client: ClientConfig,
    call: TurnInput,
    runner: &mut Runner,
) -> Verdict {
    let expected = &vector.expected;
    let mut client = client;
    let is_bound = vector.id.ends_with("dpop-nonce");
    if is_bound {
        client.dpop = Some("ES256".to_owned());
    }
    // By default one pause of 5 s before each response.
    let usual = vec![json!(5); response_specs.len()];
    let waits = expected["waits_s"].as_array().unwrap_or(&usual);
    let waits: Vec<u64> = waits.iter().filter_map(Value::as_u64).collect();
    let (mut now, mut conversation) = (
        NOW,
        Conversation::new(Some(server(&Rules::default())), Some(client)).then(NOW, call),
    );
    for (wait, response_spec) in waits.iter().zip(response_specs) {
        now += wait;
        if *wait > 0 {
            conversation = conversation.then(now, TurnInput::Elapsed);
        }
        let input = match response_spec.as_str() {
            Some(_) => TurnInput::Lost("unknown".to_owned()),
            None => TurnInput::Reply(bound(reply(response_spec)?, is_bound)),
        };
        conversation = conversation.then(now, input);
    }
    let mut entries = runner.play(&conversation)?.into_iter();
    let (mut requests, mut slept) = (0_u64, Vec::new());
    for wait in &waits {
        if *wait == 0 {
            slept.push(0.0);
        } else {
            match entries.next() {
                Some(TurnOutput::Sleep(pause)) => slept.push(pause),
                other => return Err(format!("want a pause of {wait} s, got {other:?}").into()),
            }
        }
        request(entries.next())?;
        requests += 1;
    }
    let expected_waits: Vec<_> = waits.iter().map(|wait| *wait as f64).collect();
    check_equal("pauses", slept, expected_waits)?;
    if let Some(count) = expected["requests"].as_u64() {
        check_equal("requests", requests, count)?;
    }
    let result = expected["result"].as_str().ok_or("no result")?;
    match (result.strip_prefix("error:"), entries.next()) {
        (None, Some(TurnOutput::Done(Done::Tokens(_)))) => Ok(()),
        (Some(error), Some(TurnOutput::Error(refusal))) => {
            check_equal("error", refusal.error.as_deref(), Some(error))
        }
        (_, other) => Err(format!("want {result}, got {other:?}").into()),
    }
}

/// A client with a DPoP key refuses tokens that are not bound to it, so the server's response has to be of that type.
fn bound(mut reply: Reply, is_bound: bool) -> Reply {
    if is_bound {
        reply.body = reply.body.replace("Bearer", "DPoP");
    }
    reply
}

pub(crate) fn ciba(vector: &Vector, runner: &mut Runner) -> Verdict {
    let input = &vector.input;
    if runner.lang == Lang::Browser {
        return Err(Failure::OutOfReach(
            "a page has no secret, and cannot receive notifications",
        ));
    }
    if let Some(response) = input.get("ack_response") {
        let call = TurnInput::operation("backchannel_authentication", required_arguments());
        let got = play_response(&Rules::default(), client(), call, response, runner)?;
        return outcome(&vector.expected, got).map(drop);
    }
    if let Some(form_values) = input["token_responses"].as_array() {
        return acknowledged(vector, form_values, runner);
    }
    if input.get("ping").is_some() || input.get("ping_auth_req_id").is_some() {
        return ping(vector, runner);
    }
    if let Some(claims) = input.get("push_id_token_claims") {
        return push(vector, claims, runner);
    }
    let call = TurnInput::operation("backchannel_authentication", device_arguments(input));
    let conversation =
        Conversation::new(Some(server(&Rules::default())), Some(client())).then(NOW, call);
    let sent = match runner.play(&conversation)?.pop() {
        Some(TurnOutput::Send(sent)) => Ok(sent),
        Some(TurnOutput::Error(refusal)) => Err(refusal),
        other => return Err(format!("want a request, got {other:?}").into()),
    };
    let Some(sent) = outcome(&vector.expected, sent)? else {
        return Ok(());
    };
    for pair in vector.expected["params_have"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let [name, value] = texts(pair).try_into().map_err(|_| "no pair")?;
        check_equal(&name, sent.parameter(&name)?, Some(value))?;
    }
    let Some(shown) = vector.expected["shown_to_caller"].as_str() else {
        return Ok(());
    };
    let response = json!({ "status": 200, "body": r#"{"auth_req_id":"x","expires_in":60}"# });
    let call = TurnInput::operation("backchannel_authentication", device_arguments(input));
    match play_response(&Rules::default(), client(), call, &response, runner)? {
        Ok(Done::Record(record)) => {
            check_equal("shown", record["binding_message"].as_str(), Some(shown))
        }
        other => Err(format!("want a record, got {other:?}").into()),
    }
}

fn client() -> ClientConfig {
    confidential(ID, "tXo3vY5kPq9sB2mN8rT1wZ4cE7hJ0gLd6fUaKxWiVnQ")
}

/// The required arguments of every request.
fn required_arguments() -> Value {
    json!({ "scope": "openid", "login_hint": "a" })
}

/// The arguments of a vector's request. A vector with only a scope gets a hint as well.
fn device_arguments(input: &Value) -> Value {
    let mut all = match input.get("scope") {
        Some(_) => required_arguments(),
        None => json!({ "scope": "openid" }),
    };
    if let (Some(all), Some(input)) = (all.as_object_mut(), input.as_object()) {
        all.extend(input.clone());
    }
    all
}

/// The acknowledgement of a CIBA request, and the polls after it.
fn acknowledged(vector: &Vector, response_specs: &[Value], runner: &mut Runner) -> Verdict {
    let call = TurnInput::operation("backchannel_authentication", required_arguments());
    let response_body = json!({ "status": 200, "body": vector.input["ack"].to_string() });
    let begun = play_response(&Rules::default(), client(), call, &response_body, runner)?;
    let begun = match begun {
        Ok(Done::Record(record)) => Ok(record),
        Ok(other) => return Err(format!("want a record, got {other:?}").into()),
        Err(refusal) => Err(refusal),
    };
    let Some(begun) = outcome(&vector.expected, begun)? else {
        return Ok(());
    };
    // Without openid there is no ID token to verify; the polls do not depend on it.
    let call = TurnInput::operation(
        "poll_backchannel_token",
        json!({
            "auth_req_id": begun["auth_req_id"],
            "interval": begun["interval"].as_f64().map(|seconds| seconds as u64),
            "expires_at": begun["expires_at"].as_f64().map(|seconds| seconds as u64),
        }),
    );
    sequence(vector, response_specs, client(), call, runner)
}

fn ping(vector: &Vector, runner: &mut Runner) -> Verdict {
    let token = vector
        .text("client_notification_token")
        .unwrap_or("t0ken-of-the-request");
    let (authorization, body) = match vector.input.get("ping") {
        Some(ping) => (ping["authorization"].clone(), ping["body"].clone()),
        None => {
            let named = json!({ "auth_req_id": vector.input["ping_auth_req_id"] });
            (format!("Bearer {token}").into(), named.to_string().into())
        }
    };
    let call = TurnInput::operation(
        "verify_ping",
        json!({
            "auth_req_id": "x", "client_notification_token": token,
            "authorization": authorization, "body": body,
        }),
    );
    let conversation =
        Conversation::new(Some(server(&Rules::default())), Some(client())).then(NOW, call);
    let refusal = match runner.play(&conversation)?.pop() {
        Some(TurnOutput::Error(refusal)) => refusal,
        // Nothing is sent.
        other => return Err(format!("want a refusal, got {other:?}").into()),
    };
    if let Some(status) = vector.expected["http_status"].as_u64() {
        check_equal(
            "status",
            refusal.response_status.map(u64::from),
            Some(status),
        )?;
    }
    classes::check(
        &refusal,
        &[vector.expected["error"].as_str().unwrap_or_default()],
    )
}

fn push(vector: &Vector, claims: &Value, runner: &mut Runner) -> Verdict {
    let mut all = json!({
        "iss": ISSUER, "aud": ID, "sub": "u", "iat": NOW, "exp": NOW + 60, "at_hash": "x",
    });
    if let (Some(all), Some(claims)) = (all.as_object_mut(), claims.as_object()) {
        all.extend(claims.clone());
    }
    let id_token = signed("rsa1", Alg::Rs256, None, &all)?;
    let body = json!({
        "auth_req_id": "x", "access_token": "a", "token_type": "Bearer", "id_token": id_token,
    });
    let call = TurnInput::operation(
        "accept_push",
        json!({
            "auth_req_id": "x", "client_notification_token": "n", "authorization": "Bearer n",
            "body": body.to_string(), "scope": "openid",
        }),
    );
    let conversation =
        Conversation::new(Some(server(&Rules::default())), Some(client())).then(NOW, call);
    let conversation =
        conversation.then(NOW, TurnInput::Reply(Reply::json(&key_set(&Value::Null))));
    let mut entries = runner.play(&conversation)?.into_iter();
    request(entries.next())?;
    match entries.next() {
        Some(TurnOutput::Error(refusal)) => classes::check(
            &refusal,
            &[vector.expected["error"].as_str().unwrap_or_default()],
        ),
        other => Err(format!("want a refusal, got {other:?}").into()),
    }
}
