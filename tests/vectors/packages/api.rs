//! Groups about a package used on a server: `jwt-access-token`, `logout-token`, `signed-introspection`.

use oauth_core::challenge;
use oauth_core::jose::Alg;
use serde_json::{Map, Value, json};

use super::identity::answer;
use super::{Calls, NOW, claims, client, judge, record, server, signed};
use crate::access_token::{challenge_error, default_status, payload};
use crate::ask::Runner;
use crate::conversation::{TokenInput, TurnInput};
use crate::fields::Reply;
use crate::format::{Vector, Verdict, holds, same, texts};
use crate::jws::key_set;

const MEDIA: &str = "application/token-introspection+jwt";
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

pub(crate) fn access_token(vector: &Vector, runner: &mut Runner) -> Verdict {
    let expect = &vector.input["expect"];
    let mut given = Map::from_iter([
        ("token".to_owned(), vector.must("jwt")?.into()),
        ("audience".to_owned(), expect["audience"].clone()),
        ("algs".to_owned(), expect["allowed_algs"].clone()),
    ]);
    for name in ["acr_values", "max_age", "clock_skew"] {
        if let Some(value) = expect.get(name) {
            given.insert(name.to_owned(), value.clone());
        }
    }
    if let Some(names) = expect.get("required_scope") {
        given.insert("scope".to_owned(), texts(names).join(" ").into());
    }
    let issuer = expect["issuer"].as_str().unwrap_or_default();
    let keys = Reply::json(&key_set(&Value::Null));
    let calls = Calls::new(
        server(issuer, &Value::Null),
        client("resource-server", None),
    )
    .call(
        expect["now"].as_u64().ok_or("no time")?,
        TurnInput::VerifyAccessToken(given),
        vec![keys],
    );
    let end = calls.end(runner)?;
    let refusal = end.as_ref().err().map(|refusal| {
        let said = refusal.challenge.clone();
        (refusal.response_status, said)
    });
    if let Some(done) = judge(vector, end)? {
        let told = record(done)?;
        let said = payload(vector.must("jwt")?);
        same("subject", &told["subject"], &said["sub"])?;
        same("client_id", &told["client_id"], &said["client_id"])?;
        if let Some(names) = vector.expected["ok"].get("scope") {
            // A package may return a set.
            let [mut told, mut names] = [&told["scope"], names].map(texts);
            told.sort_unstable();
            names.sort_unstable();
            same("scope", told, names)?;
        }
        return Ok(());
    }
    let (status, said) = refusal.ok_or("no refusal")?;
    let wanted = vector.expected["http_status"].as_u64();
    let wanted = wanted.unwrap_or(default_status(&vector.expected));
    same("status", status.map(u64::from), Some(wanted))?;
    let text = said.ok_or("no challenge")?;
    let said = challenge::parse([text.as_str()]).map_err(|error| error.to_string())?;
    let said = said.iter().find(|said| said.scheme == "bearer");
    let said = said.ok_or("no challenge of the scheme")?;
    let wanted = vector.expected["challenge_has"].as_object();
    // A token bound to a key is not a bearer token: the error is beside a different scheme.
    let code = challenge_error(&vector.expected);
    let has_error = said.param("error") == Some(code) || text.contains(code);
    holds("the challenge has an error", wanted.is_some() || has_error)?;
    for (name, value) in wanted.into_iter().flatten() {
        same(name, said.param(name), value.as_str())?;
    }
    Ok(())
}

fn of_logout(token: &str, more: Option<u64>) -> TurnInput {
    let mut given = Map::from_iter([("token".to_owned(), token.into())]);
    if let Some(seconds) = more {
        given.insert("max_age_without_expiry".to_owned(), seconds.into());
    }
    TurnInput::VerifyLogoutToken(given)
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
    let token = vector.must("logout_token")?;
    let keys = || vec![Reply::json(&key_set(&Value::Null))];
    let mut calls = Calls::new(server(issuer, &Value::Null), of);
    if vector.input.get("seen_jti").is_some() {
        calls = calls.call(now, of_logout(token, None), keys());
    }
    let mut came = calls
        .call(now, of_logout(token, None), keys())
        .ask(runner)?;
    let last = came
        .pop()
        .and_then(|came| came.end)
        .ok_or("the call has not ended")?;
    if let Some(first) = came.pop() {
        let first = first.end.ok_or("the first has not ended")?;
        let told = record(first.map_err(|refusal| refusal.message)?)?;
        same("jti", &json!([told["jti"]]), &vector.input["seen_jti"])?;
    }
    if let Some(done) = judge(vector, last)? {
        let told = record(done)?;
        let has_subject = told.get("subject").or(told.get("sid")).is_some();
        holds("names a user or a session", has_subject)?;
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
    same("by default", default.as_deref(), Some("jwt.missing_claim"))?;
    same("in the window", code(NOW + 179, Some(120))?, None)?;
    let late = code(NOW + 180, Some(120))?;
    same("after it", late.as_deref(), Some("jwt.too_old"))?;
    holds("the policy is wanted", vector.expected["policy"] == true)
}

pub(crate) fn introspection(vector: &Vector, runner: &mut Runner) -> Verdict {
    let expect = &vector.input["expect"];
    let issuer = expect["issuer"].as_str().unwrap_or("https://as.example");
    let algs = texts(&expect["allowed_algs"]);
    let ask = TurnInput::Introspect(TokenInput {
        token: Some(vector.text("token").unwrap_or("t0ken").to_owned()),
        token_type_hint: None,
        signed_response_alg: Some(algs.first().map_or("RS256", String::as_str).to_owned()),
        audience: expect["audience"].as_str().map(str::to_owned),
    });
    let now = expect["now"].as_u64().unwrap_or(NOW);
    let replies = vec![answer(vector, MEDIA), Reply::json(&key_set(&Value::Null))];
    let of = client("client1", Some("s3cr3t-of-the-client"));
    let calls = Calls::new(server(issuer, &Value::Null), of).call(now, ask, replies);
    if vector.text("build").is_some() {
        let came = calls.ask(runner)?.pop().ok_or("no call")?;
        let sent = came.sent.first().ok_or("no request")?;
        same(
            "method",
            Some(sent.method.as_str()),
            vector.expected["method"].as_str(),
        )?;
        for (name, value) in vector.expected["headers"].as_object().into_iter().flatten() {
            same(name, sent.header(name), value.as_str())?;
        }
        for pair in vector.expected["params"].as_array().into_iter().flatten() {
            let name = pair[0].as_str().unwrap_or_default();
            same(name, sent.parameter(name)?.as_deref(), pair[1].as_str())?;
        }
        return Ok(());
    }
    match judge(vector, calls.end(runner)?)? {
        Some(done) => {
            let told = record(done)?;
            same("active", &told["active"], &vector.expected["ok"]["active"])
        }
        None => Ok(()),
    }
}
