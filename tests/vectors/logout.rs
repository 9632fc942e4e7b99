//! Groups about the end of a session: `logout-token`, `rp-session`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::crypto::Signer as _;
use oauth_core::flow::logout::{FrontChannelLogout, LogoutReply, Session, revokes};
use oauth_core::jose::Alg;
use oauth_core::token::logout_token::{LogoutToken, LogoutTokenChecks};
use oauth_core::{Client, Error, Scope, Secret};
use oauth_crypto::PrivateKey;
use serde_json::{Value, json};

use crate::expect::accepted;
use crate::format::{Failure, Vector, Verdict, check, check_equal, texts};
use crate::jwe::encryption_agreed;
use crate::jws::{algs, client, key_set, private_key, refused, run};

const MONITORING: &str = "session management is a frame in a page; session-management.test.js of the \
                          browser package asks for it";

const NOW: u64 = 1_700_000_000;
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

pub(crate) fn logout_token(vector: &Vector) -> Verdict {
    if vector.text("policy") == Some("allow_missing_exp") {
        return without_expiry(vector);
    }
    let expect = &vector.input["expect"];
    let now = expect["now"].as_u64().ok_or("no time")?;
    let id = expect["client_id"].as_str().unwrap_or_default();
    let issuer = expect["issuer"].as_str().unwrap_or_default();
    let client = client(issuer, id, None).map_err(|error| error.to_string())?;
    let client = client.with_id_token_algs(algs(&expect["allowed_algs"]));
    let client = match encryption_agreed(expect)? {
        Some(encryption) => client.with_id_token_encryption(encryption),
        None => client,
    };
    let mut checks = LogoutTokenChecks::default();
    checks.trusted_audiences = texts(&expect["trusted_audiences"]);
    if let Some(skew) = expect["clock_skew"].as_u64() {
        checks.clock_skew = Duration::from_secs(skew);
    }
    let token = vector.required_text("logout_token")?;
    let mut result = received(&client, token, now, checks.clone());
    if vector.input.get("seen_jti").is_some() {
        let first = result.map_err(|error| error.to_string())?;
        check_equal(
            "jti",
            json!([first.jti()]),
            vector.input["seen_jti"].clone(),
        )?;
        result = received(&client, token, now, checks);
    }
    let status = u64::from(LogoutReply::for_result(&result).status);
    let expected_value = vector.expected["http_status"].as_u64();
    check_equal("status", status, expected_value.unwrap_or(status))?;
    match result {
        Ok(token) => {
            accepted(&vector.expected, token.claims())?;
            check(
                "names a user or a session",
                token.subject().or(token.sid()).is_some(),
            )
        }
        Err(error) => refused(&error, vector),
    }
}

fn received(
    client: &Client,
    token: &str,
    now: u64,
    checks: LogoutTokenChecks,
) -> Result<LogoutToken, Error> {
    let exchange = client.verify_logout_token(Secret::from(token), checks);
    run(exchange, now, &[key_set(&Value::Null)]).result
}

/// A server from before logout tokens had to have `exp`: they are accepted for a short time, if the caller opts
/// in.
fn without_expiry(vector: &Vector) -> Verdict {
    let client =
        || client("https://as.example", "client1", None).map_err(|error| error.to_string());
    let token = signed(&json!({
        "iss": "https://as.example", "aud": "client1", "sub": "u1", "jti": "1", "iat": NOW,
        "events": { EVENT: {} },
    }))?;
    let mut lenient = LogoutTokenChecks::default();
    lenient.max_age_without_expiry = Some(Duration::from_secs(120));
    let code = |now, checks| {
        let result = received(&client()?, &token, now, checks);
        Ok::<_, String>(result.map(drop).map_err(|error| error.code()))
    };
    let default = code(NOW, LogoutTokenChecks::default())?;
    check_equal("by default", default, Err("jwt.missing_claim"))?;
    check_equal("in the window", code(NOW + 179, lenient.clone())?, Ok(()))?;
    check_equal("after it", code(NOW + 180, lenient)?, Err("jwt.too_old"))?;
    check("the policy is wanted", vector.expected["policy"] == true)
}

/// A logout token of the vectors' server.
fn signed(claims: &Value) -> Result<String, String> {
    let key = private_key("rsa1");
    let key =
        PrivateKey::from_jwk(&key.to_string(), Alg::Rs256).map_err(|error| error.to_string())?;
    let header = json!({ "alg": "RS256", "kid": "rsa1", "typ": "logout+jwt" });
    let parts = [&header, claims].map(|part| URL_SAFE_NO_PAD.encode(part.to_string()));
    let input = parts.join(".");
    let signature = key
        .sign(input.as_bytes())
        .map_err(|error| error.to_string())?;
    Ok(format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

pub(crate) fn session(vector: &Vector) -> Verdict {
    let has = |name: &str| vector.input.get(name).is_some();
    if has("request") {
        front_channel(vector)
    } else if has("session_grants") {
        grants(vector)
    } else if has("logout") {
        back_channel(vector)
    } else {
        Err(Failure::OutOfReach(MONITORING))
    }
}

fn back_channel(vector: &Vector) -> Verdict {
    let mut claims = vector.input["logout"].clone();
    claims["aud"] = "client1".into();
    claims["jti"] = "1".into();
    claims["iat"] = NOW.into();
    claims["exp"] = (NOW + 120).into();
    claims["events"] = json!({ EVENT: {} });
    let client =
        client("https://as.example", "client1", None).map_err(|error| error.to_string())?;
    let result = received(
        &client,
        &signed(&claims)?,
        NOW,
        LogoutTokenChecks::default(),
    );
    let status = LogoutReply::for_result(&result).status;
    check_equal(
        "status",
        u64::from(status),
        vector.expected["http_status"].as_u64().unwrap_or(200),
    )?;
    let token = result.map_err(|error| error.to_string())?;
    let ended = chosen(&sessions(vector), |session| token.ends(session));
    check_equal("ended", &ended, &vector.expected["ended"])
}

fn front_channel(vector: &Vector) -> Verdict {
    let result = FrontChannelLogout::parse(vector.required_text("request")?);
    let reply = LogoutReply::for_result(&result);
    if let Some(expected_value) = vector.expected["headers"]["cache-control"].as_str() {
        check_equal("cache-control", reply.cache_control, expected_value)?;
    }
    match result {
        Ok(logout) => {
            let ended = chosen(&sessions(vector), |session| logout.ends(session));
            check_equal("ended", &ended, &vector.expected["ended"])
        }
        Err(error) => {
            check_equal("status", reply.status, 400)?;
            refused(&error, vector)
        }
    }
}

fn grants(vector: &Vector) -> Verdict {
    let list = vector.input["session_grants"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let scopes = list.iter().map(|grant| {
        let text = grant["scope"].as_str().unwrap_or_default();
        Scope::parse(text).map_err(|error| error.to_string())
    });
    let scopes = scopes.collect::<Result<Vec<_>, _>>()?;
    check_equal(
        "revoke",
        &chosen(&scopes, revokes),
        &vector.expected["revoke"],
    )?;
    let kept_scopes = chosen(&scopes, |scope| !revokes(scope));
    check_equal("keep", &kept_scopes, &vector.expected["keep"])
}

fn sessions(vector: &Vector) -> Vec<Session> {
    let list = vector.input["sessions"].as_array().into_iter().flatten();
    let text = |session: &Value, name: &str| session[name].as_str().map(str::to_owned);
    list.map(|session| {
        let issuer = text(session, "iss").unwrap_or_default();
        Session::new(issuer, text(session, "sub"), text(session, "sid"))
    })
    .collect()
}

/// The indexes of the chosen elements.
fn chosen<T>(list: &[T], is_chosen: impl Fn(&T) -> bool) -> Value {
    let places = list.iter().enumerate().filter(|(_, one)| is_chosen(one));
    places.map(|(place, _)| Value::from(place)).collect()
}
