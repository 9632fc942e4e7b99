//! Client authentication in the requests of a package: `client-assertion`, `assertion-source`,
//! `auth-method-selection`, `mtls`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::jose::Alg;
use serde_json::{Map, Value, json};

use super::{Calls, NOW, check_end, client, server, signed, tokens, workload};
use crate::access_token;
use crate::conversation::{ClientConfig, TokenInput, TurnInput};
use crate::expect::wanted_classes;
use crate::fields::Reply;
use crate::format::{Failure, Vector, Verdict, check, check_equal};
use crate::jws::{key_set, keys};
use crate::runner::{self, Runner};
use crate::transcript::Sent;

const ISSUER: &str = "https://as.example";
const PUSH: &str = "each package's own tests check its pushed requests, over a socket";
const ONE_SERVER: &str = "a conversation has one server";
const WITHOUT_ISSUER: &str = "a package's server has an issuer";
const TYPED: &str = "an algorithm is one of a list that does not contain none";
const SELF_SIGNED: &str =
    "to a package, the two methods of mutual TLS differ in their certificate alone";
const LIFETIME: &str = "the lifetime of assertions can be set only in Rust";
const CHOSEN: &str =
    "a client with a key or a certificate names its method; only that of a secret is negotiated";
const ONE_AUTH: &str = "a client has one authentication method: two cannot be expressed";
/// A private key that is never used: nothing is sent over the network that presents its certificate.
const NOBODYS: &str = "\
-----BEGIN PRIVATE KEY-----\n\
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQggFj/Z2oLL8/M2tuQ\n\
DFti9Yy9WXGY+4pIAeHuE4mL7tihRANCAAT66hSd8gs/96cKwGwaf+aLfLkAAPa0\n\
fLXnFJyR7f92mJuv6n++w2Knfx0uqL7tWJN/Bj8Jg5Mlgr/SwOp82DTe\n\
-----END PRIVATE KEY-----\n\
";

/// The client of a vector, which signs with the vectors' key unless it says otherwise.
fn signing(input: &Value) -> ClientConfig {
    let text = |name: &str| input[name].as_str();
    let id = text("client_id").unwrap_or("client1");
    let mut options = Map::new();
    if let Some(alg) = text("alg") {
        options.insert("alg".to_owned(), alg.into());
    }
    if text("method") == Some("client_secret_jwt") {
        return ClientConfig {
            auth: Some("client_secret_jwt".to_owned()),
            auth_options: options,
            ..runner::confidential(id, text("client_secret").unwrap_or_default())
        };
    }
    let key = match &input["key"] {
        Value::Null => keys("client_ec"),
        Value::String(name) => keys(name),
        key => key.clone(),
    };
    let kid = text("kid").unwrap_or(id);
    options.insert("kid".to_owned(), kid.into());
    ClientConfig {
        auth: Some("private_key_jwt".to_owned()),
        auth_options: options,
        ..runner::confidential(id, &key.to_string())
    }
}

fn token_input() -> TokenInput {
    TokenInput {
        token: Some("t0ken-in-question".to_owned()),
        ..TokenInput::default()
    }
}

fn credentials() -> TurnInput {
    TurnInput::ClientCredentials {
        scope: String::new(),
    }
}

/// The first request of a conversation with one call.
fn first(
    client: ClientConfig,
    call: TurnInput,
    (issuer, more): (&str, &Value),
    runner: &mut Runner,
) -> Result<Sent, Failure> {
    let calls = Calls::new(server(issuer, more), client).call(NOW, call, Vec::new());
    let came = calls.play(runner)?.pop().ok_or("no call")?;
    match (came.sent.into_iter().next(), came.end) {
        (Some(sent), _) => Ok(sent),
        (None, Some(Err(refusal))) => Err(refusal.message.into()),
        (None, _) => Err("no request".into()),
    }
}

fn part(jwt: &str, number: usize) -> Result<Value, String> {
    let part = jwt.split('.').nth(number).ok_or("no such part")?;
    let bytes = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

fn assertion(sent: &Sent) -> Result<String, Failure> {
    let found = sent.parameter("client_assertion")?;
    found.ok_or_else(|| "no assertion".into())
}

/// The audience of a grant that the client signs is the one its caller names.
fn signed_grant(vector: &Vector, runner: &mut Runner) -> Verdict {
    let audience = vector.required_text("aud")?;
    let arguments = json!({
        "key": crate::jws::keys("client_ec").to_string(), "alg": "ES256", "issuer": "client1",
        "audience_claim": audience,
    });
    let call = TurnInput::operation("jwt_bearer_with_key", arguments);
    let sent = first(
        crate::runner::public("client1"),
        call,
        (ISSUER, &Value::Null),
        runner,
    )?;
    let jwt = sent.parameter("assertion")?.ok_or("no assertion")?;
    check_equal("aud", &part(&jwt, 1)?["aud"], &vector.expected["aud"])
}

pub(crate) fn client_assertion(vector: &Vector, runner: &mut Runner) -> Verdict {
    let (input, expected) = (&vector.input, &vector.expected);
    let out_of_reach = [
        (vector.text("alg") == Some("none"), TYPED),
        (
            input["lifetime"]
                .as_u64()
                .is_some_and(|seconds| seconds != 60),
            LIFETIME,
        ),
        (input.get("servers").is_some(), ONE_SERVER),
        (input.get("issuer") == Some(&Value::Null), WITHOUT_ISSUER),
        (vector.text("endpoint") == Some("par"), PUSH),
    ];
    if let Some((_, reason)) = out_of_reach.iter().find(|(is_so, _)| *is_so) {
        return Err(Failure::OutOfReach(reason));
    }
    if vector.text("build") == Some("jwt_grant") {
        return signed_grant(vector, runner);
    }
    let mut client = signing(input);
    let issuer = vector.text("issuer").unwrap_or(ISSUER);
    let more = input.get("token_endpoint");
    let more = more.map_or(Value::Null, |url| json!({ "token_endpoint": url }));
    if let Some(metadata) = input.get("metadata") {
        let calls = Calls::new(server(ISSUER, metadata), client);
        let came = calls
            .call(NOW, credentials(), Vec::new())
            .play(runner)?
            .pop();
        let came = came.ok_or("no call")?;
        return match came.end {
            Some(end) => check_end(vector, end).map(drop),
            None => check("the request is sent", vector.expected["ok"] == true),
        };
    }
    if vector.text("quirk") == Some("aud=token_endpoint") {
        let audience = input["token_endpoint"].as_str();
        let audience = audience.map_or_else(|| format!("{issuer}/token"), str::to_owned);
        client
            .auth_options
            .insert("audience".to_owned(), audience.into());
    }
    let call = match vector.text("endpoint") {
        Some("revocation") => TurnInput::Revoke(token_input()),
        Some("introspection") => TurnInput::Introspect(token_input()),
        Some("device_authorization") => TurnInput::operation("device_authorization", json!({})),
        _ => credentials(),
    };
    if !wanted_classes(expected).is_empty() {
        let calls = Calls::new(server(issuer, &more), client).call(NOW, call, Vec::new());
        return check_end(vector, calls.end(runner)?).map(drop);
    }
    let sent = first(client.clone(), call, (issuer, &more), runner)?;
    let jwt = assertion(&sent)?;
    let (header, claims) = (part(&jwt, 0)?, part(&jwt, 1)?);
    if expected["jti_differs"] == true {
        let again = first_at(client, [9; 32], runner)?;
        let other = part(&assertion(&again)?, 1)?;
        return check("another jti", claims["jti"] != other["jti"]);
    }
    if let Some(names) = expected["must_have"].as_array() {
        for name in names.iter().filter_map(Value::as_str) {
            let (name, value) = name.split_once('=').unwrap_or((name, ""));
            let found = sent.parameter(name)?.ok_or_else(|| format!("no {name}"))?;
            check(name, value.is_empty() || found == value)?;
        }
        check("no secret", sent.parameter("client_secret")?.is_none())?;
        check("no header", sent.header("authorization").is_none())?;
        let id = sent.parameter("client_id")?;
        return check_equal("client_id", id.as_deref(), claims["sub"].as_str());
    }
    for (of, expected_value) in [
        (&header, &expected["header"]),
        (&header, &expected["header_has"]),
        (&claims, &expected["claims"]),
    ] {
        // Random values differ.
        let members = expected_value.as_object().into_iter().flatten();
        for (name, value) in members.filter(|(name, _)| *name != "jti") {
            check_equal(name, &of[name], value)?;
        }
    }
    if let Some(expected_value) = expected["aud"].as_str() {
        check_equal("aud", claims["aud"].as_str(), Some(expected_value))?;
    }
    check("one audience", claims["aud"].is_string())
}

/// [`first`] at a moment with a different seed, as for a request after a loss.
fn first_at(client: ClientConfig, seed: [u8; 32], runner: &mut Runner) -> Result<Sent, Failure> {
    let mut calls = Calls::new(server(ISSUER, &Value::Null), client);
    calls = calls.call(NOW, credentials(), Vec::new());
    for turn in &mut calls.conversation.turns {
        turn.seed = seed.iter().map(|byte| format!("{byte:02x}")).collect();
    }
    let came = calls.play(runner)?.pop().ok_or("no call")?;
    came.sent
        .into_iter()
        .next()
        .ok_or_else(|| "no request".into())
}

pub(crate) fn selection(vector: &Vector, runner: &mut Runner) -> Verdict {
    if vector.input.get("configured").is_some() {
        return Err(Failure::OutOfReach(ONE_AUTH));
    }
    if vector.input["have"] != json!(["secret"]) {
        return Err(Failure::OutOfReach(CHOSEN));
    }
    let methods = &vector.input["token_endpoint_auth_methods_supported"];
    let more = match methods {
        Value::Null => Value::Null,
        _ => json!({ "token_endpoint_auth_methods_supported": methods }),
    };
    let client = ClientConfig {
        id: "client1".to_owned(),
        secret: Some("the-secret-of-it, of thirty-two bytes".to_owned()),
        ..ClientConfig::default()
    };
    let calls = Calls::new(server(ISSUER, &more), client).call(NOW, credentials(), Vec::new());
    let came = calls.play(runner)?.pop().ok_or("no call")?;
    if let Some(end) = came.end {
        return check_end(vector, end).map(drop);
    }
    let sent = came.sent.first().ok_or("no request")?;
    let in_header = sent
        .header("authorization")
        .is_some_and(|text| text.starts_with("Basic "));
    let parameter = |name| sent.parameter(name);
    let method = match (
        in_header,
        parameter("client_secret")?,
        parameter("client_assertion")?,
    ) {
        (true, None, None) => "client_secret_basic",
        (false, Some(_), None) => "client_secret_post",
        (false, None, Some(_)) => "client_secret_jwt",
        _ => "something else",
    };
    check_equal("method", Some(method), vector.expected["method"].as_str())
}

pub(crate) fn source(vector: &Vector, runner: &mut Runner) -> Verdict {
    if vector.id.starts_with("as-github") {
        return workload::github(vector, runner);
    }
    let input = &vector.input;
    let mut client = ClientConfig {
        auth: Some("assertion_source".to_owned()),
        ..runner::public("client1")
    };
    for (input_name, name) in [("expected_audience", "audience"), ("profile", "profile")] {
        if let Some(text) = vector.text(input_name) {
            client.auth_options.insert(name.to_owned(), text.into());
        }
    }
    let issuer = vector.text("issuer").unwrap_or(ISSUER);
    let calls = Calls::new(server(issuer, &Value::Null), client);
    let came = conversation(input, calls).play(runner)?;
    let sent: Vec<_> = came.iter().flat_map(|came| &came.sent).collect();
    let expected = &vector.expected;
    if let Some(expected_value) = expected["requests"].as_u64() {
        check_equal("requests", sent.len() as u64, expected_value)?;
    }
    let expected_value = expected["client_assertions"]
        .as_array()
        .into_iter()
        .flatten();
    let expected_value: Vec<_> = expected_value
        .chain(expected.get("client_assertion"))
        .filter_map(Value::as_str)
        .collect();
    if !expected_value.is_empty() {
        let found = sent.iter().map(|sent| assertion(sent));
        let found = found.collect::<Result<Vec<_>, _>>()?;
        check_equal(
            "assertions",
            found.iter().map(String::as_str).collect(),
            expected_value,
        )?;
    }
    for name in ["params", "params_have"] {
        for pair in expected[name].as_array().into_iter().flatten() {
            let name = pair[0].as_str().unwrap_or_default();
            let request = sent.last().ok_or("no request")?;
            check_equal(name, request.parameter(name)?.as_deref(), pair[1].as_str())?;
        }
    }
    if expected.get("must_not_have").is_some() {
        let request = sent.last().ok_or("no request")?;
        check("no secret", request.parameter("client_secret")?.is_none())?;
        check("no header", request.header("authorization").is_none())?;
    }
    let end = came.into_iter().next_back().and_then(|came| came.end);
    let end = end.ok_or("the call has not ended")?;
    let classes = wanted_classes(expected);
    let refused = classes.first().copied().or(expected["result"].as_str());
    match (end, refused) {
        (Ok(_), None | Some("ok")) => Ok(()),
        (Err(refusal), Some("error:invalid_client")) => {
            check_equal("code", refusal.code.as_str(), "denied.invalid_client")
        }
        (end @ Err(_), Some(_)) => check_end(vector, end).map(drop),
        (Ok(_), Some(_)) => Err("the request is sent".into()),
        (Err(refusal), None) => Err(refusal.message.into()),
    }
}

/// Adds requests whose assertions come from the vector's file, with its contents at each read.
fn conversation(input: &Value, mut calls: Calls) -> Calls {
    let file = |value: &Value| value.as_str().map(str::to_owned);
    let valid_response = json!({ "access_token": "a", "token_type": "Bearer" });
    if let Some(requests) = input["requests"].as_array() {
        for request in requests {
            let now = request["now"].as_u64().unwrap_or(NOW);
            calls = calls.then(now, TurnInput::Source(vec![file(&request["file"])]));
            calls = calls.call(now, credentials(), vec![Reply::json(&valid_response)]);
        }
        return calls;
    }
    let reads: Vec<_> = match input["file_reads"].as_array() {
        Some(reads) => reads.iter().map(file).collect(),
        None => vec![file(&input["file"])],
    };
    let Some(replies) = input["token_responses"].as_array() else {
        calls = calls.then(NOW, TurnInput::Source(reads));
        return calls.call(NOW, credentials(), vec![Reply::json(&valid_response)]);
    };
    // The file changes while the request is under way.
    calls = calls.then(
        NOW,
        TurnInput::Source(reads.iter().take(1).cloned().collect()),
    );
    calls = calls.call(NOW, credentials(), Vec::new());
    calls = calls.then(NOW, TurnInput::Source(reads.into_iter().skip(1).collect()));
    for reply in replies {
        let status = reply["status"].as_u64();
        let status = status.and_then(|status| u16::try_from(status).ok());
        let media = [("content-type", "application/json")];
        let body = reply["body"].as_str().unwrap_or_default();
        calls = calls.then(
            NOW,
            TurnInput::Reply(Reply::new(status.unwrap_or(200), &media, body)),
        );
    }
    calls
}

pub(crate) fn mtls(vector: &Vector, runner: &mut Runner) -> Verdict {
    if let Some(certificate) = vector.text("certificate_der_base64") {
        return thumbprint(vector, certificate, runner);
    }
    if let Some(cnf) = vector.input.get("introspection_cnf") {
        return bound(vector, cnf, runner);
    }
    if vector.text("auth") == Some("self_signed_tls_client_auth") {
        return Err(Failure::OutOfReach(SELF_SIGNED));
    }
    let client = ClientConfig {
        auth: Some("tls_client_auth".to_owned()),
        ..runner::public(vector.text("client_id").unwrap_or("client1"))
    };
    let sent = first(client, credentials(), (ISSUER, &Value::Null), runner)?;
    check_equal(
        "client_id",
        sent.parameter("client_id")?.as_deref(),
        Some(vector.text("client_id").unwrap_or("client1")),
    )?;
    for name in ["client_secret", "client_assertion"] {
        check(name, sent.parameter(name)?.is_none())?;
    }
    check("no header", sent.header("authorization").is_none())
}

/// The thumbprint of a network's certificate, as stored with the tokens received over it.
fn thumbprint(vector: &Vector, certificate: &str, runner: &mut Runner) -> Verdict {
    let lines = certificate.as_bytes().chunks(64);
    let lines: Vec<_> = lines.map(String::from_utf8_lossy).collect();
    let mut of = runner::public("client1");
    let pem = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n{NOBODYS}",
        lines.join("\n")
    );
    for (name, value) in [
        ("network_certificate", Value::from(pem)),
        ("tls_client_certificate_bound_access_tokens", true.into()),
    ] {
        of.registration.insert(name.to_owned(), value);
    }
    let held = json!({ "client_id": "client1", "refresh_token": "r" });
    let refresh = TurnInput::Refresh {
        scope: String::new(),
        tokens: Some(runner::stored_tokens(held)),
    };
    let token = Reply::json(&json!({ "access_token": "b", "token_type": "Bearer" }));
    let calls = Calls::new(server(ISSUER, &Value::Null), of);
    let end = calls.call(NOW, refresh, vec![token]).end(runner)?;
    let told = tokens(end.map_err(|refusal| refusal.message)?)?;
    check_equal(
        "thumbprint",
        &told.get("x5t_s256")?,
        &vector.expected["x5t#S256"],
    )
}

/// A token that contains its certificate's thumbprint (RFC 8705 section 3.1) is refused over a connection with a
/// different certificate, and accepted with its own. The same check covers introspection (section 3.2), which is
/// tested over sockets.
fn bound(vector: &Vector, cnf: &Value, runner: &mut Runner) -> Verdict {
    let introspection_body = json!({
        "iss": ISSUER, "sub": "u", "aud": "https://rs.example", "client_id": "c", "jti": "1",
        "iat": NOW, "exp": NOW + 300, "cnf": cnf,
    });
    let token = signed("rsa1", Alg::Rs256, Some("at+jwt"), &introspection_body)?;
    let mut shown = |thumbprint: &Value| {
        let arguments = Map::from_iter([
            ("token".to_owned(), token.as_str().into()),
            ("audience".to_owned(), "https://rs.example".into()),
            ("algs".to_owned(), json!(["RS256"])),
            ("x5t_s256".to_owned(), thumbprint.clone()),
        ]);
        let keys = Reply::json(&key_set(&Value::Null));
        let api = client("resource-server", None);
        let calls = Calls::new(server(ISSUER, &Value::Null), api);
        calls
            .call(NOW, TurnInput::VerifyAccessToken(arguments), vec![keys])
            .end(runner)
    };
    let presented = access_token::presented_thumbprint(vector)?;
    check_end(vector, shown(&presented.into())?)?;
    if !cnf["x5t#S256"].is_string() {
        // No certificate has such a thumbprint.
        return Ok(());
    }
    let own_thumbprint = shown(&cnf["x5t#S256"])?;
    check("is accepted with its own", own_thumbprint.is_ok())
}
