//! Groups about the user's identity: `id-token`, `id-token-refresh`, `userinfo`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use oauth_core::jose::{Alg, Claims};
use oauth_core::moment::UnixTime;
use oauth_core::server::EndpointKind;
use oauth_core::token::id_token::{IdTokenChecks, IdTokenOrigin};
use oauth_core::{Client, Exchange, Input, Moment, Secret, Step, Tokens};
use serde_json::Value;

use crate::expect::accepted;
use crate::format::{Vector, Verdict, check, check_equal};
use crate::jwe::encryption_agreed;
use crate::jws::{Verified, algs, client, key_set, refused, run, run_from};
use crate::login;

pub(crate) fn id_token(vector: &Vector) -> Verdict {
    let input = &vector.input;
    let Some(token) = input["id_token"].as_str() else {
        return login::issuer(vector);
    };
    let expect = &input["expect"];
    if expect["flow_state"] == "consumed" {
        // `redeem` takes the flow by value: a second redemption does not compile.
        return check(
            "is used up",
            vector.expected["error"] == "flow_already_completed",
        );
    }
    let now = expect["now"].as_u64().ok_or("no time")?;
    let mut client = registered(expect)?;
    if let Some(encryption) = encryption_agreed(expect)? {
        client = client.with_id_token_encryption(encryption);
    }
    let mut checks = checks(expect);
    if let Some(original) = input.get("original_claims") {
        let claims = Claims::from_json(&original.to_string());
        checks.original = Some(claims.map_err(|error| error.to_string())?);
    }
    let keys = key_set(input.get("jwks").unwrap_or(&Value::Null));
    let exchange = client.verify_id_token(Secret::from(token), checks);
    let Verified { result, .. } = run(exchange, now, &[keys]);
    match result {
        Ok(id_token) => {
            accepted(&vector.expected, id_token.claims())?;
            check(
                "is somebody",
                !id_token.subject().is_empty() && !id_token.issuer().is_empty(),
            )
        }
        Err(error) => refused(&error, vector),
    }
}

/// The client as it is registered.
pub(crate) fn registered(expect: &Value) -> Result<Client, String> {
    let text = |name: &str| expect[name].as_str();
    let (issuer, id) = (
        text("issuer").unwrap_or_default(),
        text("client_id").unwrap_or_default(),
    );
    let client = client(issuer, id, text("client_secret")).map_err(|error| error.to_string())?;
    Ok(client.with_id_token_algs(algs(&expect["allowed_algs"])))
}

pub(crate) fn checks(expect: &Value) -> IdTokenChecks {
    let secret = |name: &str| expect[name].as_str().map(Secret::from);
    let seconds = |name: &str| expect[name].as_u64().map(Duration::from_secs);
    let list = |name: &str| {
        let list = expect[name].as_array().into_iter().flatten();
        list.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let mut checks = IdTokenChecks::default();
    checks.nonce = secret("nonce");
    checks.access_token = secret("access_token");
    let response_type = expect["response_type"].as_str().unwrap_or_default();
    let brings = |part: &str| response_type.split(' ').any(|name| name == part);
    checks.code = secret("code").filter(|_| brings("code"));
    checks.state = secret("state");
    if brings("token") {
        checks.origin = IdTokenOrigin::Unsolicited;
    }
    checks.max_age = seconds("max_age");
    checks.max_token_age = seconds("max_token_age");
    checks.requested_at = expect["request_time"].as_u64().map(UnixTime::from_secs);
    checks.acr_values = list("acr_essential");
    checks.trusted_audiences = list("trusted_audiences");
    if let Some(skew) = seconds("clock_skew") {
        checks.clock_skew = skew;
    }
    checks
}

pub(crate) fn userinfo(vector: &Vector) -> Verdict {
    let text = |error: oauth_core::Error| error.to_string();
    let client = crate::jws::client_with(
        "https://as.example",
        "client1",
        &[(EndpointKind::Userinfo, "https://as.example/userinfo")],
    );
    let mut client = client.map_err(text)?;
    let is_signed = vector.expected["ctx"] == "userinfo_signed_response_alg registered";
    let registered = vector.text("userinfo_signed_response_alg");
    if let Some(alg) = registered.or(is_signed.then_some("RS256")) {
        client = client.with_userinfo_algs(Alg::from_name(alg));
    }
    let subject = vector.text("id_token_sub").unwrap_or("user-1").to_owned();
    let tokens = Arc::new(Tokens::bearer("t0ken"));
    let mut exchange = client.userinfo(tokens, subject);
    let at = Moment::without_randomness(UnixTime::from_secs(NOW));
    let Ok(Step::Send(request)) = exchange.resume(&at, Input::Begin) else {
        return Err("no request".into());
    };
    if vector.text("build").is_some() {
        let header = request
            .headers()
            .get("authorization")
            .and_then(|value| value.to_str().ok());
        check_equal("header", header, Some("Bearer t0ken"))?;
        return check(
            "GET without a query",
            request.method() == "GET" && request.uri().query().is_none(),
        );
    }
    let reply = userinfo_response(vector, "application/json")?;
    let keys = key_set(&Value::Null);
    match run_from(&mut exchange, Input::Reply(reply), NOW, &[keys]).result {
        Ok(claims) => {
            accepted(&vector.expected, &claims)?;
            let Some(expected_value) = vector.expected.get("email_verified") else {
                return Ok(());
            };
            // A string is not a boolean.
            let verified = claims.get("email_verified").and_then(Value::as_bool);
            check_equal("email_verified", verified, expected_value.as_bool())
        }
        Err(error) => refused(&error, vector),
    }
}

/// The time of vectors that have none, in Unix seconds.
const NOW: u64 = 1_700_000_000;

/// The response in a vector.
pub(crate) fn userinfo_response(vector: &Vector, media: &str) -> Result<Response<Bytes>, String> {
    let status = vector.input["status"]
        .as_u64()
        .and_then(|status| u16::try_from(status).ok());
    let reply = Response::builder()
        .status(status.unwrap_or(200))
        .header("content-type", vector.text("content_type").unwrap_or(media));
    let body = vector.text("body").unwrap_or_default().to_owned();
    reply
        .body(Bytes::from(body))
        .map_err(|error| error.to_string())
}
