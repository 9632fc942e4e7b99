//! Compares a player's results with those a conversation file expects, member by member.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::conversation::{Conversation, Turn};
use crate::script::{DoneWant, ErrorWant, ExpectedOutput, ServerWant, TokensWant};
use crate::transcript::{
    Done, Refusal, Sent, ServerOutput, TokensOutput, TurnOutput, VerdictOutput,
};

/// `Err` describes the difference.
type Judgement = Result<(), String>;

pub(crate) fn compare(
    want: &ExpectedOutput,
    actual: &TurnOutput,
    turn: &Turn,
    conversation: &Conversation,
) -> Judgement {
    match actual {
        TurnOutput::Send(sent) if want.send.is_some() => request(want, sent),
        TurnOutput::Done(done) => match (&want.done, done) {
            (Some(DoneWant::Tokens(want)), Done::Tokens(produced)) => {
                tokens(want, produced, turn, conversation)
            }
            (Some(DoneWant::Record(want)), Done::Record(produced)) => {
                check_equal("record", produced, want)
            }
            (Some(DoneWant::Server(want)), Done::Server(found)) => server(want, found),
            (Some(DoneWant::Nothing), Done::Nothing) => Ok(()),
            _ => unexpected(want, actual),
        },
        TurnOutput::Error(refusal) => match &want.error {
            Some(want) => error(want, refusal),
            None => Err(format!(
                "refused: {}, want {}",
                refusal.message,
                describe_expected(want)
            )),
        },
        TurnOutput::Authorized { url, flow } if want.url.is_some() => {
            authorized(want, url, flow, turn, conversation)
        }
        TurnOutput::Server(found) => match &want.server {
            Some(want) => server(want, found),
            None => unexpected(want, actual),
        },
        TurnOutput::Attached(header) if want.attached.is_some() => {
            check_equal("the header", &Some(header), &want.attached.as_ref())
        }
        TurnOutput::Verdict(actual_verdict) if want.verdict.is_some() => {
            verdict(want, actual_verdict)
        }
        TurnOutput::Sleep(pause) if want.sleep.is_some() => {
            check_equal("sleep", &Some(*pause), &want.sleep)
        }
        TurnOutput::Open if want.open => Ok(()),
        other => unexpected(want, other),
    }
}

fn unexpected(want: &ExpectedOutput, actual: &TurnOutput) -> Judgement {
    Err(format!("got {actual:?}, want {}", describe_expected(want)))
}

/// The kind of result expected, in a word.
fn describe_expected(want: &ExpectedOutput) -> String {
    let named = [&want.send, &want.url, &want.attached, &want.verdict];
    let named = named.iter().find_map(|name| name.as_deref());
    let error = want.error.as_ref().map(|error| error.code.as_str());
    match (named.or(error), &want.done) {
        (Some(name), _) => name.to_owned(),
        (None, Some(done)) => format!("{done:?}"),
        (None, None) => "something else".to_owned(),
    }
}

fn check_equal<T: PartialEq + std::fmt::Debug>(what: &str, got: &T, want: &T) -> Judgement {
    if got == want {
        Ok(())
    } else {
        Err(format!("{what}: got {got:?}, want {want:?}"))
    }
}

fn pairs(text: &str) -> Result<BTreeMap<String, String>, String> {
    let list: Vec<(String, String)> =
        serde_urlencoded::from_str(text).map_err(|error| error.to_string())?;
    let count = list.len();
    let map: BTreeMap<_, _> = list.into_iter().collect();
    if map.len() == count {
        Ok(map)
    } else {
        Err(format!("a parameter is repeated: {map:?}"))
    }
}

fn request(want: &ExpectedOutput, sent: &Sent) -> Judgement {
    let line = format!("{} {}", sent.method, sent.url);
    check_equal("request", &Some(&line), &want.send.as_ref())?;
    let mut headers: BTreeMap<_, _> = sent.headers.iter().cloned().collect();
    check_equal(
        "headers without repetition",
        &headers.len(),
        &sent.headers.len(),
    )?;
    let accept = headers.remove("accept");
    check_equal("accept", &accept.as_deref(), &Some("application/json"))?;
    let authorization = headers.remove("authorization");
    check_equal("authorization", &authorization, &want.authorization)?;
    let media = headers.remove("content-type");
    let form_type = (sent.method == "POST").then_some("application/x-www-form-urlencoded");
    check_equal("content-type", &media.as_deref(), &form_type)?;
    check_equal("headers", &headers, &want.headers)?;
    match &want.form {
        Some(form) => check_equal("form", &pairs(&sent.body)?, form),
        None => check_equal("body", &sent.body.as_str(), &""),
    }
}

fn tokens(
    want: &TokensWant,
    actual: &TokensOutput,
    turn: &Turn,
    conversation: &Conversation,
) -> Judgement {
    let config = conversation.server.as_ref();
    let issuer = want
        .issuer
        .clone()
        .or(config.and_then(|config| config.issuer.clone()))
        .or(config.and_then(|config| {
            let named = config.metadata.as_ref()?.get("issuer")?;
            named.as_str().map(str::to_owned)
        }))
        .ok_or("the expected tokens have no issuer")?;
    let client = conversation.client.as_ref();
    let members: [(&str, Value); 9] = [
        ("access_token", want.access_token.as_str().into()),
        ("expires_in", want.expires_in.into()),
        ("scope", want.scope.as_str().into()),
        ("refresh_token", want.refresh_token.clone().into()),
        ("id_token", want.id_token.clone().into()),
        ("extra", want.extra.clone().into()),
        ("received_at", turn.now.into()),
        ("issuer", issuer.into()),
        ("client_id", client.map(|client| client.id.clone()).into()),
    ];
    for (name, want) in members {
        check_equal(name, &actual.get(name)?, &want)?;
    }
    if let Some(named) = actual.0.get("token_type") {
        check_equal("token_type", named, &Value::from("Bearer"))?;
    }
    if let Some(end) = actual.0.get("expires_at") {
        let want = want.expires_in.map(|seconds| turn.now + seconds);
        check_equal("expires_at", end, &want.into())?;
    }
    match actual.warnings() {
        Some(warnings) => check_equal("warnings", &warnings, &want.warnings),
        None => Ok(()),
    }
}

fn server(want: &ServerWant, actual: &ServerOutput) -> Judgement {
    check_equal("issuer", &actual.issuer, &want.issuer)?;
    check_equal("api_origins", &actual.api_origins, &want.api_origins)?;
    members(&want.metadata, &actual.metadata)
}

/// Compares the expected members; null means that a member must be absent.
fn members(want: &Map<String, Value>, actual: &Map<String, Value>) -> Judgement {
    for (name, want) in want {
        check_equal(name, actual.get(name).unwrap_or(&Value::Null), want)?;
    }
    Ok(())
}

fn error(want: &ErrorWant, actual: &Refusal) -> Judgement {
    let got = (
        actual.code.as_str(),
        actual.kind.as_str(),
        actual.advice.as_str(),
    );
    let code = (want.code.as_str(), want.kind.as_str(), want.advice.as_str());
    check_equal("error", &got, &code)?;
    check_equal("retry_after", &actual.retry_after, &want.retry_after)?;
    check_equal("endpoint", &actual.endpoint, &want.endpoint)?;
    check_equal("status", &actual.status, &want.status)?;
    check_equal("error", &actual.error, &want.error)?;
    check_equal("description", &actual.error_description, &want.description)?;
    check_equal("extra", &actual.extra, &want.extra)?;
    let is_coded = actual.message.ends_with(&format!("[{}]", want.code));
    if !is_coded {
        return Err(format!(
            "the message does not end with its code: {}",
            actual.message
        ));
    }
    match &want.detail {
        Some(detail) if !actual.message.contains(&format!(": {detail} [")) => {
            Err(format!("{:?} does not contain {detail:?}", actual.message))
        }
        _ => Ok(()),
    }
}

fn authorized(
    want: &ExpectedOutput,
    url: &str,
    flow: &str,
    turn: &Turn,
    conversation: &Conversation,
) -> Judgement {
    let (place, query) = url.split_once('?').ok_or("no query")?;
    check_equal("url", &Some(place), &want.url.as_deref())?;
    check_equal("query", &pairs(query)?, &want.query)?;
    let flow: Map<String, Value> =
        serde_json::from_str(flow).map_err(|error| format!("the flow: {error}"))?;
    let client = conversation.client.as_ref();
    let at = Map::from_iter([
        ("started_at".to_owned(), turn.now.into()),
        (
            "client_id".to_owned(),
            client.map(|client| client.id.clone()).into(),
        ),
    ]);
    members(&at, &flow)?;
    members(&want.flow, &flow)
}

fn verdict(want: &ExpectedOutput, actual: &VerdictOutput) -> Judgement {
    let want = want.verdict.as_deref();
    check_equal("renews", &actual.renews, &(want == Some("renew")))?;
    match &actual.name {
        Some(name) => check_equal("verdict", &Some(name.as_str()), &want),
        None => Ok(()),
    }
}
