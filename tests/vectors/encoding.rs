//! Groups about one text becoming another: `pkce`, `form-encoding`, `basic-auth`, `retry-after`,
//! `www-authenticate`.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue};
use oauth_core::moment::UnixTime;
use oauth_core::pkce::{ChallengeMethod, CodeVerifier, Demand};
use oauth_core::quirk::{Quirk, Rules};
use oauth_core::{challenge, client_auth, form, retry_after};
use serde_json::{Value, json};

use crate::format::{Vector, Verdict, holds, outcome, same, texts};

pub(crate) fn pkce(vector: &Vector) -> Verdict {
    let expected = &vector.expected;
    if let Some(metadata) = vector.input.get("metadata") {
        let listed = metadata.get("code_challenge_methods_supported").map(texts);
        let chosen = ChallengeMethod::choose(listed.as_deref(), Demand::Usual);
        if let Some(method) = outcome(expected, chosen)? {
            let text = expected["ok"]
                .as_str()
                .or(expected["default"].as_str())
                .unwrap_or_default();
            holds(
                "the method is the one named",
                text.contains(method.as_str()),
            )?;
        }
        if let Some(mcp) = expected.get("profile_mcp") {
            outcome(
                mcp,
                ChallengeMethod::choose(listed.as_deref(), Demand::Advertised),
            )?;
        }
        return Ok(());
    }
    let verifier = match vector.input.get("octets").and_then(Value::as_array) {
        Some(octets) => {
            let octets: Vec<u8> = octets
                .iter()
                .filter_map(Value::as_u64)
                .map(|o| o as u8)
                .collect();
            let octets = octets.try_into().map_err(|_| "want 32 octets".to_owned())?;
            Ok(CodeVerifier::from_octets(octets))
        }
        None => CodeVerifier::parse(vector.must("code_verifier")?),
    };
    let Some(verifier) = outcome(expected, verifier)? else {
        return Ok(());
    };
    let want = expected.get("ok").unwrap_or(expected);
    let method = match vector.text("method") {
        Some("plain") => ChallengeMethod::Plain,
        _ => ChallengeMethod::S256,
    };
    if let Some(text) = want["code_verifier"].as_str() {
        same("code_verifier", verifier.expose(), text)?;
    }
    if let Some(name) = want["code_challenge_method"].as_str() {
        same("code_challenge_method", method.as_str(), name)?;
    }
    let challenge = verifier.challenge(method);
    same(
        "code_challenge",
        Some(challenge.as_str()),
        want["code_challenge"].as_str(),
    )?;
    // Without the opt-in no list of methods leads to plain.
    let default = ChallengeMethod::choose(Some(&["plain".to_owned()]), Demand::Usual);
    holds("plain needs an opt-in", default.is_err())
}

pub(crate) fn form(vector: &Vector) -> Verdict {
    let value = vector.must("value")?;
    let mut encoded = String::new();
    form::encode(value, &mut encoded);
    same(
        "canonical",
        Some(encoded.as_str()),
        vector.expected["canonical"].as_str(),
    )?;
    for other in texts(&vector.expected["also_decodes_to_value"])
        .iter()
        .chain([&encoded])
    {
        let decoded = form::decode(other).map_err(|_| format!("{other} is not UTF-8"))?;
        same("decoded", decoded.as_ref(), value)?;
    }
    Ok(())
}

pub(crate) fn basic(vector: &Vector) -> Verdict {
    let (id, secret) = (vector.must("client_id")?, vector.must("client_secret")?);
    let raw = Rules {
        quirks: vec![Quirk::RawBasic],
        ..Rules::default()
    };
    let is_raw = vector
        .text("mode")
        .is_some_and(|mode| mode.starts_with("raw"));
    let rules = if is_raw {
        raw.clone()
    } else {
        Rules::default()
    };
    let header = outcome(&vector.expected, client_auth::basic(id, secret, &rules))?;
    let Some(header) = header else { return Ok(()) };
    holds("the header is marked sensitive", header.is_sensitive())?;
    let text = header.to_str().map_err(|error| error.to_string())?;
    same(
        "authorization",
        Some(text),
        vector.expected["authorization"].as_str(),
    )?;
    if let Some(want) = vector.expected["userpass"].as_str() {
        let pair = STANDARD
            .decode(text.trim_start_matches("Basic "))
            .unwrap_or_default();
        same("userpass", String::from_utf8_lossy(&pair).as_ref(), want)?;
    }
    let Some(want) = vector.expected["raw_unencoded_variant_for_legacy_quirk"].as_str() else {
        return Ok(());
    };
    match client_auth::basic(id, secret, &raw) {
        Ok(header) => same("raw", header.to_str().ok(), Some(want)),
        // "a user-id containing a colon character is invalid" (RFC 7617 section 2): the variant
        // shows bytes that no server could take apart again, and `basic-colon-id-raw` refuses it.
        Err(error) => {
            let colon = json!({ "error": "client_id_with_colon_cannot_be_sent_raw" });
            holds("only an id with a colon is refused", id.contains(':'))?;
            outcome::<()>(&colon, Err(error)).map(drop)
        }
    }
}

pub(crate) fn retry_after(vector: &Vector) -> Verdict {
    let mut headers = HeaderMap::new();
    let one = vector.text("retry_after").map(str::to_owned);
    for field in one.into_iter().chain(texts(&vector.input["headers"])) {
        let field = HeaderValue::from_bytes(field.as_bytes()).map_err(|error| error.to_string())?;
        headers.append(RETRY_AFTER, field);
    }
    let now = UnixTime::from_secs(vector.input["now"].as_u64().unwrap_or_default());
    let cap = vector.input["cap_s"]
        .as_u64()
        .map_or(retry_after::CAP, Duration::from_secs);
    let pause = retry_after::read(&headers, now, cap).map(|pause| pause.as_secs());
    same("delay_s", pause, vector.expected["delay_s"].as_u64())?;
    if vector.expected["capped"] == true {
        same("the cap", pause, Some(cap.as_secs()))?;
    }
    Ok(())
}

pub(crate) fn www_authenticate(vector: &Vector) -> Verdict {
    let mut headers = texts(&vector.input["headers"]);
    let mut expected = vector.expected.clone();
    if vector.input.get("repeat").is_some() {
        // The value is a run of one letter: grow it to 64 KiB on both sides.
        let (short, long) = ("a".repeat(64), "a".repeat(65536));
        for header in &mut headers {
            *header = header.replace(&short, &long);
        }
        let grown = expected.to_string().replace(&short, &long);
        expected = serde_json::from_str(&grown).map_err(|error| error.to_string())?;
        holds("the value has grown", grown.len() > 65536)?;
    }
    let parsed = challenge::parse(headers.iter().map(String::as_str));
    let Some(challenges) = outcome(&expected, parsed)? else {
        return Ok(());
    };
    let shown: Vec<Value> = challenges.iter().map(shown).collect();
    same("challenges", &Value::from(shown), &expected["challenges"])
}

fn shown(challenge: &challenge::Challenge) -> Value {
    let params: serde_json::Map<_, _> = challenge
        .params
        .iter()
        .map(|(name, value)| (name.clone(), json!(value)))
        .collect();
    let mut shown = json!({ "scheme": challenge.scheme, "params": params });
    if let Some(token68) = &challenge.token68 {
        shown["token68"] = json!(token68);
    }
    if !challenge.duplicate.is_empty() {
        shown["duplicate"] = json!(challenge.duplicate);
    }
    shown
}
