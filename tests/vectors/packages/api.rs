//! Groups about a package used on a server: `jwt-access-token`, `logout-token`, `signed-introspection`.

use oauth_core::challenge;
use oauth_core::jose::Alg;
use serde_json::{Map, Value, json};

use super::identity::userinfo_reply;
use super::{Calls, NOW, check_end, claims, client, record, server, signed};
use crate::access_token::{challenge_error, default_status, payload};
use crate::conversation::{TokenInput, TurnInput};
use crate::fields::Reply;
use crate::format::{Vector, Verdict, check, check_equal, texts};
use crate::jws::key_set;
use crate::runner::Runner;

const MEDIA: &str = "application/token-introspection+jwt";
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

pub(crate) fn access_token(vector: &Vector, runner: &mut Runner) -> Verdict {
    let expect = &vector.input["expect"];
    let mut arguments = Map::from_iter([
        ("token".to_owned(), vector.required_text("jwt")?.into()),
        ("audience".to_owned(), expect["audience"].clone()),
        ("algs".to_owned(), expect["allowed_algs"].clone()),
    ]);
    for name in ["acr_values", "max_age", "clock_skew"] {
        if let Some(value) = expect.get(name) {
            arguments.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(names) = expect.get("required_scope") {
        arguments.insert("scope".to_owned(), texts(names).join(" ").into());
    }
    let issuer = expect["issuer"].as_str().unwrap_or_default();
    let keys = Reply::json(&key_set(&Value::Null));
    let calls = Calls::new(
        server(issuer, &Value::Null),
        client("resource-server", None),
    )
    .call(
        expect["now"].as_u64().ok_or("no time")?,
        TurnInput::VerifyAccessToken(arguments),
        vec![keys],
    );
    let end = calls.end(runner)?;
    let refusal = end.as_ref().err().map(|refusal| {
        let challenge_text = refusal.challenge.clone();
        (refusal.response_status, challenge_text)
    });
    if let Some(done) = check_end(vector, end)? {
        let verified = record(done)?;
        let token_claims = payload(vector.required_text("jwt")?);
        check_equal("subject", &verified["subject"], &token_claims["sub"])?;
        check_equal(
            "client_id",
            &verified["client_id"],
            &token_claims["client_id"],
        )?;
        if let Some(names) = vector.expected["ok"].get("scope") {
            // A package may return a set.
            let [mut verified, mut names] = [&verified["scope"], names].map(texts);
            verified.sort_unstable();
            names.sort_unstable();
            check_equal("scope", verified, names)?;
        }
        return Ok(());
    }
    let (status, challenge_text) = refusal.ok_or("no refusal")?;
    let expected_value = vector.expected["http_status"].as_u64();
    let expected_value = expected_value.unwrap_or(default_status(&vector.expected));
    check_equal("status", status.map(u64::from), Some(expected_value))?;
    let text = challenge_text.ok_or("no challenge")?;
    let challenges = challenge::parse([text.as_str()]).map_err(|error| error.to_string())?;
    let bearer_challenge = challenges.iter().find(|said| said.scheme == "bearer");
    let bearer_challenge = bearer_challenge.ok_or("no challenge of the scheme")?;
    let expected_value = vector.expected["challenge_has"].as_object();
    // A token bound to a key is not a bearer token: the error is beside a different scheme.
    let code = challenge_error(&vector.expected);
    let has_error = bearer_challenge.param("error") == Some(code) || text.contains(code);
    check(
        "the challenge has an error",
        expected_value.is_some() || has_error,
    )?;
    for (name, value) in expected_value.into_iter().flatten() {
        check_equal(name, bearer_challenge.param(name), value.as_str())?;
    }
    Ok(())
}

fn of_logout(token: &str, more: Option<u64>) -> TurnInput {
    let mut arguments = Map::from_iter([("token".to_owned(), token.into())]);
    if let Some(seconds) = more {
        arguments.insert("max_age_without_expiry".to_owned(), seconds.into());
    }
    TurnInput::VerifyLogoutToken(arguments)
}

pub(crate) fn logout_token(vector: &Vector, runner: &mut Runner) -> Verdict {
    if vector.text("policy") == Some("allow_missing_exp") {
        return without_expiry(vector, runner);
    }
    let expect = &vector.input["expect"];
    let now = expect["now"].as_u64().ok_or("no time")?;
    let mut of = client(expect["client_id"].as_str().unwrap_or_default(), None);
    let [alg] = texts(&expect["allowed_algs"])
        .try_into()
        .map_err(|_| "one algorithm")?;
    let alg: String = alg;
    of.registration
        .insert("id_token_signed_response_alg".to_owned(), alg.into());
    let issuer = expect["issuer"].as_str().unwrap_or_default();
    let token = vector.required_text("logout_token")?;
    let keys = || vec![Reply::json(&key_set(&Value::Null))];
    let mut calls = Calls::new(server(issuer, &Value::Null), of);
    if vector.input.get("seen_jti").is_some() {
        calls = calls.call(now, of_logout(token, None), keys());
    }
    let mut came = calls
        .call(now, of_logout(token, None), keys())
        .play(runner)?;
    let last = came
        .pop()
        .and_then(|came| came.end)
        .ok_or("the call has not ended")?;
    if let Some(first) = came.pop() {
        let first = first.end.ok_or("the first has not ended")?;
        let verified = record(first.map_err(|refusal| refusal.message)?)?;
        check_equal("jti", &json!([verified["jti"]]), &vector.input["seen_jti"])?;
    }
    if let Some(done) = check_end(vector, last)? {
        let verified = record(done)?;
        let has_subject = verified.get("subject").or(verified.get("sid")).is_some();
        check("names a user or a session", has_subject)?;
    }
    Ok(())
}

/// A server from before logout tokens had to have `exp`.
fn without_expiry(vector: &Vector, runner: &mut Runner) -> Verdict {
    let mut claims = claims();
    claims["jti"] = "1".into();
    claims["events"] = json!({ EVENT: {} });
    if let Some(members) = claims.as_object_mut() {
        members.retain(|name, _| name != "exp" && name != "nonce");
    }
    let token = signed("rsa1", Alg::Rs256, Some("logout+jwt"), &claims)?;
    let mut code = |now, longest| {
        let server = server("https://as.example", &Value::Null);
        let keys = vec![Reply::json(&key_set(&Value::Null))];
        let calls = Calls::new(server, client("client1", None));
        let end = calls
            .call(now, of_logout(&token, longest), keys)
            .end(runner)?;
        Ok::<_, crate::format::Failure>(end.err().map(|refusal| refusal.code))
    };
    let default = code(NOW, None)?;
    check_equal("by default", default.as_deref(), Some("jwt.missing_claim"))?;
    check_equal("in the window", code(NOW + 179, Some(120))?, None)?;
    let late = code(NOW + 180, Some(120))?;
    check_equal("after it", late.as_deref(), Some("jwt.too_old"))?;
    check("the policy is wanted", vector.expected["policy"] == true)
}

pub(crate) fn introspection(vector: &Vector, runner: &mut Runner) -> Verdict {
    let expect = &vector.input["expect"];
    let issuer = expect["issuer"].as_str().unwrap_or("https://as.example");
    let algs = texts(&expect["allowed_algs"]);
    let turn_input = TurnInput::Introspect(TokenInput {
        token: Some(vector.text("token").unwrap_or("t0ken").to_owned()),
        token_type_hint: None,
        signed_response_alg: Some(algs.first().map_or("RS256", String::as_str).to_owned()),
        audience: expect["audience"].as_str().map(str::to_owned),
    });
    let now = expect["now"].as_u64().unwrap_or(NOW);
    let replies = vec![
        userinfo_reply(vector, MEDIA),
        Reply::json(&key_set(&Value::Null)),
    ];
    let client_config = client("client1", Some("s3cr3t-of-the-client"));
    let calls =
        Calls::new(server(issuer, &Value::Null), client_config).call(now, turn_input, replies);
    if vector.text("build").is_some() {
        let came = calls.play(runner)?.pop().ok_or("no call")?;
        let sent = came.sent.first().ok_or("no request")?;
        check_equal(
            "method",
            Some(sent.method.as_str()),
            vector.expected["method"].as_str(),
        )?;
        for (name, value) in vector.expected["headers"].as_object().into_iter().flatten() {
            check_equal(name, sent.header(name), value.as_str())?;
        }
        for pair in vector.expected["params"].as_array().into_iter().flatten() {
            let name = pair[0].as_str().unwrap_or_default();
            check_equal(name, sent.parameter(name)?.as_deref(), pair[1].as_str())?;
        }
        return Ok(());
    }
    match check_end(vector, calls.end(runner)?)? {
        Some(done) => {
            let verified = record(done)?;
            check_equal(
                "active",
                &verified["active"],
                &vector.expected["ok"]["active"],
            )
        }
        None => Ok(()),
    }
}
