//! Groups about encodings and header fields: `pkce`, `form-encoding`, `basic-auth`, `retry-after`,
//! `www-authenticate`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use oauth_core::moment::UnixTime;
use oauth_core::pkce::{ChallengeMethod, CodeVerifier, PkceRequirement};
use oauth_core::quirk::Rules;
use oauth_core::{challenge, client_auth, form, retry_after as pause};
use serde_json::{Value, json};

use crate::conversation::{AuthorizeInput, Conversation, ServerConfig, TurnInput};
use crate::expect::outcome;
use crate::fields::{Fields, Reply};
use crate::format::{Failure, Vector, Verdict, check, check_equal, texts};
use crate::runner::{
    Outcome, Runner, as_example, confidential, flow, public, request, sent, stored_tokens,
};
use crate::scope::parameter;
use crate::transcript::TurnOutput;

const DRAWN_INSIDE: &str =
    "verifiers are drawn internally: none can be passed in to get its challenge";
const NO_PROFILE: &str = "only Rust can require that a server advertises PKCE";

pub(crate) fn pkce(vector: &Vector, runner: &mut Runner) -> Verdict {
    if let Some(metadata) = vector.input.get("metadata") {
        return by_metadata(vector, runner, metadata);
    }
    let verifier_text = match vector.input.get("octets").and_then(Value::as_array) {
        Some(octets) => {
            let octets: Vec<u8> = octets
                .iter()
                .filter_map(Value::as_u64)
                .map(|o| o as u8)
                .collect();
            let octets = octets.try_into().map_err(|_| "want 32 octets".to_owned())?;
            CodeVerifier::from_octets(octets).expose().to_owned()
        }
        None => vector.required_text("code_verifier")?.to_owned(),
    };
    // A verifier created elsewhere can only come from a stored flow.
    let Some(sent) = outcome(&vector.expected, redeemed(runner, &verifier_text)?)? else {
        return Ok(());
    };
    check_equal("the verifier that is sent", &sent, &verifier_text)?;
    let derived = if runner.is_rust() {
        challenges(vector, &verifier_text)
    } else {
        Err(Failure::OutOfReach(DRAWN_INSIDE))
    };
    runner.allow_unsupported(derived)
}

/// The server's metadata decides whether and how a PKCE challenge is sent.
fn by_metadata(vector: &Vector, runner: &mut Runner, metadata: &Value) -> Verdict {
    let expected = &vector.expected;
    let mut members = json!({ "authorization_endpoint": "https://as.example/authorize" });
    if let (Some(members), Some(more)) = (members.as_object_mut(), metadata.as_object()) {
        members.extend(more.clone());
    }
    let server = ServerConfig::of("https://as.example", members, &Rules::default());
    if let Some(url) = outcome(expected, authorized(runner, server, [])?)? {
        let method = parameter(&url, "code_challenge_method")?.ok_or("no method is sent")?;
        let text = expected["ok"]
            .as_str()
            .or(expected["default"].as_str())
            .unwrap_or_default();
        check("the method is the one named", text.contains(&method))?;
        check(
            "so is a challenge",
            parameter(&url, "code_challenge")?.is_some(),
        )?;
    }
    if let Some(mcp) = expected.get("profile_mcp") {
        let listed = metadata.get("code_challenge_methods_supported").map(texts);
        let advertised = if runner.is_rust() {
            let method = ChallengeMethod::choose(listed.as_deref(), PkceRequirement::Advertised);
            outcome(mcp, method).map(drop)
        } else {
            Err(Failure::OutOfReach(NO_PROFILE))
        };
        runner.allow_unsupported(advertised)?;
    }
    Ok(())
}

/// An authorization URL with provider-specific parameters.
fn authorized<'a>(
    runner: &mut Runner,
    server: ServerConfig,
    extra: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Outcome<String> {
    let extra = extra.into_iter();
    let authorize_input = AuthorizeInput {
        redirect_uri: "https://app.example/cb".to_owned(),
        extra: extra
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        ..AuthorizeInput::default()
    };
    let conversation = Conversation::new(Some(server), Some(public("s6BhdRkqt3")))
        .then(0, TurnInput::Authorize(authorize_input));
    match runner.play(&conversation)?.pop() {
        Some(TurnOutput::Authorized { url, .. }) => Ok(Ok(url)),
        Some(TurnOutput::Error(refusal)) => Ok(Err(refusal)),
        other => Err(format!("want a URL, got {other:?}").into()),
    }
}

/// The verifier sent by a stored flow that contains this one.
fn redeemed(runner: &mut Runner, verifier: &str) -> Outcome<String> {
    let redeem = TurnInput::Redeem {
        callback: "https://app.example/cb?code=c&state=xyz".to_owned(),
        flow: Some(flow(json!({ "code_verifier": verifier }))),
    };
    let server = as_example(&Rules::default());
    let conversation = Conversation::new(Some(server), Some(public("s6BhdRkqt3"))).then(0, redeem);
    match sent(runner.play(&conversation)?.pop())? {
        Ok(request) => Ok(Ok(request.parameter("code_verifier")?.unwrap_or_default())),
        Err(refusal) => Ok(Err(refusal)),
    }
}

fn challenges(vector: &Vector, verifier_text: &str) -> Verdict {
    let verifier = CodeVerifier::parse(verifier_text).map_err(|error| error.to_string())?;
    let want = vector.expected.get("ok").unwrap_or(&vector.expected);
    let method = match vector.text("method") {
        Some("plain") => ChallengeMethod::Plain,
        _ => ChallengeMethod::S256,
    };
    if let Some(text) = want["code_verifier"].as_str() {
        check_equal("code_verifier", verifier.expose(), text)?;
    }
    if let Some(name) = want["code_challenge_method"].as_str() {
        check_equal("code_challenge_method", method.as_str(), name)?;
    }
    let challenge = verifier.challenge(method);
    check_equal(
        "code_challenge",
        Some(challenge.as_str()),
        want["code_challenge"].as_str(),
    )?;
    // Without the opt-in no list of methods results in `plain`.
    let default = ChallengeMethod::choose(Some(&["plain".to_owned()]), PkceRequirement::Usual);
    check("plain needs an opt-in", default.is_err())
}

pub(crate) fn form(vector: &Vector, runner: &mut Runner) -> Verdict {
    let value = vector.required_text("value")?;
    let canonical = vector.expected["canonical"]
        .as_str()
        .ok_or("no canonical")?;
    let url = authorized(runner, as_example(&Rules::default()), [("vector", value)])?;
    let url = url.map_err(|refusal| refusal.message)?;
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut pairs = query.split('&');
    let encoded = pairs.find_map(|pair| pair.strip_prefix("vector="));
    check_equal("canonical", encoded, Some(canonical))?;
    let others = texts(&vector.expected["also_decodes_to_value"]);
    for other in others.iter().map(String::as_str).chain([canonical]) {
        // A token response that is itself a form.
        let body = format!("access_token=a&token_type=bearer&vector={other}");
        let form_type = [("content-type", "application/x-www-form-urlencoded")];
        let reply = Reply::new(200, &form_type, body);
        let tokens = runner.token(&Rules::default(), "gX1fBat3bV", reply)?;
        let tokens = tokens.map_err(|refusal| refusal.message)?;
        check_equal(
            "decoded",
            tokens.get("extra")?["vector"].as_str(),
            Some(value),
        )?;
        if runner.is_rust() {
            let decoded = form::decode(other).map_err(|_| format!("{other} is not UTF-8"))?;
            check_equal("decoded by itself", decoded.as_ref(), value)?;
        }
    }
    Ok(())
}

pub(crate) fn basic(vector: &Vector, runner: &mut Runner) -> Verdict {
    let (id, secret) = (
        vector.required_text("client_id")?,
        vector.required_text("client_secret")?,
    );
    let is_raw = vector
        .text("mode")
        .is_some_and(|mode| mode.starts_with("raw"));
    let header = authorization(runner, is_raw, id, secret)?;
    let Some(text) = outcome(&vector.expected, header)? else {
        return Ok(());
    };
    check_equal(
        "authorization",
        Some(text.as_str()),
        vector.expected["authorization"].as_str(),
    )?;
    if runner.is_rust() {
        let header = client_auth::basic(id, secret, &Rules::default());
        let is_sensitive = header.is_ok_and(|header| header.is_sensitive());
        check("the header is marked sensitive", is_sensitive)?;
    }
    if let Some(want) = vector.expected["userpass"].as_str() {
        let pair = STANDARD
            .decode(text.trim_start_matches("Basic "))
            .unwrap_or_default();
        check_equal("userpass", String::from_utf8_lossy(&pair).as_ref(), want)?;
    }
    let Some(want) = vector.expected["raw_unencoded_variant_for_legacy_quirk"].as_str() else {
        return Ok(());
    };
    match authorization(runner, true, id, secret)? {
        Ok(header) => check_equal("raw", header.as_str(), want),
        // "a user-id containing a colon character is invalid" (RFC 7617 section 2): the variant
        // shows bytes that no server could take apart again, and `basic-colon-id-raw` refuses it.
        Err(refusal) => {
            let colon = json!({ "error": "client_id_with_colon_cannot_be_sent_raw" });
            check("only an id with a colon is refused", id.contains(':'))?;
            outcome::<()>(&colon, Err(refusal)).map(drop)
        }
    }
}

/// The `Authorization` header of a token request; unencoded as Socios.com requires it, if `is_raw`.
fn authorization(runner: &mut Runner, is_raw: bool, id: &str, secret: &str) -> Outcome<String> {
    let server = if is_raw {
        ServerConfig {
            preset: Some("socios".to_owned()),
            ..ServerConfig::default()
        }
    } else {
        as_example(&Rules::default())
    };
    let scope = String::new();
    let conversation = Conversation::new(Some(server), Some(confidential(id, secret)))
        .then(0, TurnInput::ClientCredentials { scope });
    match sent(runner.play(&conversation)?.pop())? {
        Ok(request) => {
            let header = request.header("authorization");
            let header = header.ok_or("no Authorization header")?;
            Ok(Ok(header.to_owned()))
        }
        Err(refusal) => Ok(Err(refusal)),
    }
}

pub(crate) fn retry_after(vector: &Vector, runner: &mut Runner) -> Verdict {
    let one = vector.text("retry_after").map(str::to_owned);
    let fields: Vec<_> = one
        .into_iter()
        .chain(texts(&vector.input["headers"]))
        .map(|value| ("retry-after".to_owned(), value))
        .collect();
    let now = vector.input["now"].as_u64().unwrap_or_default();
    let max_pause = vector.input["cap_s"].as_u64();
    let cap = max_pause.unwrap_or(pause::CAP.as_secs());
    let mut reply = Reply::new(429, &[], "");
    reply.headers = Fields(fields.clone());
    let refresh = TurnInput::Refresh {
        scope: String::new(),
        tokens: Some(stored_tokens(json!({}))),
    };
    let server = as_example(&Rules::default());
    let conversation = Conversation::new(Some(server), Some(public("s6BhdRkqt3")))
        .then(now, refresh)
        .then(now, TurnInput::Reply(reply));
    let mut outputs = runner.play(&conversation)?.into_iter();
    request(outputs.next())?;
    let Some(TurnOutput::Error(refusal)) = outputs.next() else {
        return Err("want a refusal".into());
    };
    check_equal("advice", refusal.advice.as_str(), "retry")?;
    let want = vector.expected["delay_s"].as_u64();
    // An error never advises an immediate retry: a pause of 0 is reported as one second.
    check_equal(
        "delay_s",
        refusal.retry_after,
        want.map(|delay| delay.max(1)),
    )?;
    if vector.expected["capped"] == true {
        check_equal("the cap", refusal.retry_after, Some(cap))?;
    }
    if runner.is_rust() {
        let mut headers = http::HeaderMap::new();
        for (_, field) in &fields {
            let field = http::HeaderValue::from_bytes(field.as_bytes());
            let field = field.map_err(|error| error.to_string())?;
            headers.append(http::header::RETRY_AFTER, field);
        }
        let cap = std::time::Duration::from_secs(cap);
        let read = pause::read(&headers, UnixTime::from_secs(now), cap);
        check_equal("read", read.map(|pause| pause.as_secs()), want)?;
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
        check("the value has grown", grown.len() > 65536)?;
    }
    let parsed = challenge::parse(headers.iter().map(String::as_str));
    let Some(challenges) = outcome(&expected, parsed)? else {
        return Ok(());
    };
    let shown: Vec<Value> = challenges.iter().map(challenge_to_json).collect();
    check_equal("challenges", &Value::from(shown), &expected["challenges"])
}

fn challenge_to_json(challenge: &challenge::Challenge) -> Value {
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
