//! Group `registration`: dynamic client registration (RFC 7591) and its management (RFC 7592).

use oauth_core::quirk::{Rules, Strictness};
use serde_json::{Map, Value, json};

use crate::conversation::{Conversation, ServerConfig, TurnInput};
use crate::expect::outcome;
use crate::format::{Vector, Verdict, check, check_equal, texts};
use crate::runner::{Outcome, Runner, public, request, sent};
use crate::token;
use crate::transcript::{Done, TurnOutput};

/// The client secret, which an update must not change.
const SECRET: &str = "cf136dc3c1fc93f31185e5885805d";

pub(crate) fn registration(vector: &Vector, runner: &mut Runner) -> Verdict {
    if vector.text("build") == Some("client_update") {
        return update(vector, runner);
    }
    if let Some(status) = vector.input["delete_response"]["status"].as_u64() {
        return delete(vector, runner, status);
    }
    let lenient = play_registration(vector, runner, Rules::default())?;
    let read = outcome(&vector.expected, lenient)?;
    if let Some(strict) = vector.expected.get("strict") {
        let rules = Rules {
            strictness: Strictness::Strict,
            ..Rules::default()
        };
        let verdict =
            play_registration(vector, runner, rules).and_then(|output| outcome(strict, output));
        runner.allow_unsupported(verdict.map(drop))?;
    }
    match read {
        Some(client) => compare(&vector.expected, &client),
        None => Ok(()),
    }
}

/// The client read from the vector's response: to a registration (RFC 7591), or, if it replaces a registration
/// access token, to an update (RFC 7592).
fn play_registration(
    vector: &Vector,
    runner: &mut Runner,
    rules: Rules,
) -> Outcome<Map<String, Value>> {
    // A registration is answered with 201, an update with 200; the expectation tells which is meant.
    let is_refused = vector.expected["error"] == "registration_token_invalid";
    let is_managed = is_refused || vector.expected["ok"]["registration_access_token"].is_string();
    let input = if is_managed {
        TurnInput::operation_of("read_registration", registered())
    } else {
        TurnInput::operation("register", json!({ "metadata": metadata() }))
    };
    let conversation =
        registration_conversation(rules, input).then(1, TurnInput::Reply(token::reply(vector)?));
    let mut outputs = runner.play(&conversation)?.into_iter();
    request(outputs.next())?;
    match outputs.next() {
        Some(TurnOutput::Done(Done::Record(Value::Object(client)))) => Ok(Ok(client)),
        Some(TurnOutput::Error(refusal)) => Ok(Err(refusal)),
        other => Err(format!("want a client, got {other:?}").into()),
    }
}

fn compare(expected: &Value, client: &Map<String, Value>) -> Verdict {
    for (name, want) in expected["ok"].as_object().into_iter().flatten() {
        match (name.as_str(), want) {
            ("auth", want) => {
                check_equal(name, client.get("token_endpoint_auth_method"), Some(want))?;
                // A public client keeps no secret that could be sent.
                let stored = client.get("stored").and_then(Value::as_str);
                let stored = stored.ok_or("nothing is stored")?;
                check("there is no secret", !client.contains_key("client_secret"))?;
                check("none is stored", !stored.contains(SECRET))?;
            }
            // Unset members are left out.
            (_, Value::Null) => check(name, !client.contains_key(name))?,
            _ => check_equal(name, client.get(name), Some(want))?,
        }
    }
    if let Some(warning) = expected["warning"].as_str() {
        let codes = client.get("warnings").map(texts).unwrap_or_default();
        let warning_code = warning.replace(' ', "_");
        check("it is warned of", codes.contains(&warning_code))?;
    }
    Ok(())
}

/// A deletion is final, and its response contains nothing to store.
fn delete(vector: &Vector, runner: &mut Runner, status: u64) -> Verdict {
    let status = u16::try_from(status).unwrap_or_default();
    let conversation = registration_conversation(
        Rules::default(),
        TurnInput::operation_of("delete_registration", registered()),
    )
    .then(
        1,
        TurnInput::Reply(crate::fields::Reply::new(status, &[], "")),
    )
    .then(2, TurnInput::Begin);
    let mut outputs = runner.play(&conversation)?.into_iter();
    let sent = request(outputs.next())?;
    check_equal("method", sent.method.as_str(), "DELETE")?;
    check_equal(
        "token",
        sent.header("authorization"),
        Some("Bearer t1-of-before"),
    )?;
    let is_gone = matches!(outputs.next(), Some(TurnOutput::Done(Done::Nothing)));
    check_equal("ok", Some(is_gone), vector.expected["ok"].as_bool())?;
    let has_ended = matches!(outputs.next(), Some(TurnOutput::Error(error)) if error.code == "misuse.already_finished");
    let is_erased = vector.expected["local_credentials_erased"].as_bool();
    check_equal("local_credentials_erased", Some(has_ended), is_erased)
}

fn update(vector: &Vector, runner: &mut Runner) -> Verdict {
    let mut registered_members = registered();
    let mut metadata = metadata();
    metadata["client_name"] = "New".into();
    registered_members.insert("metadata".to_owned(), metadata);
    let conversation = registration_conversation(
        Rules::default(),
        TurnInput::operation_of("update_registration", registered_members),
    );
    let mut outputs = runner.play(&conversation)?.into_iter();
    let sent = sent(outputs.next())?.map_err(|refusal| refusal.message)?;
    check_equal("method", sent.method.as_str(), "PUT")?;
    let body: Map<String, Value> =
        serde_json::from_str(&sent.body).map_err(|error| error.to_string())?;
    for name in texts(&vector.expected["must_include"]) {
        check(&format!("{name} is there"), body.contains_key(&name))?;
    }
    for name in texts(&vector.expected["must_not_include"]) {
        check(&format!("{name} is not there"), !body.contains_key(&name))?;
    }
    check_equal("client_name", body.get("client_name"), Some(&"New".into()))?;
    let is_current = body
        .get("client_secret")
        .is_none_or(|secret| secret == SECRET);
    let expected_value = vector.expected["client_secret_if_present_equals_current"].as_bool();
    check_equal("client_secret", Some(is_current), expected_value)
}

fn registration_conversation(rules: Rules, input: TurnInput) -> Conversation {
    let endpoints = json!({ "registration_endpoint": "https://as.example/register" });
    let server = ServerConfig::of("https://as.example", endpoints, &rules);
    // The calls do not depend on the client that sends them; a client without an id may send them too.
    Conversation::new(Some(server), Some(public("other"))).then(0, input)
}

/// The metadata that every vector's client registers.
fn metadata() -> Value {
    json!({
        "redirect_uris": ["https://client.example.org/callback"],
        "token_endpoint_auth_method": "client_secret_basic",
    })
}

/// A stored client registration, as the argument of an operation.
fn registered() -> Map<String, Value> {
    let stored = json!({
        "version": 1, "issuer": "https://as.example", "client_id": "s6BhdRkqt3",
        "client_secret": SECRET, "client_secret_expires_at": 2_893_276_800_u64,
        "registration_access_token": "t1-of-before",
        "registration_client_uri": "https://as.example/r/1", "metadata": metadata(),
    });
    named(json!({ "registered": stored.to_string() }))
}

fn named(arguments: Value) -> Map<String, Value> {
    match arguments {
        Value::Object(arguments) => arguments,
        _ => Map::new(),
    }
}

/// The secrets in a call's arguments, which no rendered text may contain.
pub(crate) fn secrets(arguments: &Map<String, Value>) -> Vec<String> {
    let stored = arguments.get("registered").and_then(Value::as_str);
    let stored: Value = stored
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let of_stored = ["client_secret", "registration_access_token"].map(|name| stored[name].clone());
    let initial = arguments.get("initial_access_token").cloned();
    let all = of_stored.into_iter().chain(initial);
    all.filter_map(|secret| secret.as_str().map(str::to_owned))
        .collect()
}
