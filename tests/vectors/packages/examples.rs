//! Group `request-example` through a package's own calls: the requests and responses printed in the standards.

use serde_json::{Map, Value, json};

use super::protected::{authorized, part, query, refused};
use super::{Calls, NOW, check_end, client, record, server, tokens};
use crate::conversation::{AuthorizeInput, ClientConfig, TokenInput, TurnInput};
use crate::fields::Reply;
use crate::format::{Failure, Vector, Verdict, check, check_equal, texts};
use crate::jws::private_key;
use crate::lang::Lang;
use crate::runner::{self, Runner};
use crate::transcript::{Done, Refusal};

const NO_LIFETIME: &str = "a page does not expose the lifetime of a pushed request";
const CALLBACK: &str = "https://client.example.org/cb";

fn issuer(vector: &Vector) -> &'static str {
    match vector.text("authorization_endpoint") {
        Some(_) => "https://as.example.com",
        None => "https://server.example.com",
    }
}

fn calls(vector: &Vector, of: ClientConfig) -> Calls {
    let issuer = issuer(vector);
    let mut more = json!({ "pushed_authorization_request_endpoint": format!("{issuer}/as/par") });
    for (name, value) in vector.input["metadata"].as_object().into_iter().flatten() {
        more[name] = value.clone();
    }
    Calls::new(server(issuer, &more), of)
}

/// A client with `client_secret_basic`, or a public client in a page.
fn of(vector: &Vector, lang: Lang) -> ClientConfig {
    let id = vector.text("client_id").unwrap_or("client1");
    match lang {
        Lang::Browser => runner::public(id),
        _ => runner::confidential(id, vector.text("client_secret").unwrap_or("s3cr3t")),
    }
}

fn token_input(token: &str, hint: Option<&str>) -> TokenInput {
    TokenInput {
        token: Some(token.to_owned()),
        token_type_hint: hint.map(str::to_owned),
        ..TokenInput::default()
    }
}

fn reply(response_spec: &Value) -> Reply {
    let kind = response_spec["content_type"].as_str();
    let fields: Vec<_> = kind
        .map(|kind| ("content-type", kind))
        .into_iter()
        .collect();
    let status = response_spec["status"]
        .as_u64()
        .and_then(|status| u16::try_from(status).ok());
    Reply::new(
        status.unwrap_or(200),
        &fields,
        response_spec["body"].as_str().unwrap_or_default(),
    )
}

/// The result of a call that gets this response.
fn play_response(
    vector: &Vector,
    runner: &mut Runner,
    call: TurnInput,
    response_spec: &Value,
) -> Result<Result<Done, Refusal>, Failure> {
    let client_config = of(vector, runner.lang);
    calls(vector, client_config)
        .call(NOW, call, vec![reply(response_spec)])
        .end(runner)
}

pub(crate) fn example(vector: &Vector, runner: &mut Runner) -> Verdict {
    let input = &vector.input;
    if let Some(response) = input.get("revocation_response") {
        let end = revoked(vector, runner, response)?;
        return match (end, vector.expected["error"].as_str()) {
            (Ok(_), None) => Ok(()),
            (Err(refusal), Some("temporarily_unavailable")) => {
                check_equal("advice", refusal.advice.as_str(), "retry")
            }
            (Err(refusal), _) => refused(vector, refusal),
            (end, _) => Err(format!("ended with {end:?}").into()),
        };
    }
    if let Some(response) = input.get("introspection_response") {
        let end = play_response(
            vector,
            runner,
            TurnInput::Introspect(token_input("t", None)),
            response,
        )?;
        return introspected(vector, end);
    }
    if let Some(response) = input.get("par_response") {
        let begin = begin(&[("push", "always")]);
        let end = play_response(vector, runner, begin, response)?;
        return pushed(vector, end, runner);
    }
    if let Some(form) = vector.text("parse_form") {
        return pushed_body(vector, runner, form);
    }
    if input["use_same_request_uri_twice"] == true {
        let response = json!({ "request_uri": "urn:x:1", "expires_in": 60 });
        let twice = vec![Reply::json(&response).status(201); 2];
        let calls =
            calls(vector, of(vector, runner.lang)).call(NOW, begin(&[("push", "always")]), twice);
        // The call is finished: it cannot create a second URL.
        let mut came = calls.play(runner)?;
        let end = came
            .pop()
            .and_then(|came| came.end)
            .ok_or("the call does not end")?;
        return check("one URL", matches!(end, Ok(Done::Authorized { .. })));
    }
    match vector.text("build") {
        Some(kind @ ("revocation" | "introspection")) => built(vector, runner, kind),
        Some("authorization_url_from_par") => from_par(vector, runner),
        Some("authorization_url") => authorization_url(vector, runner),
        Some("par") => {
            let mut arguments = vec![("push", "always")];
            let pairs: Vec<(String, String)> =
                serde_json::from_value(input["params"].clone()).unwrap_or_default();
            arguments.extend(
                pairs
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str())),
            );
            let client_config = of(vector, runner.lang);
            let end = calls(vector, client_config)
                .call(NOW, begin(&arguments), Vec::new())
                .end(runner)?;
            check_end(vector, end).map(drop)
        }
        Some(other) => Err(format!("nothing builds {other}").into()),
        None => token_reply(vector, runner),
    }
}

/// The result of a revocation that gets this response; a page revokes the tokens of its own sign-in.
fn revoked(
    vector: &Vector,
    runner: &mut Runner,
    response_spec: &Value,
) -> Result<Result<Done, Refusal>, Failure> {
    if runner.lang != Lang::Browser {
        return play_response(
            vector,
            runner,
            TurnInput::Revoke(token_input("t", None)),
            response_spec,
        );
    }
    let tokens = json!({ "access_token": "t", "token_type": "Bearer" });
    let of_them = TokenInput {
        token_type_hint: Some("access_token".to_owned()),
        ..TokenInput::default()
    };
    calls(vector, of(vector, runner.lang))
        .call(NOW, redemption(vector), vec![Reply::json(&tokens)])
        .call(NOW, TurnInput::Revoke(of_them), vec![reply(response_spec)])
        .end(runner)
}

/// The redemption of a code, which a page sends where a confidential client authenticates.
fn redemption(vector: &Vector) -> TurnInput {
    TurnInput::Redeem {
        callback: format!("{CALLBACK}?code=c&state=xyz"),
        flow: Some(runner::flow(json!({
            "issuer": issuer(vector), "client_id": "client1", "redirect_uri": CALLBACK,
        }))),
    }
}

/// An authorization as one call; names that are not its arguments become extra parameters.
fn begin(arguments: &[(&str, &str)]) -> TurnInput {
    let mut call_arguments = Map::new();
    call_arguments.insert("redirect_uri".to_owned(), CALLBACK.into());
    let mut extra = Map::new();
    for (name, value) in arguments {
        let place = match *name {
            "push" | "scope" => &mut call_arguments,
            _ => &mut extra,
        };
        place.insert((*name).to_owned(), (*value).into());
    }
    call_arguments.insert("extra".to_owned(), extra.into());
    TurnInput::BeginAuthorization(call_arguments)
}

fn introspected(vector: &Vector, end: Result<Done, Refusal>) -> Verdict {
    let Some(done) = check_end(vector, end)? else {
        return Ok(());
    };
    let (token_fields, expected_value) = (record(done)?, &vector.expected["ok"]);
    check_equal(
        "active",
        token_fields["active"].as_bool().unwrap_or_default(),
        expected_value["active"] == true,
    )?;
    if let Some(names) = expected_value["scope"].as_array() {
        let mut ours = token_fields["scope"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let mut names = names.clone();
        for list in [&mut ours, &mut names] {
            list.sort_by_key(Value::to_string);
        }
        check_equal("scope", ours, names)?;
    }
    match expected_value.get("sub") {
        Some(sub) => check_equal("sub", &token_fields["subject"], sub),
        None => Ok(()),
    }
}

fn pushed(vector: &Vector, end: Result<Done, Refusal>, runner: &mut Runner) -> Verdict {
    let (url, expires_in) = match (end, vector.expected.get("ok")) {
        (Ok(Done::Authorized { url, expires_in }), Some(_)) => (url, expires_in),
        (Err(refusal), None) => return refused(vector, refusal),
        (end, _) => return Err(format!("ended with {end:?}").into()),
    };
    let expected_value = &vector.expected["ok"];
    let Some(uri) = expected_value["request_uri"].as_str() else {
        return Ok(());
    };
    let pairs = query(&url);
    let found = pairs.iter().find(|(name, _)| name == "request_uri");
    check_equal("request_uri", found.map(|(_, uri)| uri.as_str()), Some(uri))?;
    runner.allow_unsupported(match runner.lang {
        Lang::Browser => Err(Failure::OutOfReach(NO_LIFETIME)),
        _ => check_equal(
            "expires_in",
            expires_in,
            expected_value["expires_in"].as_u64(),
        ),
    })
}

/// The body printed in RFC 9126 has the same parameters as ours.
fn pushed_body(vector: &Vector, runner: &mut Runner, form: &str) -> Verdict {
    let key = private_key("rsa1").to_string();
    let options = json!({ "alg": "RS256", "kid": "k2bdc" });
    let client_config = ClientConfig {
        id: "s6BhdRkqt3".to_owned(),
        secret: Some(key),
        auth: Some("private_key_jwt".to_owned()),
        auth_options: options.as_object().cloned().unwrap_or_default(),
        ..ClientConfig::default()
    };
    let begin = begin(&[("push", "always"), ("scope", "account-information")]);
    let came = calls(vector, client_config)
        .call(NOW, begin, Vec::new())
        .play(runner)?
        .pop();
    let came = came.ok_or("no call")?;
    let sent = came.sent.first().ok_or("nothing was sent")?;
    let names = |pairs: Vec<(String, String)>| {
        let mut names: Vec<_> = pairs.into_iter().map(|(name, _)| name).collect();
        names.sort_unstable();
        names
    };
    let printed = serde_urlencoded::from_str(form).map_err(|error| error.to_string())?;
    check_equal("parameters", names(sent.form()?), names(printed))?;
    let assertion = sent.parameter("client_assertion")?.ok_or("no assertion")?;
    check_equal(
        "iss",
        part(&assertion, 1)?["iss"].as_str(),
        Some("s6BhdRkqt3"),
    )
}

fn built(vector: &Vector, runner: &mut Runner, kind: &str) -> Verdict {
    let input = token_input(
        vector.required_text("token")?,
        vector.text("token_type_hint"),
    );
    let call = match kind {
        "revocation" => TurnInput::Revoke(input),
        _ => TurnInput::Introspect(input),
    };
    let client_config = of(vector, runner.lang);
    let came = calls(vector, client_config)
        .call(NOW, call, Vec::new())
        .play(runner)?
        .pop();
    let came = came.ok_or("no call")?;
    let sent = came.sent.first().ok_or("nothing was sent")?;
    let expected = &vector.expected;
    check_equal("method", sent.method.as_str(), "POST")?;
    if let Some(url) = expected["url"].as_str() {
        check_equal("url", sent.url.as_str(), url)?;
    }
    let ours: Vec<_> = sent
        .form()?
        .into_iter()
        .map(|(name, value)| json!([name, value]))
        .collect();
    check_equal("params", Some(&ours), expected["params"].as_array())?;
    for (name, value) in expected["headers"].as_object().into_iter().flatten() {
        check_equal(name, sent.header(name), value.as_str())?;
    }
    Ok(())
}

fn from_par(vector: &Vector, runner: &mut Runner) -> Verdict {
    let body = json!({ "request_uri": vector.required_text("request_uri")?, "expires_in": 60 });
    let client_config = runner::public(vector.required_text("client_id")?);
    let replies = vec![Reply::json(&body).status(201)];
    let end = calls(vector, client_config)
        .call(NOW, begin(&[("push", "always")]), replies)
        .end(runner)?;
    let Ok(Done::Authorized { url, .. }) = end else {
        return Err(format!("ended with {end:?}").into());
    };
    let ours: Vec<_> = query(&url)
        .into_iter()
        .map(|(name, value)| json!([name, value]))
        .collect();
    check_equal(
        "query",
        Some(&ours),
        vector.expected["query_params_exact"].as_array(),
    )
}

fn authorization_url(vector: &Vector, runner: &mut Runner) -> Verdict {
    if runner.lang == Lang::Browser && vector.expected["error"] == "par_required" {
        return pushes(vector, runner);
    }
    let authorize_input = AuthorizeInput {
        redirect_uri: CALLBACK.to_owned(),
        resource: texts(&vector.input["resource"]),
        authorization_details: vector.input.get("authorization_details").cloned(),
        ..AuthorizeInput::default()
    };
    let client_config = client("client1", None);
    let metadata = &vector.input["metadata"];
    let (url, _) = match authorized(runner, metadata, client_config, NOW, authorize_input)? {
        Ok(made) => made,
        Err(refusal) => return refused(vector, refusal),
    };
    let pairs = query(&url);
    let mut pairs = pairs.iter();
    // In the expected order.
    let expected_value = vector.expected["query_contains_pairs"].as_array();
    for pair in expected_value.ok_or("it should have been refused")? {
        let found = pairs.any(|(name, value)| json!([name, value]) == *pair);
        check("a pair", found)?;
    }
    Ok(())
}

/// A page creates URLs only through its sign-in, which pushes the request by itself where that is required.
fn pushes(vector: &Vector, runner: &mut Runner) -> Verdict {
    let calls = calls(vector, of(vector, runner.lang));
    let came = calls.call(NOW, begin(&[]), Vec::new()).play(runner)?.pop();
    let came = came.ok_or("no call")?;
    check("there is no URL", came.end.is_none())?;
    let sent = came.sent.first().ok_or("nothing was sent")?;
    let endpoint = format!("{}/as/par", issuer(vector));
    check_equal("url", sent.url.as_str(), endpoint.as_str())?;
    // This server has no endpoint for pushed requests.
    let authorize_input = AuthorizeInput {
        redirect_uri: CALLBACK.to_owned(),
        ..AuthorizeInput::default()
    };
    let client_config = client("client1", None);
    let Err(refusal) = authorized(
        runner,
        &vector.input["metadata"],
        client_config,
        NOW,
        authorize_input,
    )?
    else {
        return Err("a URL was made".into());
    };
    check_equal("code", refusal.code.as_str(), "endpoint.missing")
}

const AS_RECEIVED: &str = "a package returns the granted permissions as they were received";

fn token_reply(vector: &Vector, runner: &mut Runner) -> Verdict {
    if vector.expected["error"] == "malformed_authorization_details" {
        return Err(Failure::OutOfReach(AS_RECEIVED));
    }
    let call = match runner.lang {
        Lang::Browser => redemption(vector),
        _ => TurnInput::ClientCredentials {
            scope: String::new(),
        },
    };
    let end = play_response(vector, runner, call, &vector.input)?;
    let Some(done) = check_end(vector, end)? else {
        return Ok(());
    };
    let tokens = tokens(done)?;
    let expected_value = vector.expected["ok"].get("authorization_details");
    let name = "authorization_details";
    let granted = match runner.lang {
        Lang::Browser => tokens.0.get(name),
        _ => tokens.0.get("extra").and_then(|extra| extra.get(name)),
    };
    let granted = granted.filter(|granted| !granted.is_null());
    check_equal("authorization_details", granted, expected_value)
}
