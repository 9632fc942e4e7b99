//! DPoP proofs as a package sends them: `dpop`, `dpop-nonce-sequence`.

use oauth_core::jose::Alg;
use oauth_core::url::Url;
use serde_json::{Value, json};

use super::protected::{ISSUER, part, refused};
use super::{CallResult, Calls, bound_refresh, client, server, tokens};
use crate::conversation::{ClientConfig, TurnInput};
use crate::fields::Reply;
use crate::format::{Failure, Vector, Verdict, check, check_equal, names, texts};
use crate::lang::Lang;
use crate::runner::{self, Runner};
use crate::transcript::{Done, Refusal, Sent};

const NO_PRIVATE_HALF: &str = "the private key is not known";
const OWN_METHOD: &str = "HTTP clients of these languages write the name of a method in capitals";
const NO_RULES: &str = "only a preset declares that a server does not bind tokens";
const OWN_KEY: &str = "a page's key is for ES256";

/// A client whose tokens are bound to a key; a public client in a page.
fn bound(lang: Lang, alg: &str) -> ClientConfig {
    let client_config = match lang {
        Lang::Browser => runner::public("client1"),
        _ => client("client1", Some("hunter22")),
    };
    ClientConfig {
        dpop: Some(alg.to_owned()),
        ..client_config
    }
}

/// A token request.
fn token_request_input(lang: Lang) -> TurnInput {
    match lang {
        Lang::Browser => redemption(),
        _ => TurnInput::ClientCredentials {
            scope: String::new(),
        },
    }
}

pub(super) fn redemption() -> TurnInput {
    TurnInput::Redeem {
        callback: "https://app.example/cb?code=c&state=xyz".to_owned(),
        flow: Some(runner::flow(
            json!({ "client_id": "client1", "scope": "read" }),
        )),
    }
}

fn token_reply(kind: Option<&str>) -> Reply {
    let mut reply = json!({ "access_token": "t" });
    if let Some(kind) = kind {
        reply["token_type"] = kind.into();
    }
    Reply::json(&reply)
}

/// The header and the claims of a proof.
pub(super) fn proof(sent: &Sent) -> Result<(Value, Value), Failure> {
    let proof = sent.header("dpop").ok_or("no proof")?;
    Ok((part(proof, 0)?, part(proof, 1)?))
}

/// A UserInfo request to this URL with this token: the only API request that a package sends by itself.
fn userinfo(runner: &mut Runner, url: &str, token: &str) -> Result<CallResult, Failure> {
    let metadata = json!({ "userinfo_endpoint": url });
    let tokens = runner::stored_tokens(json!({
        "version": 2, "client_id": "client1", "access_token": token, "token_type": "DPoP",
        "id_token": super::signed("rsa1", Alg::Rs256, None, &super::claims())?,
    }));
    let turn_input = TurnInput::Userinfo {
        subject: "user-1".to_owned(),
        tokens: Some(tokens),
    };
    let calls = Calls::new(server(ISSUER, &metadata), bound(runner.lang, "ES256"));
    let mut came = calls.call(1, turn_input, Vec::new()).play(runner)?;
    came.pop().ok_or_else(|| "no call".into())
}

fn sent_userinfo(runner: &mut Runner, url: &str, token: &str) -> Result<Sent, Failure> {
    let came = userinfo(runner, url, token)?;
    match (came.end, came.sent.into_iter().next()) {
        (Some(Err(refusal)), _) => Err(refusal.message.into()),
        (_, Some(sent)) => Ok(sent),
        (_, None) => Err("nothing was sent".into()),
    }
}

/// Runs a token request with these responses.
fn token_request(
    runner: &mut Runner,
    metadata: &Value,
    of: ClientConfig,
    replies: Vec<Reply>,
) -> Result<CallResult, Failure> {
    let calls =
        Calls::new(server(ISSUER, metadata), of).call(1, token_request_input(runner.lang), replies);
    calls.play(runner)?.pop().ok_or_else(|| "no call".into())
}

const RESOURCE: &str = "https://rs.example/x";

/// A request to an API, with a token that is bound to a key.
fn api_call(url: &str, streams: bool, replies: Vec<Reply>) -> Result<TurnInput, Failure> {
    let at = Url::parse(url).map_err(|error| error.to_string())?;
    api_call_at(&at, url, streams, replies)
}

/// [`api_call`] for an API at this URL, which `url` may write differently.
fn api_call_at(
    at: &Url,
    url: &str,
    streams: bool,
    replies: Vec<Reply>,
) -> Result<TurnInput, Failure> {
    Ok(TurnInput::CallApi {
        method: if streams { "POST" } else { "GET" }.to_owned(),
        url: url.to_owned(),
        body: streams.then(|| "a body".to_owned()),
        streams,
        origins: vec![at.origin()],
        tokens: runner::stored_tokens(json!({
            "version": 2, "client_id": "client1", "token_type": "DPoP", "refresh_token": null,
        })),
        replies,
    })
}

/// A URL that parsers read differently: refused in a server's metadata, and normalized by the caller's HTTP client.
fn parsed(vector: &Vector, url: &str, runner: &mut Runner) -> Verdict {
    let expected_value = vector.expected["htu"].as_str().unwrap_or_default();
    let at = Url::parse(expected_value).map_err(|error| error.to_string())?;
    let call = api_call_at(&at, url, false, vec![Reply::json(&Value::Null)])?;
    let calls = Calls::new(server(ISSUER, &Value::Null), bound(runner.lang, "ES256"));
    let came = calls.call(1, call, Vec::new()).play(runner)?.pop();
    let sent = first(came.ok_or("no call")?)?;
    let (_, claims) = proof(&sent)?;
    check_equal("htu", claims["htu"].as_str(), Some(expected_value))
}

/// The requests of a package to an API, and their result.
fn called(
    runner: &mut Runner,
    url: &str,
    alg: &str,
    replies: Vec<Reply>,
) -> Result<CallResult, Failure> {
    if runner.lang == Lang::Browser && alg != "ES256" {
        return Err(Failure::OutOfReach(OWN_KEY));
    }
    let calls = Calls::new(server(ISSUER, &Value::Null), bound(runner.lang, alg));
    let calls = calls.call(1, api_call(url, false, replies)?, Vec::new());
    calls.play(runner)?.pop().ok_or_else(|| "no call".into())
}

pub(crate) fn dpop(vector: &Vector, runner: &mut Runner) -> Verdict {
    let (input, expected) = (&vector.input, &vector.expected);
    let es256 = bound(runner.lang, "ES256");
    if let Some(published) = vector.text("proof") {
        // The core's tests verify its signature; ours has the same form.
        let (header, claims) = (part(published, 0)?, part(published, 1)?);
        let ours = match claims.get("ath") {
            Some(_) => sent_userinfo(runner, RESOURCE, "a")?,
            None => first(token_request(runner, &Value::Null, es256, Vec::new())?)?,
        };
        let (our_header, our_claims) = proof(&ours)?;
        check_equal("members", names(&our_header), names(&header))?;
        return check_equal("claims", names(&our_claims), names(&claims));
    }
    if let Some(url) = vector.text("request_url") {
        let is_as_sent = Url::parse(url).is_ok_and(|parsed| parsed.as_str() == url);
        if expected["htu"].is_string() && !is_as_sent {
            return parsed(vector, url, runner);
        }
        let came = userinfo(runner, url, "a")?;
        return match came.end {
            // It is refused as the URL of an endpoint.
            Some(Err(refusal)) => {
                check("refused", expected["error"].is_string())?;
                check_equal(
                    "code",
                    refusal.code.as_str(),
                    "metadata.endpoint_has_userinfo",
                )
            }
            _ => {
                let (_, claims) = proof(came.sent.first().ok_or("nothing was sent")?)?;
                check_equal("htu", &claims["htu"], &expected["htu"])
            }
        };
    }
    if let Some(method) = vector.text("method") {
        let sent = match method {
            "get" => sent_userinfo(runner, RESOURCE, "a")?,
            "POST" => first(token_request(runner, &Value::Null, es256, Vec::new())?)?,
            _ => return Err(Failure::OutOfReach(OWN_METHOD)),
        };
        let (_, claims) = proof(&sent)?;
        return check_equal("htm", &claims["htm"], &expected["htm"]);
    }
    if input.get("jwk").is_some() {
        return Err(Failure::OutOfReach(NO_PRIVATE_HALF));
    }
    if let Some(nonce) = input.get("DPoP-Nonce").and_then(Value::as_str) {
        let with = token_reply(Some("DPoP")).with("dpop-nonce", nonce);
        let lang = runner.lang;
        let calls = Calls::new(server(ISSUER, &Value::Null), es256)
            .call(1, token_request_input(lang), vec![with])
            .call(
                1,
                token_request_input(lang),
                vec![token_reply(Some("DPoP"))],
            );
        let (_, claims) = proof(&first(calls.play(runner)?.pop().ok_or("no call")?)?)?;
        return check_equal(
            "stored",
            claims["nonce"] == nonce,
            expected["stored"] == true,
        );
    }
    if let Some(challenge) = vector.text("challenge") {
        let field = format!("{challenge}, error=\"use_dpop_nonce\"");
        let reply = Reply::json(&Value::Null).status(401);
        let reply = reply
            .with("www-authenticate", &field)
            .with("dpop-nonce", "n");
        let replies = vec![reply, Reply::json(&Value::Null)];
        let came = called(runner, RESOURCE, vector.required_text("key_alg")?, replies)?;
        return ended(vector, came.sent.len() > 1, came.end);
    }
    if let Some(header) = vector.text("header") {
        let came = called(runner, RESOURCE, "ES256", vec![Reply::json(&Value::Null)])?;
        let name = header.split(':').next().unwrap_or_default();
        let sent = came.sent.first().ok_or("nothing was sent")?;
        check_equal("status", came.status, Some(200))?;
        return check_equal("header", sent.header(&name.to_ascii_lowercase()), None);
    }
    if let Some(metadata) = input.get("metadata") {
        let client_config = bound(runner.lang, vector.required_text("key_alg")?);
        if runner.lang == Lang::Browser {
            return Err(Failure::OutOfReach(OWN_KEY));
        }
        let came = token_request(runner, metadata, client_config, Vec::new())?;
        return ended(vector, !came.sent.is_empty(), came.end);
    }
    if let Some(is_bound) = input.get("sent_dpop_proof") {
        let policy = vector.text("policy");
        if policy.is_some_and(|policy| policy != "require") {
            return Err(Failure::OutOfReach(NO_RULES));
        }
        let client_config = if is_bound == true {
            es256
        } else {
            ClientConfig {
                dpop: None,
                ..es256
            }
        };
        let reply = token_reply(vector.text("token_type"));
        let end = token_request(runner, &Value::Null, client_config, vec![reply])?.end;
        let end = end.ok_or("the call does not end")?;
        let expected_value = expected["ok"].as_str();
        return match (end, expected_value) {
            (Ok(_), Some(_)) if runner.lang == Lang::Browser => Ok(()),
            (Ok(done), Some(_)) => check_equal(
                "type",
                tokens(done)?.text("token_type")?.as_deref(),
                expected_value,
            ),
            (Err(refusal), None) => refused(vector, refusal),
            (end, _) => Err(format!("ended with {end:?}").into()),
        };
    }
    if input.get("refresh_token_bound_to").is_some() {
        return bound_refresh::refreshed(vector, runner);
    }
    if let Some(alg) = vector.text("alg") {
        if runner.lang == Lang::Browser {
            return Err(Failure::OutOfReach(OWN_KEY));
        }
        let client_config = bound(runner.lang, alg);
        let came = token_request(runner, &Value::Null, client_config, Vec::new())?;
        return ended(vector, !came.sent.is_empty(), came.end);
    }
    match vector.text("build") {
        Some(_) if vector.text("for") == Some("token endpoint") => {
            let sent = first(token_request(runner, &Value::Null, es256, Vec::new())?)?;
            required(vector, &sent)
        }
        _ => {
            let token = vector.required_text("access_token")?;
            let sent = sent_userinfo(runner, RESOURCE, token)?;
            let (_, claims) = proof(&sent)?;
            check_equal("ath", &claims["ath"], &expected["ath"])?;
            required(vector, &sent)
        }
    }
}

/// Checks that a proof is sent, or that the key is refused.
fn ended(vector: &Vector, is_sent: bool, end: Option<Result<Done, Refusal>>) -> Verdict {
    match end {
        Some(Err(refusal)) => refused(vector, refusal),
        _ => {
            check("a proof is sent", is_sent)?;
            check("is accepted", vector.expected["ok"] == true)
        }
    }
}

pub(super) fn first(came: CallResult) -> Result<Sent, Failure> {
    match (came.sent.into_iter().next(), came.end) {
        (Some(sent), _) => Ok(sent),
        (None, Some(Err(refusal))) => Err(refusal.message.into()),
        (None, _) => Err("nothing was sent".into()),
    }
}

fn required(vector: &Vector, sent: &Sent) -> Verdict {
    let (header, claims) = proof(sent)?;
    let expected = &vector.expected;
    let mut exact = texts(&expected["header_members_exact"]);
    exact.sort_unstable();
    if !exact.is_empty() {
        check_equal("header", names(&header), exact)?;
    }
    if let Some(typ) = expected["typ"].as_str() {
        check_equal("typ", header["typ"].as_str(), Some(typ))?;
    }
    for name in texts(&expected["claims_required"]) {
        check(&name, claims.get(&name).is_some())?;
    }
    for name in texts(&expected["claims_forbidden"]) {
        check(&name, claims.get(&name).is_none())?;
    }
    match expected["authorization"].as_str() {
        Some(expected_authorization) => check_equal(
            "authorization",
            sent.header("authorization"),
            Some(expected_authorization),
        ),
        None => Ok(()),
    }
}

pub(crate) fn sequence(vector: &Vector, runner: &mut Runner) -> Verdict {
    let steps = vector.input["steps"].as_array().ok_or("no steps")?;
    let mut calls = Calls::new(server(ISSUER, &Value::Null), bound(runner.lang, "ES256"));
    let mut rest: &[Value] = steps;
    while let [head, ..] = rest {
        let is_named = head.get("send").is_some();
        let replies: Vec<_> = rest
            .iter()
            .skip(usize::from(is_named))
            .map_while(|step| step.get("recv"))
            .collect();
        rest = &rest[usize::from(is_named) + replies.len()..];
        let what = head["send"].as_str().unwrap_or_default();
        let named = what.find("https://").map(|at| what[at..].to_owned());
        let from = replies
            .iter()
            .find_map(|reply| match reply["from"].as_str() {
                Some("as") | None => None,
                Some("rs") => Some(RESOURCE.to_owned()),
                Some(origin) => Some(origin.to_owned()),
            });
        let url = named.or(from);
        let replies = replies.into_iter().map(reply).collect();
        if let Some(url) = url {
            let streams = what.contains("streaming");
            calls = calls.call(1, api_call(&url, streams, replies)?, Vec::new());
            continue;
        }
        let input = if what.contains("code") {
            redemption()
        } else {
            token_request_input(runner.lang)
        };
        calls = calls.call(1, input, replies);
    }
    let came = calls.play(runner)?;
    let sent: Vec<_> = came.iter().flat_map(|came| &came.sent).collect();
    let proofs: Vec<_> = sent
        .iter()
        .map(|sent| proof(sent))
        .collect::<Result<_, _>>()?;
    let expected = &vector.expected;
    if let Some(count) = expected["requests"].as_u64() {
        check_equal("requests", proofs.len() as u64, count)?;
    }
    if let Some(nonces) = expected["nonces_sent"].as_array() {
        let ours: Vec<_> = proofs
            .iter()
            .map(|(_, claims)| claims["nonce"].clone())
            .collect();
        check_equal("nonces", &ours, nonces)?;
    }
    let mut jtis: Vec<_> = proofs
        .iter()
        .map(|(_, claims)| claims["jti"].to_string())
        .collect();
    jtis.sort_unstable();
    jtis.dedup();
    check_equal("distinct proofs", jtis.len(), proofs.len())?;
    if expected["same_code_and_verifier"] == true {
        let same_form = sent.iter().all(|request| request.body == sent[0].body);
        check(
            "the form is the same",
            same_form || runner.lang != Lang::Browser,
        )?;
        let codes: Vec<_> = sent
            .iter()
            .map(|sent| sent.parameter("code"))
            .collect::<Result<_, _>>()?;
        check(
            "the code is the same",
            codes.iter().all(|code| *code == codes[0]),
        )?;
    }
    let results: Vec<_> = came.iter().filter_map(result).collect();
    for (name, got) in [
        ("first_result", results.first()),
        ("result", results.last()),
    ] {
        if let Some(expected_value) = expected[name].as_str() {
            check_equal(name, got.map(String::as_str), Some(expected_value))?;
        }
    }
    Ok(())
}

fn result(came: &CallResult) -> Option<String> {
    let of_api = |status| match status {
        200 => "ok".to_owned(),
        _ => "error:use_dpop_nonce".to_owned(),
    };
    let Some(end) = &came.end else {
        return came.status.map(of_api);
    };
    Some(match end {
        Ok(_) => "ok".to_owned(),
        Err(refusal) => match (&refusal.error, refusal.code.as_str()) {
            (_, "dpop.duplicate_nonce") => "error:malformed_dpop_nonce".to_owned(),
            (Some(error), _) => format!("error:{error}"),
            (None, code) => format!("error:{code}"),
        },
    })
}

fn reply(response_spec: &Value) -> Reply {
    let body: Value = serde_json::from_str(response_spec["body"].as_str().unwrap_or_default())
        .unwrap_or_default();
    let status = response_spec["status"]
        .as_u64()
        .and_then(|status| u16::try_from(status).ok());
    let mut reply = Reply::json(&body).status(status.unwrap_or(200));
    for pair in response_spec["headers_multi"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let [name, value] = [&pair[0], &pair[1]].map(|part| part.as_str().unwrap_or_default());
        reply = reply.with(&name.to_ascii_lowercase(), value);
    }
    for (name, value) in response_spec["headers"].as_object().into_iter().flatten() {
        reply = reply.with(
            &name.to_ascii_lowercase(),
            value.as_str().unwrap_or_default(),
        );
    }
    reply
}
