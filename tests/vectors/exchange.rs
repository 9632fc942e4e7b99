//! Token exchange (RFC 8693): the part of `request-example` about it, and the group `id-jag`.

use std::collections::BTreeMap;

use oauth_core::quirk::{Rules, Strictness};
use serde_json::{Value, json};

use crate::classes;
use crate::conversation::{ClientConfig, Conversation, ServerConfig, TurnInput};
use crate::examples;
use crate::expect::outcome;
use crate::fields::Reply;
use crate::format::{Failure, Vector, Verdict, check, check_equal, texts};
use crate::identity_access;
use crate::packages;
use crate::runner::{Runner, confidential, public, request};
use crate::transcript::{Done, Refusal, Sent, TurnOutput};

const NOW: u64 = 1_700_000_000;
/// The subject token of vectors that are only about the response.
const SUBJECT: &str = "r3fresh-token-of-the-login";

/// Runs the examples of RFC 8693; the rest of the group has its own handlers.
pub(crate) fn request_example(vector: &Vector, runner: &mut Runner) -> Verdict {
    let grant = vector.text("grant").unwrap_or_default();
    if grant.contains("exchange") || vector.text("build") == Some("token_request") {
        return exchange(vector, runner);
    }
    if runner.is_rust() {
        examples::example(vector)
    } else {
        packages::examples::example(vector, runner)
    }
}

/// A server with this token endpoint.
fn server(issuer: &str, token_endpoint: &str, more: &Value, rules: &Rules) -> ServerConfig {
    let mut members = json!({ "token_endpoint": token_endpoint });
    if let (Some(members), Some(more)) = (members.as_object_mut(), more.as_object()) {
        members.extend(more.clone());
    }
    ServerConfig::of(issuer, members, rules)
}

/// Runs one call: returns its request and, if there is a response, its result.
fn call(
    server: ServerConfig,
    client: ClientConfig,
    now: u64,
    call: TurnInput,
    response_spec: Option<&Value>,
    runner: &mut Runner,
) -> Result<(Result<Sent, Refusal>, Option<TurnOutput>), Failure> {
    let mut conversation = Conversation::new(Some(server), Some(client)).then(now, call);
    if let Some(spec) = response_spec {
        conversation = conversation.then(now, TurnInput::Reply(reply(spec)?));
    }
    let mut entries = runner.play(&conversation)?.into_iter();
    let sent = crate::runner::sent(entries.next())?;
    Ok((sent, entries.next()))
}

fn reply(response_spec: &Value) -> Result<Reply, Failure> {
    let kind = response_spec["content_type"]
        .as_str()
        .unwrap_or("application/json");
    let headers = json!({ "content-type": kind });
    let written = json!({ "status": response_spec["status"], "headers": headers, "body": response_spec["body"] });
    serde_json::from_value(written).map_err(|error| error.to_string().into())
}

/// Compares all parameters and the headers that the vector lists.
fn compare(vector: &Vector, sent: &Sent) -> Verdict {
    let expected = &vector.expected;
    check_equal(
        "method",
        Some(sent.method.as_str()),
        expected["method"].as_str(),
    )?;
    check_equal("url", Some(sent.url.as_str()), expected["url"].as_str())?;
    let mut form = sent.form()?;
    let pairs = expected["params"].as_array().into_iter().flatten();
    let pairs = pairs.filter_map(|pair| texts(pair).try_into().ok());
    let mut expected_pairs: Vec<_> = pairs
        .map(|[name, value]: [String; 2]| (name, value))
        .collect();
    form.sort();
    expected_pairs.sort();
    check_equal("parameters", form, expected_pairs)?;
    for (name, value) in expected["headers"].as_object().into_iter().flatten() {
        check_equal(name, sent.header(name), value.as_str())?;
    }
    Ok(())
}

/// Those of these arguments that the vector contains.
fn vector_arguments(vector: &Vector, names: &[&str]) -> BTreeMap<String, Value> {
    let named = names.iter().filter_map(|name| {
        let value = vector.input.get(*name)?;
        // A package accepts several, and the vectors have one.
        let value = match *name {
            "resource" | "audience" => json!([value]),
            _ => value.clone(),
        };
        Some(((*name).to_owned(), value))
    });
    named.collect()
}

fn exchange(vector: &Vector, runner: &mut Runner) -> Verdict {
    let names = [
        "subject_token",
        "subject_token_type",
        "actor_token",
        "actor_token_type",
        "resource",
        "audience",
        "scope",
    ];
    let mut arguments = vector_arguments(vector, &names);
    let usual = [
        ("subject_token", "s"),
        ("subject_token_type", "access_token"),
    ];
    for (name, value) in usual {
        arguments
            .entry(name.to_owned())
            .or_insert_with(|| value.into());
    }
    // A vector that is only about the response may belong to a different grant.
    let is_exchange = vector
        .text("grant")
        .is_none_or(|grant| grant.contains("exchange"));
    let operation = || {
        if is_exchange {
            TurnInput::operation("token_exchange", json!(arguments))
        } else {
            TurnInput::ClientCredentials {
                scope: String::new(),
            }
        }
    };
    let token_endpoint = vector.expected["url"].as_str();
    let token_endpoint = token_endpoint.unwrap_or("https://as.example.com/as/token.oauth2");
    let response_spec = vector.input.get("body").map(|_| &vector.input);
    let mut play = |rules: &Rules| {
        let server = server(
            "https://as.example.com",
            token_endpoint,
            &Value::Null,
            rules,
        );
        call(
            server,
            confidential("client1", "s3cr3t"),
            NOW,
            operation(),
            response_spec,
            runner,
        )
    };
    let expected = &vector.expected;
    let Some(lenient) = expected.get("lenient") else {
        let (sent, end) = play(&Rules::default())?;
        return exchanged(vector, sent, end);
    };
    // "warn and continue"
    let (_, end) = play(&Rules::default())?;
    let Some(TurnOutput::Done(Done::Tokens(tokens))) = end else {
        return Err(format!("want tokens, got {end:?}").into());
    };
    if let Some(warnings) = tokens.warnings() {
        let is_warned = warnings
            .iter()
            .any(|code| code == "issued_token_type_missing");
        check(lenient.as_str().unwrap_or_default(), is_warned)?;
    }
    let strict = Rules {
        strictness: Strictness::Strict,
        ..Rules::default()
    };
    let verdict = play(&strict).and_then(|(sent, end)| exchanged(vector, sent, end));
    runner.allow_unsupported(verdict)
}

fn exchanged(vector: &Vector, sent: Result<Sent, Refusal>, end: Option<TurnOutput>) -> Verdict {
    let Some(output) = end else {
        return match outcome(&vector.expected, sent)? {
            Some(sent) => compare(vector, &sent),
            None => Ok(()),
        };
    };
    let end = match output {
        TurnOutput::Done(Done::Tokens(tokens)) => Ok(tokens),
        TurnOutput::Error(refusal) => Err(refusal),
        other => return Err(format!("want an end, got {other:?}").into()),
    };
    let Some(tokens) = outcome(&vector.expected, end)? else {
        return Ok(());
    };
    let expected_value = &vector.expected["ok"];
    if let Some(name) = expected_value["token_type"].as_str() {
        check_equal(
            "token_type",
            tokens.text("token_type")?.as_deref(),
            Some(name),
        )?;
    }
    Ok(())
}

pub(crate) fn id_jag(vector: &Vector, runner: &mut Runner) -> Verdict {
    let input = &vector.input;
    match vector.text("build") {
        Some("id_jag_request") => return requested(vector, runner),
        Some("id_jag_redeem") => return redeemed(vector, runner),
        Some("client_metadata") if runner.is_rust() => {
            return identity_access::client_metadata(vector);
        }
        Some("client_metadata") => return Err(Failure::OutOfReach(REGISTRATION)),
        Some(other) => return Err(format!("nothing builds {other}").into()),
        None => {}
    }
    if let Some(response_spec) = input.get("answer") {
        return check_answer(vector, response_spec, runner);
    }
    if !runner.is_rust() {
        return Err(Failure::OutOfReach(ACCESS));
    }
    if let Some(metadata) = input.get("metadata") {
        return identity_access::metadata(vector, metadata);
    }
    if input.get("cases").is_some() {
        return identity_access::order(vector);
    }
    identity_access::replayed(vector)
}

const REGISTRATION: &str = "a package accepts client metadata as JSON, and does not create it";
const ACCESS: &str = "only Rust renews both steps in one call; in a package each step is a call";

fn party(vector: &Vector) -> ClientConfig {
    let id = vector.text("client_id").unwrap_or("f53f191f9311af35");
    match vector.text("client_secret") {
        Some(secret) => confidential(id, secret),
        None => public(id),
    }
}

/// The request to the identity provider. The vectors call the other server `audience`.
fn requested(vector: &Vector, runner: &mut Runner) -> Verdict {
    let mut arguments = vector_arguments(
        vector,
        &["subject_token", "subject_token_type", "resource", "scope"],
    );
    let issuer = vector.text("audience").unwrap_or_default();
    arguments.insert("issuer".to_owned(), issuer.into());
    let operation = TurnInput::operation("request_identity_assertion", json!(arguments));
    let endpoint = vector.required_text("idp_token_endpoint")?;
    let idp = server(
        "https://acme.idp.example",
        endpoint,
        &Value::Null,
        &Rules::default(),
    );
    let (sent, _) = call(idp, party(vector), NOW, operation, None, runner)?;
    match outcome(&vector.expected, sent)? {
        Some(sent) => compare(vector, &sent),
        None => Ok(()),
    }
}

/// How the identity provider's response is handled.
fn check_answer(vector: &Vector, response_spec: &Value, runner: &mut Runner) -> Verdict {
    let expect = &vector.input["expect"];
    let audience = expect["audience"]
        .as_str()
        .unwrap_or("https://acme.chat.example/");
    let operation = json!({
        "subject_token": SUBJECT, "subject_token_type": "refresh_token", "issuer": audience,
        "scope": "chat.read chat.history",
    });
    let operation = TurnInput::operation("request_identity_assertion", operation);
    let idp = server(
        "https://acme.idp.example",
        "https://acme.idp.example/oauth2/token",
        &Value::Null,
        &Rules::default(),
    );
    let mut client = confidential("client1", "tXo3vY5kPq9sB2mN8rT1wZ4cE7hJ0gLd6fUaKxWiVnQ");
    if expect.get("dpop_key").is_some() {
        // The key of the vectors, to which tokens have to be bound.
        if vector.expected["ok"] == true {
            return bound(vector, response_spec, audience, runner);
        }
        client.dpop = Some("ES256".to_owned());
    }
    let now = expect["now"].as_u64().unwrap_or(NOW);
    let (sent, end) = call(idp, client, now, operation, Some(response_spec), runner)?;
    request(
        sent.map(|sent| Some(TurnOutput::Send(sent)))
            .unwrap_or_default(),
    )?;
    let end = match end {
        Some(TurnOutput::Done(Done::Record(record))) => Ok(record),
        Some(TurnOutput::Error(refusal)) => Err(refusal),
        other => return Err(format!("want an end, got {other:?}").into()),
    };
    let expected = &vector.expected;
    if expected["error"] == "insufficient_user_authentication" {
        // The step-up parameters are returned beside the error.
        let refusal = end.err().ok_or("accepted")?;
        check_equal(
            "error",
            refusal.error.as_deref(),
            expected["error"].as_str(),
        )?;
        return check_equal(
            "max_age",
            refusal.extra.get("max_age"),
            expected.get("max_age"),
        );
    }
    if let Some(retry) = expected.get("retry") {
        let refusal = end.as_ref().err().ok_or("accepted")?;
        check_equal("retry", &json!(refusal.advice == "retry"), retry)?;
    }
    let Some(record) = outcome(expected, end)? else {
        return Ok(());
    };
    let expected_value = &expected["ok"];
    for name in ["assertion", "expires_at", "scope"] {
        let Some(value) = expected_value.get(name) else {
            continue;
        };
        match value.as_f64() {
            Some(number) => check_equal(name, record[name].as_f64(), Some(number))?,
            None => check_equal(name, listed(&record[name]), listed(value))?,
        }
    }
    // The record has neither an access token nor a refresh token.
    check("no refresh token", record.get("refresh_token").is_none())
}

/// The sorted elements of a list, or a single value.
fn listed(value: &Value) -> Vec<String> {
    match value.as_str() {
        Some(text) => vec![text.to_owned()],
        None => {
            let mut all = texts(value);
            all.sort();
            all
        }
    }
}

/// An assertion bound to the client's key. A package generates its own key, so the vector's thumbprint is replaced
/// by that key's.
fn bound(vector: &Vector, response_spec: &Value, audience: &str, runner: &mut Runner) -> Verdict {
    if !runner.is_rust() {
        return Err(Failure::OutOfReach(
            "a package generates its key, and the assertion is bound to the vectors' key",
        ));
    }
    identity_access::bound(vector, response_spec, audience)
}

/// The request to the other server, if one is sent.
fn redeemed(vector: &Vector, runner: &mut Runner) -> Verdict {
    let issuer = vector.required_text("issuer")?;
    let endpoint = format!("{}token", issuer);
    let endpoint = vector.text("token_endpoint").unwrap_or(&endpoint);
    let there = server(issuer, endpoint, &Value::Null, &Rules::default());
    let arguments = json!({ "assertion": vector.required_text("assertion")? });
    let operation = TurnInput::operation("redeem_identity_assertion", arguments);
    let now = vector.input["now"].as_u64().ok_or("no now")?;
    let (sent, _) = call(there, party(vector), now, operation, None, runner)?;
    let expected = &vector.expected;
    let refused = expected["requests"] == 0;
    match sent {
        Err(refusal) if refused => {
            classes::check(&refusal, &[expected["error"].as_str().unwrap_or_default()])
        }
        Ok(sent) if !refused => compare(vector, &sent),
        other => Err(format!("got {other:?}").into()),
    }
}
